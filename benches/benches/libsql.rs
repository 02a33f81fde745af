//! A libSQL server (sqld), beside the libsql crate with one connection.

use linkly_benches::{RawSql, SqlDriver, Suite};
use linkly_core::Linkly;
use linkly_sql::Value;
use linkly_store_libsql::LibsqlStore;
use linkly_store_libsql::libsql::{self, Builder, Connection};
use linkly_testkit::Sqld;

struct Driver(Connection);

impl SqlDriver for Driver {
    const ASKS_MANY: bool = true;

    async fn rows(&self, sql: &str, values: Vec<Value>) -> Vec<Vec<Value>> {
        let values: Vec<_> = values.into_iter().map(bound).collect();
        let mut answer = self.0.query(sql, values).await.unwrap();
        let (columns, mut rows) = (answer.column_count(), Vec::new());
        while let Some(row) = answer.next().await.unwrap() {
            rows.push((0..columns).map(|column| read(row.get_value(column).unwrap())).collect());
        }
        rows
    }

    /// More than one set would be as many round trips, so that none is made of several.
    async fn run(&self, sql: &str, sets: Vec<Vec<Value>>) {
        for values in sets {
            let values: Vec<_> = values.into_iter().map(bound).collect();
            // The server interrupts what takes it too long, a checkpoint included.
            while let Err(error) = self.0.execute(sql, values.clone()).await {
                assert!(error.to_string().contains("SQLITE_INTERRUPT"), "{error}");
            }
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
    let mut suite = Suite::of_store("libsql server");
    let server = Sqld::start();
    let (store, linkly, connection) = suite.block_on(async {
        let store = LibsqlStore::connect(server.url()).await.unwrap();
        let linkly = Linkly::builder(store.clone()).start().await.unwrap();
        let database = Builder::new_remote(server.url().to_owned(), String::new()).build().await.unwrap();
        (store, linkly, database.connect().unwrap())
    });
    suite.seed(&linkly);
    suite.store(store, &RawSql(Driver(connection)));
}
