//! The app's own SQL, and links inside its transactions.

use libsql::Connection;
use linkly_core::{Insert, Link, Result};
use linkly_sql::{Row, Sql, Statement, Value};

use crate::error::Failure;
use crate::row::{row_of, values};
use crate::store::LibsqlStore;

impl LibsqlStore {
    /// Runs one statement of the app's own, on the connection that writes; how many rows an INSERT, UPDATE or
    /// DELETE changed.
    ///
    /// # Errors
    ///
    /// What SQLite says of it; those of any write.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the statement done or not begun.
    pub async fn execute(&self, sql: &str, parameters: Vec<Value>) -> Result<u64> {
        self.sql.driver().0.write(statement(sql, parameters)).await.map_err(Failure::into_error_of_app)
    }

    /// The rows of one statement of the app's own, on a connection that reads: one to a file refuses to write,
    /// and to a server a statement may be sent twice.
    ///
    /// Parameters are `?1`, or `?` for the next one. A text that is not UTF-8, or holds a NUL, is asked for as bytes:
    /// `CAST(url AS BLOB)`.
    ///
    /// # Errors
    ///
    /// What SQLite says of it; those of any read.
    pub async fn query(&self, sql: &str, parameters: Vec<Value>) -> Result<Vec<Row>> {
        self.sql.driver().0.read(statement(sql, parameters)).await.map_err(Failure::into_error_of_app)
    }

    /// A new connection to the same database, for what needs one of its own: a transaction. One to a file works
    /// on the thread that it is used on, and blocks it.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`](linkly_core::Error::Refused) for a database in memory, which is one connection.
    pub fn connection(&self) -> Result<Connection> {
        self.sql.driver().0.connect().map_err(Failure::into_error)
    }

    /// Inserts a link inside the app's own transaction: it is there when the app's rows are, or never was.
    ///
    /// The engine learns of the link by the change log: until then a known absence may be answered.
    ///
    /// ```no_run
    /// use linkly_core::{Code, Link, chrono::Utc};
    /// use linkly_store_libsql::{LibsqlStore, libsql::TransactionBehavior};
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// let store = LibsqlStore::connect("libsql://links-acme.turso.io?authToken=…").await?;
    /// let link = Link::new(Code::new("order-7")?, "https://iii.dev/orders/7", Utc::now());
    /// let connection = store.connection()?;
    /// let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).await?;
    /// // ... the app's own rows ...
    /// store.insert_in(&transaction, &link).await?;
    /// transaction.commit().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Of [`LinkStore::insert`](linkly_core::LinkStore::insert). After an error roll back.
    pub async fn insert_in(&self, transaction: &Connection, link: &Link) -> Result<Insert> {
        let links = std::slice::from_ref(link);
        let insert = self.sql.insert_links(links)?;
        let inserted = transaction.execute(&insert.sql, values(insert.parameters)).await;
        if inserted.map_err(|found| Failure::from(found).into_error())? == 1 {
            return Ok(Insert::Inserted);
        }
        let rows = ask(transaction, self.sql.ask_inserted(links)).await;
        let rows = rows.map_err(|found| Failure::from(found).into_error())?;
        Ok(self.sql.read_inserted(links, rows)?.first().copied().unwrap_or(Insert::CodeTaken))
    }
}

async fn ask(connection: &Connection, statement: Statement) -> libsql::Result<Vec<Row>> {
    let mut answer = connection.query(&statement.sql, values(statement.parameters)).await?;
    let mut rows = Vec::new();
    while let Some(row) = answer.next().await? {
        rows.push(row_of(&row)?);
    }
    Ok(rows)
}

fn statement(sql: &str, parameters: Vec<Value>) -> Statement {
    parameters.into_iter().fold(Statement::new(Sql::Built(sql.into())), Statement::bind)
}
