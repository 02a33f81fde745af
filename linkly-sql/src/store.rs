//! A store over a driver: its texts, and what it knows of its database.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use linkly_core::{Error, Folding, Result};

use crate::driver::{Driver, Row, Sql, Statement, Value};
use crate::error;
use crate::prefix::{PREFIX_MARK, check_prefix};
use crate::unfit::MigrationReport;

/// What can be chosen about a database's schema.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaConfig {
    /// What stands in front of the name of each table, index, view and trigger. Default: nothing.
    pub prefix: String,
    /// Whether codes fold case. `None`, the default, is what the database was made with, and
    /// [`Folding::Sensitive`] for a new one.
    pub folding: Option<Folding>,
    /// Keeps an index over the clicks of each code. Default: no.
    pub clicks_by_code_index: bool,
}

impl SchemaConfig {
    /// A schema with these choices.
    pub fn new(prefix: impl Into<String>, folding: Option<Folding>, clicks_by_code_index: bool) -> Self {
        Self { prefix: prefix.into(), folding, clicks_by_code_index }
    }
}

/// Links and clicks in a database that a driver speaks to: all four store traits.
///
/// Cloning is one reference count; clones share the driver.
///
/// # Cancel safety
///
/// That of [`Driver::write`]: most calls that write are one statement. An update with a repeated link,
/// `purge_clicks`, `reconcile`, `optimize` and [`migrate`](Self::migrate) are several, and dropped between two
/// of them they can be called again.
pub struct SqlStore<D> {
    inner: Arc<Inner<D>>,
}

struct Inner<D> {
    driver: D,
    schema: SchemaConfig,
    /// SQL with the prefix in it. Unused without one: the texts of the program are used as they are.
    texts: Mutex<HashMap<&'static str, Sql>>,
    folding: OnceLock<Folding>,
    has_clicks_by_code: AtomicBool,
}

impl<D: Driver> SqlStore<D> {
    /// A store that has not looked at its database yet: call [`migrate`](Self::migrate) or
    /// [`load`](Self::load) before anything else.
    ///
    /// # Errors
    ///
    /// Of [`check_prefix`].
    pub fn new(driver: D, schema: SchemaConfig) -> Result<Self> {
        check_prefix(&schema.prefix)?;
        let (texts, folding, has_clicks_by_code) = (Mutex::default(), OnceLock::new(), AtomicBool::new(false));
        Ok(Self { inner: Arc::new(Inner { driver, schema, texts, folding, has_clicks_by_code }) })
    }

    /// The driver.
    pub fn driver(&self) -> &D {
        &self.inner.driver
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
    /// [`Error::Schema`] when the database is newer than this release, was made with another folding, or has
    /// other tables of these names.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves each version done or not begun. Of the rows that were there before, the
    /// hashes of their URLs are made and the report is written after that transaction, by this call or the
    /// next.
    pub async fn migrate(&self) -> Result<MigrationReport> {
        let report = crate::migrate::run(self).await?;
        self.load().await?;
        Ok(report)
    }

    /// Reads what the database knows of itself, if it was migrated.
    ///
    /// # Errors
    ///
    /// [`Error::Schema`] when it is newer than this release or was made with another folding.
    pub async fn load(&self) -> Result<()> {
        let Some(state) = crate::migrate::read_state(self).await? else {
            return Ok(());
        };
        state.check(self)?;
        if let Some(folding) = state.folding {
            // A second migrate() finds what the first one found.
            let _ = self.inner.folding.set(folding);
        }
        self.inner.has_clicks_by_code.store(state.has_clicks_by_code, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn schema(&self) -> &SchemaConfig {
        &self.inner.schema
    }

    pub(crate) fn folding_of_database(&self) -> Folding {
        self.inner.folding.get().copied().or(self.inner.schema.folding).unwrap_or_default()
    }

    pub(crate) fn has_clicks_by_code(&self) -> bool {
        self.inner.has_clicks_by_code.load(Ordering::Relaxed)
    }

    /// The name of a table with the prefix.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.inner.schema.prefix)
    }

    /// One of the program's texts with the prefix in it.
    pub(crate) fn statement(&self, text: &'static str) -> Statement {
        if self.inner.schema.prefix.is_empty() {
            return Statement::new(Sql::Static(text));
        }
        let mut texts = self.inner.texts.lock().unwrap_or_else(PoisonError::into_inner);
        Statement::new(texts.entry(text).or_insert_with(|| self.with_prefix(text)).clone())
    }

    /// A text that was put together out of the program's own, with the prefix in it.
    pub(crate) fn with_prefix(&self, text: &str) -> Sql {
        Sql::Built(text.replace(PREFIX_MARK, &self.inner.schema.prefix).into())
    }

    /// An answer that is one row of one JSON value.
    pub(crate) async fn read_json(&self, statement: Statement) -> Result<String> {
        Ok(first_text(self.driver().read(statement).await?))
    }

    /// The same from where lists and statistics are read.
    pub(crate) async fn read_replica_json(&self, statement: Statement) -> Result<String> {
        Ok(first_text(self.driver().read_replica(statement).await?))
    }

    /// Runs a writing statement over its parameters; how many rows it changed itself.
    pub(crate) async fn write(&self, text: &'static str, parameters: Vec<Value>) -> Result<u64> {
        let mut statement = self.statement(text);
        statement.parameters = parameters;
        self.driver().write(statement).await
    }

    /// A failure that is not the driver's.
    pub(crate) fn failed(&self, reason: impl Into<String>) -> Error {
        error::failed(self.driver().backend(), reason)
    }
}

fn first_text(rows: Vec<Row>) -> String {
    rows.into_iter().next().map(Row::into_text).unwrap_or_default()
}

// Not derived, which would ask the driver to be `Clone`.
impl<D> Clone for SqlStore<D> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<D: Driver> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore")
            .field("driver", self.driver())
            .field("schema", self.schema())
            .field("folding", &self.folding_of_database())
            .finish()
    }
}
