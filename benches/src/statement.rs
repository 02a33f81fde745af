//! The statement that a store on SQLite makes of a batch of clicks, for a driver to send by itself.

use std::sync::{Mutex, PoisonError};

use linkly_core::{Click, ClickSink, Result};
use linkly_sql::{Driver, Row, SchemaConfig, Sql, SqlStore, Statement};

/// A driver that writes down what a store would send.
#[derive(Debug, Default)]
struct Written(Mutex<Option<Statement>>);

impl Driver for Written {
    fn backend(&self) -> &'static str {
        "written"
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn read(&self, _: Statement) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(statement);
        Ok(0)
    }

    async fn write_returning(&self, _: Statement) -> Result<Vec<Row>> {
        Ok(Vec::new())
    }

    async fn transaction(&self, _: Sql) -> Result<()> {
        Ok(())
    }
}

/// What the stores on SQLite and libSQL send to record these clicks.
///
/// # Panics
///
/// When there are none, or they are no clicks that a store takes.
pub async fn statement_of(clicks: &[Click]) -> Statement {
    let store = SqlStore::new(Written::default(), SchemaConfig::default()).expect("the defaults are fit");
    store.record(clicks).await.expect("they are fit");
    let written = store.driver().0.lock().unwrap_or_else(PoisonError::into_inner).take();
    written.expect("there are clicks")
}
