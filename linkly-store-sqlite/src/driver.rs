//! What the store's statements run on: sqlx's pools.

use linkly_core::Result;
use linkly_sql::{Driver, Row, Sql, Statement, Value};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Connection, Row as _, SqlSafeStr, SqlStr, Sqlite, TypeInfo, ValueRef};

use crate::connection::Connections;
use crate::error;

impl Driver for Connections {
    fn backend(&self) -> &'static str {
        crate::BACKEND
    }

    fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        let rows = query(statement).fetch_all(&self.readers).await.map_err(error::map)?;
        rows.iter().map(row).collect()
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        Ok(query(statement).execute(&self.writer).await.map_err(error::map)?.rows_affected())
    }

    /// All rows, to the end: only the last step of a statement that returns rows commits it.
    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        let rows = query(statement).fetch_all(&self.writer).await.map_err(error::map)?;
        rows.iter().map(row).collect()
    }

    /// On one connection, which is closed on an error: when SQLite rolls a transaction back by itself, the
    /// driver still counts it as open.
    async fn transaction(&self, script: Sql) -> Result<()> {
        let mut connection = self.writer.acquire().await.map_err(error::map)?;
        let run = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::raw_sql(text(script)).execute(&mut *transaction).await?;
            transaction.commit().await
        };
        let done = run.await.map_err(error::map);
        if done.is_err() && !self.in_memory {
            connection.close_on_drop();
        }
        done
    }

    async fn optimize(&self) -> Result<()> {
        for pragma in ["PRAGMA writable_schema = RESET", "PRAGMA wal_checkpoint(PASSIVE)"] {
            sqlx::query(pragma).fetch_all(&self.writer).await.map_err(error::map)?;
        }
        Ok(())
    }
}

/// A statement for sqlx. The parameters are moved.
pub(crate) fn query(statement: Statement) -> Query<'static, Sqlite, SqliteArguments> {
    let query = sqlx::query(text(statement.sql));
    statement.parameters.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(value) => query.bind(value),
        Value::Real(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Blob(value) => query.bind(value),
    })
}

fn text(sql: Sql) -> SqlStr {
    match sql {
        Sql::Static(text) => text.into_sql_str(),
        // Made by `linkly-sql` out of its own texts; what callers ask for is in the parameters.
        Sql::Built(text) => AssertSqlSafe(text).into_sql_str(),
    }
}

/// A row of sqlx's.
pub(crate) fn row(row: &SqliteRow) -> Result<Row> {
    let values: Result<Vec<Value>, sqlx::Error> = (0..row.len()).map(|column| value(row, column)).collect();
    values.map(Row::new).map_err(error::map)
}

fn value(row: &SqliteRow, column: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(column)?;
    let kind = raw.type_info().into_owned();
    match kind.name() {
        "NULL" => Ok(Value::Null),
        "INTEGER" => row.try_get(column).map(Value::Integer),
        "REAL" => row.try_get(column).map(Value::Real),
        _ => row.try_get(column).map(Value::Blob),
    }
}
