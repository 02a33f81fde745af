//! The store: its connections, and what it knows of its database.

use std::fmt;
use std::sync::Arc;

use linkly_core::{LinkStore, Result};
use linkly_sql::{MigrationReport, SqlStore, check_prefix};
use sqlx::sqlite::SqlitePool;

use crate::config::SqliteConfig;
use crate::connection::Connections;

/// Links and clicks in an SQLite database.
///
/// Cloning is cheap; clones share the connections.
///
/// # Cancel safety
///
/// Each statement is whole: it runs to its end on a thread of its own, and dropping a future leaves it
/// done or never begun. An update with a repeated link, `purge_clicks`, `reconcile`, `optimize` and
/// [`migrate`](Self::migrate) are several, and dropped between two of them they can be called again.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) sql: SqlStore<Connections>,
    config: Arc<SqliteConfig>,
}

linkly_sql::forward_store!(SqliteStore, sql);

impl SqliteStore {
    /// Opens the database at `url`, as [`SqliteConfig::url`] says, and migrates it. Folder and file are
    /// created.
    ///
    /// ```
    /// use linkly_store_sqlite::SqliteStore;
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// let store = SqliteStore::connect("sqlite::memory:").await?;
    /// # Ok::<(), linkly_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Of [`connect_with`](Self::connect_with).
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(SqliteConfig::new(url)).await
    }

    /// Opens a database and migrates it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](linkly_core::Error::InvalidInput) for a URL or prefix that is none;
    /// [`Error::Backend`](linkly_core::Error::Backend) when the file cannot be opened, is not a
    /// database or is damaged; [`Error::Unavailable`](linkly_core::Error::Unavailable) while another
    /// process holds its lock; and those of [`migrate`](Self::migrate).
    pub async fn connect_with(config: SqliteConfig) -> Result<Self> {
        check_prefix(&config.prefix)?;
        let store = Self::with_connections(Connections::open(&config).await?, config)?;
        store.migrate().await?;
        Ok(store)
    }

    /// Takes the app's own pools, and checks that they are fit: one file, the write-ahead log, a busy
    /// timeout, and a `synchronous` that is not `OFF`. Give `writer` one connection. For a database in memory both
    /// are the same pool.
    ///
    /// Nothing is created: call [`migrate`](Self::migrate) before anything else.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](linkly_core::Error::InvalidInput) names all that is missing.
    pub async fn new(writer: SqlitePool, readers: SqlitePool) -> Result<Self> {
        Self::new_with(writer, readers, SqliteConfig::new("")).await
    }

    /// The same with `prefix`, `folding` and `clicks_by_code_index` of a configuration; the rest of it
    /// is the pools' own.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](linkly_core::Error::InvalidInput) names all that is missing.
    pub async fn new_with(writer: SqlitePool, readers: SqlitePool, config: SqliteConfig) -> Result<Self> {
        check_prefix(&config.prefix)?;
        let store = Self::with_connections(Connections::adopt(writer, readers).await?, config)?;
        store.sql.load().await?;
        Ok(store)
    }

    fn with_connections(connections: Connections, config: SqliteConfig) -> Result<Self> {
        Ok(Self { sql: SqlStore::new(connections, config.schema())?, config: Arc::new(config) })
    }

    /// The connections that read, for the app's own SQL. Those that [`connect`](Self::connect) made cannot
    /// write, unless the database is in memory; the app's own are as it made them.
    pub fn pool(&self) -> &SqlitePool {
        &self.connections().readers
    }

    /// The one connection that writes, for the app's own SQL. Whoever holds it holds up every write.
    pub fn writer(&self) -> &SqlitePool {
        &self.connections().writer
    }

    /// Closes the connections. Calls after it fail with
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable).
    pub async fn close(&self) {
        self.connections().close().await;
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

    pub(crate) fn connections(&self) -> &Connections {
        self.sql.driver()
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("config", &self.config)
            .field("folding", &self.folding())
            .finish_non_exhaustive()
    }
}
