//! A driver for the tests of this crate: rusqlite, a connection to write and one to read. It blocks its caller,
//! which a driver for users must not.

#![allow(dead_code, reason = "each test target uses a part of it")]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use linkly_core::{Error, Result};
use linkly_sql::{Driver, Row, SchemaConfig, Sql, SqlStore, Statement, Value, sqlite_error};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

#[derive(Debug)]
pub(crate) struct Rusqlite {
    writer: Mutex<Connection>,
    /// `None` for a database in memory.
    reader: Option<Mutex<Connection>>,
}

impl Rusqlite {
    /// A store on a file, migrated.
    pub(crate) async fn store(path: &Path, schema: SchemaConfig) -> Result<SqlStore<Self>> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            Ok(Mutex::new(connection))
        };
        let driver = Self { writer: open().map_err(error)?, reader: Some(open().map_err(error)?) };
        migrated(driver, schema).await
    }

    /// A store in memory, migrated.
    pub(crate) async fn in_memory() -> SqlStore<Self> {
        let writer = Mutex::new(Connection::open_in_memory().unwrap());
        migrated(Self { writer, reader: None }, SchemaConfig::default()).await.unwrap()
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn migrated(driver: Rusqlite, schema: SchemaConfig) -> Result<SqlStore<Rusqlite>> {
    let store = SqlStore::new(driver, schema)?;
    store.migrate().await?;
    Ok(store)
}

impl Driver for Rusqlite {
    fn backend(&self) -> &'static str {
        "rusqlite"
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        match &self.reader {
            Some(reader) => rows(&reader.lock().unwrap_or_else(PoisonError::into_inner), &statement).map_err(error),
            None => rows(&self.writer(), &statement).map_err(error),
        }
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        let writer = self.writer();
        let run = writer.prepare_cached(&statement.sql).and_then(|mut prepared| {
            let parameters = statement.parameters.iter().map(parameter);
            prepared.execute(params_from_iter(parameters))
        });
        run.map(|changed| changed as u64).map_err(error)
    }

    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        rows(&self.writer(), &statement).map_err(error)
    }

    async fn transaction(&self, script: Sql) -> Result<()> {
        let writer = self.writer();
        writer.execute_batch(&format!("BEGIN IMMEDIATE; {}\nCOMMIT", &*script)).map_err(|found| {
            let _ = writer.execute_batch("ROLLBACK");
            error(found)
        })
    }
}

fn parameter(value: &Value) -> rusqlite::types::Value {
    match value.clone() {
        Value::Null => rusqlite::types::Value::Null,
        Value::Integer(value) => value.into(),
        Value::Real(value) => value.into(),
        Value::Text(value) => value.into(),
        Value::Blob(value) => value.into(),
    }
}

fn rows(connection: &Connection, statement: &Statement) -> rusqlite::Result<Vec<Row>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
    let columns = prepared.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let value = |column| {
            Ok(match row.get_ref(column)? {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(value) => Value::Integer(value),
                ValueRef::Real(value) => Value::Real(value),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
            })
        };
        Ok(Row::new((0..columns).map(value).collect::<rusqlite::Result<_>>()?))
    };
    let parameters = statement.parameters.iter().map(parameter);
    prepared.query_map(params_from_iter(parameters), row)?.collect()
}

fn error(found: rusqlite::Error) -> Error {
    let (code, message) = match &found {
        rusqlite::Error::SqliteFailure(code, message) => (code.extended_code, message.clone()),
        rusqlite::Error::SqlInputError { error, msg, .. } => (error.extended_code, Some(msg.clone())),
        other => (0, Some(other.to_string())),
    };
    sqlite_error("rusqlite", code, &message.unwrap_or_default(), Arc::new(found))
}
