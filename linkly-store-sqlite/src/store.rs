//! The store: its connections, and what it knows of its database.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use linkly_core::{Folding, Result};
use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

use crate::config::{SqliteConfig, check_prefix};
use crate::connection::Connections;
use crate::error;
use crate::unfit::MigrationReport;

/// Where a configured prefix goes in the SQL of this crate. A comment, so that each text runs as it is.
pub(crate) const PREFIX_MARK: &str = "/*prefix*/";

/// Links and clicks in an SQLite database.
///
/// Cloning is one reference count; clones share the connections.
///
/// # Cancel safety
///
/// Each statement is whole: it runs to its end on a thread of its own, and dropping a future leaves it
/// done or never begun. An update with a repeated link, `purge_clicks`, `reconcile`, `optimize` and
/// [`migrate`](Self::migrate) are several, and dropped between two of them they can be called again.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    config: SqliteConfig,
    /// SQL with the prefix in it. Unused without one: the texts of the program are used as they are.
    texts: Mutex<HashMap<&'static str, SqlStr>>,
    folding: OnceLock<Folding>,
    has_clicks_by_code: AtomicBool,
}

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
        let store = Self::with_connections(Connections::open(&config).await?, config);
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
        let store = Self::with_connections(Connections::adopt(writer, readers).await?, config);
        store.load().await?;
        Ok(store)
    }

    fn with_connections(connections: Connections, config: SqliteConfig) -> Self {
        let texts = Mutex::default();
        let (folding, has_clicks_by_code) = (OnceLock::new(), AtomicBool::new(false));
        Self { inner: Arc::new(Inner { connections, config, texts, folding, has_clicks_by_code }) }
    }

    /// The connections that read, for the app's own SQL. Those that [`connect`](Self::connect) made cannot
    /// write, unless the database is in memory; the app's own are as it made them.
    pub fn pool(&self) -> &SqlitePool {
        &self.inner.connections.readers
    }

    /// The one connection that writes, for the app's own SQL. Whoever holds it holds up every write.
    pub fn writer(&self) -> &SqlitePool {
        &self.inner.connections.writer
    }

    /// Closes the connections. Calls after it fail with
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable).
    pub async fn close(&self) {
        self.inner.connections.close().await;
    }

    /// Brings the database to the schema of this release, each version in one transaction. Any number
    /// of processes may do so at once: one does it, the others wait for it, a minute at the most.
    ///
    /// A database that has the first columns of `links (code, url, created_at)` and
    /// `clicks (id, code, clicked_at)` is upgraded in place, its rows included. Rows that no rule of
    /// this library would let in stay as they are and are reported.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](linkly_core::Error::Schema) when the database is newer than this release,
    /// was made with another folding, or has other tables of these names.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each version done or not begun.
    pub async fn migrate(&self) -> Result<MigrationReport> {
        let report = crate::migrate::run(self).await?;
        self.load().await?;
        Ok(report)
    }

    /// Reads what the database knows of itself, if it was migrated.
    async fn load(&self) -> Result<()> {
        let Some(state) = crate::migrate::read_state(self).await? else {
            return Ok(());
        };
        state.check_version()?;
        state.check_folding(self.config().folding)?;
        if let Some(folding) = state.folding {
            // A second migrate() finds what the first one found.
            let _ = self.inner.folding.set(folding);
        }
        self.inner.has_clicks_by_code.store(state.has_clicks_by_code, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn folding_of_database(&self) -> Folding {
        self.inner.folding.get().copied().or(self.inner.config.folding).unwrap_or_default()
    }

    pub(crate) fn has_clicks_by_code(&self) -> bool {
        self.inner.has_clicks_by_code.load(Ordering::Relaxed)
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        self.inner.connections.in_memory
    }

    pub(crate) fn config(&self) -> &SqliteConfig {
        &self.inner.config
    }

    /// The name of a table with the prefix.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.inner.config.prefix)
    }

    /// One of the program's texts with the prefix in it.
    pub(crate) fn sql(&self, text: &'static str) -> SqlStr {
        if self.inner.config.prefix.is_empty() {
            return text.into_sql_str();
        }
        let mut texts = self.inner.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.entry(text).or_insert_with(|| self.built_sql(text.to_owned())).clone()
    }

    /// A text that was put together out of the program's own, with the prefix in it.
    pub(crate) fn built_sql(&self, text: String) -> SqlStr {
        if self.inner.config.prefix.is_empty() {
            return AssertSqlSafe(text).into_sql_str();
        }
        let text: Arc<str> = text.replace(PREFIX_MARK, &self.inner.config.prefix).into();
        AssertSqlSafe(text).into_sql_str()
    }

    /// Runs a writing statement over one JSON parameter; how many rows it changed itself.
    pub(crate) async fn write(&self, text: &'static str, json: String) -> Result<u64> {
        let query = sqlx::query(self.sql(text)).bind(json);
        Ok(query.execute(self.writer()).await.map_err(error::map)?.rows_affected())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("config", &self.inner.config)
            .field("folding", &self.folding_of_database())
            .finish_non_exhaustive()
    }
}
