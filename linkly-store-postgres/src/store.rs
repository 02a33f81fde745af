//! The store: its connections, and what it knows of its database.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use deadpool_postgres::Pool;
use linkly_core::{Folding, Result};

use crate::config::{Partitions, PostgresConfig};
use crate::connection;
use crate::replica::Replica;

/// Where the schema goes in the SQL of this crate. A comment, so that most texts run as they are.
pub(crate) const SCHEMA_MARK: &str = "/*schema.*/";

/// Links and clicks in a Postgres database.
///
/// Cloning is one reference count; clones share the connections.
///
/// # Deadlines
///
/// Each statement ends within [`pool.acquire_timeout_ms`](crate::PoolConfig::acquire_timeout_ms) and
/// [`statement_timeout_ms`](PostgresConfig::statement_timeout_ms), whatever the server does, with
/// [`Error::Unavailable`](linkly_core::Error::Unavailable); one that a replica was to answer, within twice that.
/// A call is one statement or a bounded number of them.
///
/// # Cancel safety
///
/// Each statement is whole. Dropping a future leaves it done or not done, and closes the connection that it was
/// sent on. An update with a repeated link, `purge_clicks`, `reconcile`, `optimize` are several statements, and
/// dropped between two of them they can be called again; [`migrate`](Self::migrate) is one transaction.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    replica: OnceLock<Replica>,
    config: PostgresConfig,
    /// SQL with the schema in it.
    texts: Mutex<HashMap<&'static str, Arc<str>>>,
    folding: OnceLock<Folding>,
    partitions: OnceLock<Option<Partitions>>,
    has_clicks_by_code: AtomicBool,
}

impl PostgresStore {
    /// Connects to the database at `url`, as [`PostgresConfig::url`] says, and migrates it. A task that closes
    /// unused connections runs on the current runtime, and so do the connections.
    ///
    /// # Errors
    ///
    /// Of [`connect_with`](Self::connect_with).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(PostgresConfig::new(url)).await
    }

    /// Connects to a database and migrates it, as [`connect`](Self::connect) does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](linkly_core::Error::InvalidInput) for a setting that is none;
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable) when no host answers;
    /// [`Error::Backend`](linkly_core::Error::Backend) when the server does not let the user in or there is no
    /// such database; and those of [`migrate`](Self::migrate).
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub async fn connect_with(config: PostgresConfig) -> Result<Self> {
        config.check()?;
        let pool = connection::open(&config.url, &config)?;
        let replica = config.replica_url.as_ref().map(|url| connection::open(url, &config)).transpose()?;
        let mut store = Self::with_pool(pool, config);
        if let Some(replica) = replica {
            store = store.with_replica(replica);
        }
        store.migrate().await?;
        Ok(store)
    }

    /// Takes the app's own pool. What the URL of a configuration sets, such as timeouts on the server, keepalives
    /// and TLS, is the pool's own; the deadlines of calls hold for it too.
    ///
    /// Nothing is created: call [`migrate`](Self::migrate) before anything else.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable) when no host answers;
    /// [`Error::Schema`](linkly_core::Error::Schema) when the database is newer than this release.
    pub async fn new(pool: Pool) -> Result<Self> {
        Self::new_with(pool, PostgresConfig::new("")).await
    }

    /// The same with a configuration; its `url`, `pool.max`, and what else belongs to connecting is not looked
    /// at.
    ///
    /// # Errors
    ///
    /// Of [`new`](Self::new), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput) for a setting that
    /// is none.
    pub async fn new_with(pool: Pool, config: PostgresConfig) -> Result<Self> {
        config.check()?;
        let store = Self::with_pool(pool, config);
        store.load().await?;
        Ok(store)
    }

    fn with_pool(pool: Pool, config: PostgresConfig) -> Self {
        let inner = Inner {
            pool,
            replica: OnceLock::new(),
            config,
            texts: Mutex::default(),
            folding: OnceLock::new(),
            partitions: OnceLock::new(),
            has_clicks_by_code: AtomicBool::new(false),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Lets a pool on a replica answer [`list`](linkly_core::LinkStore::list) and
    /// [`ClickStats`](linkly_core::ClickStats), for this store and its clones. They then lag as the replica does.
    /// While it fails, the primary answers. The first replica that is given stays.
    #[must_use]
    pub fn with_replica(self, pool: Pool) -> Self {
        let _ = self.inner.replica.set(Replica::new(pool));
        self
    }

    /// The connections to the primary, for the app's own SQL.
    pub fn pool(&self) -> &Pool {
        &self.inner.pool
    }

    /// Closes the connections. Calls after it fail with
    /// [`Error::Unavailable`](linkly_core::Error::Unavailable).
    pub async fn close(&self) {
        self.inner.pool.close();
        if let Some(replica) = self.replica() {
            replica.pool().close();
        }
    }

    /// Brings the database to the schema of this release, in one transaction. Any number of processes may do so
    /// at once: one does it, the others wait for it.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`](linkly_core::Error::Schema) when the database is newer than this release, was made with
    /// another folding or other partitions, is not in UTF-8, or has other tables of these names.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves it done or not begun.
    pub async fn migrate(&self) -> Result<()> {
        crate::migrate::run(self).await?;
        self.load().await
    }

    /// Reads what the database knows of itself, if it was migrated.
    async fn load(&self) -> Result<()> {
        let Some(state) = crate::migrate::read_state(self).await? else {
            return Ok(());
        };
        state.check(self.config())?;
        // A second migrate() finds what the first one found.
        let _ = self.inner.folding.set(state.folding);
        let _ = self.inner.partitions.set(state.partitions);
        self.inner.has_clicks_by_code.store(state.has_clicks_by_code, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn replica(&self) -> Option<&Replica> {
        self.inner.replica.get()
    }

    pub(crate) fn folding_of_database(&self) -> Folding {
        self.inner.folding.get().copied().or(self.inner.config.folding).unwrap_or_default()
    }

    pub(crate) fn partitions(&self) -> Option<Partitions> {
        self.inner.partitions.get().copied().flatten()
    }

    pub(crate) fn has_clicks_by_code(&self) -> bool {
        self.inner.has_clicks_by_code.load(Ordering::Relaxed)
    }

    pub(crate) fn config(&self) -> &PostgresConfig {
        &self.inner.config
    }

    /// One of the program's texts with the schema in it.
    pub(crate) fn sql(&self, text: &'static str) -> Arc<str> {
        let mut texts = self.inner.texts.lock().unwrap_or_else(PoisonError::into_inner);
        texts.entry(text).or_insert_with(|| self.built_sql(text).into()).clone()
    }

    /// A text that was put together out of the program's own, with the schema in it.
    pub(crate) fn built_sql(&self, text: &str) -> String {
        text.replace(SCHEMA_MARK, &format!("\"{}\".", self.inner.config.schema))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("config", &self.inner.config)
            .field("folding", &self.folding_of_database())
            .field("replica", &self.replica().is_some())
            .finish_non_exhaustive()
    }
}
