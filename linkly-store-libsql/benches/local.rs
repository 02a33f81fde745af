//! libSQL in a file, beside the libsql crate with one connection, on a file of its own with the same pragmas.
//!
//! Here and not with the other benchmarks, whose package links the SQLite of sqlx.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use linkly_benches::{RawSql, SqlDriver, Suite};
use linkly_core::Linkly;
use linkly_store_libsql::libsql::{self, Builder, Connection};
use linkly_store_libsql::{LibsqlStore, Value};

struct Driver {
    connection: Connection,
    /// By their text; the crate keeps none.
    prepared: RefCell<HashMap<String, Rc<libsql::Statement>>>,
}

impl Driver {
    async fn open(file: &Path) -> Self {
        let connection = Builder::new_local(file).build().await.unwrap().connect().unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").await.unwrap();
        Self { connection, prepared: RefCell::default() }
    }

    async fn prepared(&self, sql: &str) -> Rc<libsql::Statement> {
        let known = self.prepared.borrow().get(sql).cloned();
        if let Some(statement) = known {
            return statement;
        }
        let statement = Rc::new(self.connection.prepare(sql).await.unwrap());
        self.prepared.borrow_mut().insert(sql.to_owned(), statement.clone());
        statement
    }
}

impl SqlDriver for Driver {
    const ASKS_MANY: bool = false;

    async fn rows(&self, sql: &str, values: Vec<Value>) -> Vec<Vec<Value>> {
        let statement = self.prepared(sql).await;
        let values: Vec<_> = values.into_iter().map(bound).collect();
        let mut answer = statement.query(values).await.unwrap();
        let (columns, mut rows) = (answer.column_count(), Vec::new());
        while let Some(row) = answer.next().await.unwrap() {
            rows.push((0..columns).map(|column| read(row.get_value(column).unwrap())).collect());
        }
        statement.reset();
        rows
    }

    async fn run(&self, sql: &str, sets: Vec<Vec<Value>>) {
        let statement = self.prepared(sql).await;
        let many = sets.len() > 1;
        if many {
            self.connection.execute("BEGIN IMMEDIATE", ()).await.unwrap();
        }
        for values in sets {
            let values: Vec<_> = values.into_iter().map(bound).collect();
            statement.execute(values).await.unwrap();
            statement.reset();
        }
        if many {
            self.connection.execute("COMMIT", ()).await.unwrap();
        }
    }
}

fn bound(value: Value) -> libsql::Value {
    match value {
        Value::Null => libsql::Value::Null,
        Value::Integer(value) => libsql::Value::Integer(value),
        Value::Real(value) => libsql::Value::Real(value),
        Value::Text(value) => libsql::Value::Text(value),
        Value::Blob(value) => libsql::Value::Blob(value),
    }
}

fn read(value: libsql::Value) -> Value {
    match value {
        libsql::Value::Null => Value::Null,
        libsql::Value::Integer(value) => Value::Integer(value),
        libsql::Value::Real(value) => Value::Real(value),
        libsql::Value::Text(value) => Value::Text(value),
        libsql::Value::Blob(value) => Value::Blob(value),
    }
}

fn main() {
    let mut suite = Suite::of_store("libsql file");
    let folder = tempfile::tempdir().unwrap();
    let (ours, raw) = (folder.path().join("ours.db"), folder.path().join("raw.db"));
    let open = async || LibsqlStore::connect(&format!("file:{}", ours.display())).await.unwrap();

    let store = suite.block_on(open());
    let linkly = suite.block_on(async { Linkly::builder(store.clone()).start().await.unwrap() });
    suite.seed(&linkly);
    suite.block_on(async {
        linkly.shutdown(Duration::from_secs(10)).await;
        store.close().await;
    });
    std::fs::copy(&ours, &raw).unwrap();

    let store = suite.block_on(open());
    let driver = suite.block_on(Driver::open(&raw));
    suite.store(store, &RawSql(driver));
}
