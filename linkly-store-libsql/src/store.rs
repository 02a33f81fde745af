//! The store: its connections, and what it knows of its database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use linkly_core::{LinkStore, Result};
use linkly_sql::{MigrationReport, NewFile, SqlStore, check_prefix, during};

use crate::config::LibsqlConfig;
use crate::connections;
use crate::driver::Libsql;
use crate::error::Failure;

/// Links and clicks in a libSQL database.
///
/// Cloning is cheap; clones share the connections.
///
/// # Cancel safety
///
/// Each statement is whole: it runs to its end, on a thread or in a task of its own, and dropping a future leaves
/// it done or never begun. An update with a repeated link, `purge_clicks`, `reconcile`, `optimize` and
/// [`migrate`](Self::migrate) are several, and dropped between two of them they can be called again.
#[derive(Clone)]
pub struct LibsqlStore {
    pub(crate) sql: SqlStore<Libsql>,
    config: Arc<LibsqlConfig>,
}

linkly_sql::forward_store!(LibsqlStore, sql);

impl LibsqlStore {
    /// Opens the database at `url`, as [`LibsqlConfig::url`] says, and migrates it. Folder and file are
    /// created.
    ///
    /// # Errors
    ///
    /// Of [`connect_with`](Self::connect_with).
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(LibsqlConfig::new(url)).await
    }

    /// Opens a database and migrates it. To be called inside a runtime of tokio's: calls to a server run there,
    /// whichever they are made in.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](linkly_core::Error::InvalidInput) for a URL or prefix that is none, and for one that
    /// needs a feature which is off; [`Error::Backend`](linkly_core::Error::Backend) when the file cannot be
    /// opened, is not a database or is damaged, and when a server refuses the token;
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable) while another process holds the file's lock, or
    /// the server does not answer; and those of [`migrate`](Self::migrate).
    pub async fn connect_with(config: LibsqlConfig) -> Result<Self> {
        check_prefix(&config.prefix)?;
        let connections = connections::open(&config).await.map_err(Failure::into_error)?;
        let store = Self::over(Libsql(connections), config)?;
        store.migrate().await?;
        Ok(store)
    }

    /// Takes a database of the app's own, made by `Builder::new_local` or `Builder::new_remote`: one with a
    /// connector, a namespace or an encryption of its own. `config.url` says which of the two it is, and nothing
    /// else of it is read.
    ///
    /// Nothing is created but the file: call [`migrate`](Self::migrate) before anything else.
    ///
    /// # Errors
    ///
    /// Of [`connect_with`](Self::connect_with).
    pub async fn new(database: libsql::Database, config: LibsqlConfig) -> Result<Self> {
        check_prefix(&config.prefix)?;
        let connections = connections::adopt(database, &config).await.map_err(Failure::into_error)?;
        let store = Self::over(Libsql(connections), config)?;
        store.sql.load().await?;
        Ok(store)
    }

    fn over(driver: Libsql, config: LibsqlConfig) -> Result<Self> {
        Ok(Self { sql: SqlStore::new(driver, config.schema())?, config: Arc::new(config) })
    }

    /// Closes the connections, and those of a file when what they are doing is done. Calls after it fail with
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable).
    pub async fn close(&self) {
        self.sql.driver().0.close().await;
    }

    /// Brings the database to the schema of this release, as [`SqlStore::migrate`] says: each version in one
    /// transaction, and safe when many processes start at once.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](linkly_core::Error::Schema) when the database is newer than this release,
    /// was made with another folding, or has other tables of these names.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each version done or not begun; what comes after it is made up for by the next
    /// call.
    pub async fn migrate(&self) -> Result<MigrationReport> {
        self.sql.migrate().await
    }

    /// Writes a copy of a database in a file or in memory, as it is at one moment, to a new file. Reads and writes
    /// go on meanwhile; the copy has no room to spare and is synced like the database.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](linkly_core::Error::Refused) when there is a file already: nothing is ever written over;
    /// and for the database of a server. After any error no part of the copy is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the copy up. It never touches the database.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let copy = NewFile::create(crate::BACKEND, path.as_ref())?;
        let copied = self.sql.driver().0.copy_to(copy.path().to_owned()).await;
        copied.map_err(|failure| during(&format!("copying to {}", copy.path()), failure.into_error()))?;
        copy.keep();
        Ok(())
    }

    /// Rewrites a database in a file without the room that deleted rows left. Writes wait for as long as it
    /// takes, and the disk needs room for a second copy.
    ///
    /// # Errors
    ///
    /// Those of any write; [`Error::Refused`](linkly_core::Error::Refused) for the database of a server.
    pub async fn vacuum(&self) -> Result<()> {
        self.sql.driver().0.vacuum().await.map_err(Failure::into_error)
    }
}

impl fmt::Debug for LibsqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibsqlStore")
            .field("config", &self.config)
            .field("folding", &self.folding())
            .finish_non_exhaustive()
    }
}
