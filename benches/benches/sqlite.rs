//! SQLite, beside rusqlite on a file of its own with the same pragmas and one connection.

use std::path::Path;

use linkly_benches::{RawSql, SqlDriver, Suite};
use linkly_core::Linkly;
use linkly_sql::Value;
use linkly_store_sqlite::SqliteStore;
use rusqlite::{Connection, params_from_iter, types};

struct Rusqlite(Connection);

impl Rusqlite {
    fn open(file: &Path) -> Self {
        let connection = Connection::open(file).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
        Self(connection)
    }
}

impl SqlDriver for Rusqlite {
    const ASKS_MANY: bool = false;

    async fn rows(&self, sql: &str, values: Vec<Value>) -> Vec<Vec<Value>> {
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| Ok(read(row.get(column)?))).collect();
        statement.query_map(params_from_iter(values.into_iter().map(bound)), row).unwrap().map(Result::unwrap).collect()
    }

    async fn run(&self, sql: &str, sets: Vec<Vec<Value>>) {
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let transaction = (sets.len() > 1).then(|| self.0.unchecked_transaction().unwrap());
        for values in sets {
            statement.execute(params_from_iter(values.into_iter().map(bound))).unwrap();
        }
        if let Some(transaction) = transaction {
            transaction.commit().unwrap();
        }
    }
}

fn bound(value: Value) -> types::Value {
    match value {
        Value::Null => types::Value::Null,
        Value::Integer(value) => types::Value::Integer(value),
        Value::Real(value) => types::Value::Real(value),
        Value::Text(value) => types::Value::Text(value),
        Value::Blob(value) => types::Value::Blob(value),
    }
}

fn read(value: types::Value) -> Value {
    match value {
        types::Value::Null => Value::Null,
        types::Value::Integer(value) => Value::Integer(value),
        types::Value::Real(value) => Value::Real(value),
        types::Value::Text(value) => Value::Text(value),
        types::Value::Blob(value) => Value::Blob(value),
    }
}

fn main() {
    let mut suite = Suite::of_store("sqlite");
    let folder = tempfile::tempdir().unwrap();
    let (ours, raw) = (folder.path().join("ours.db"), folder.path().join("raw.db"));
    let open = async || SqliteStore::connect(&format!("sqlite:{}", ours.display())).await.unwrap();

    let store = suite.block_on(open());
    let linkly = suite.block_on(async { Linkly::builder(store.clone()).start().await.unwrap() });
    suite.seed(&linkly);
    suite.block_on(async {
        linkly.shutdown(std::time::Duration::from_secs(10)).await;
        store.close().await;
    });
    std::fs::copy(&ours, &raw).unwrap();

    let store = suite.block_on(open());
    suite.store(store, &RawSql(Rusqlite::open(&raw)));
}
