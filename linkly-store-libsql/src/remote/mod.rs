//! A database on a server, by HTTP.
//!
//! A statement is one request, on a connection to SQLite that the server opens for it and closes after it. So
//! there is nothing at the server that could expire, or be left in the middle of something.
//!
//! One of the connections writes, as to a file: SQLite lets one connection write at a time, and several would meet
//! at the server's lock, where they wait in no order and are told after five seconds that it is busy, or are
//! interrupted (tried). Here they queue, and only those of different processes meet there.
//!
//! Every call is a task of its own on the runtime that opened the store. It runs to its end or its deadline
//! whether or not anybody still waits for it, and the connections of a pool belong to no runtime that ends before
//! it, as those of Actix's workers might.

mod literals;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use libsql::{Builder, Connection, Database};
use linkly_core::Error;
use linkly_sql::{Row, Sql, Statement};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::literals::with_literals;
use crate::config::LibsqlConfig;
use crate::connections::{Connections, Result};
use crate::error::{self, Kind, kind};
use crate::row::{row_of, values};

/// How long a migration may take: a server runs its statements one after the other, over all rows.
const TRANSACTION: Duration = Duration::from_secs(60);

pub(crate) struct Remote {
    database: Arc<Database>,
    writer: Arc<Pool>,
    readers: Arc<Pool>,
    runtime: Handle,
    acquire_timeout: Duration,
    request_timeout: Duration,
}

/// Connections of libsql's, each of which sends one request at a time.
struct Pool {
    database: Arc<Database>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Remote {
    pub(crate) async fn open(url: &str, token: &str, config: &LibsqlConfig) -> Result<Self> {
        let database = Builder::new_remote(url.to_owned(), token.to_owned()).build().await?;
        Self::new(Arc::new(database), config)
    }

    /// Takes the app's own database.
    pub(crate) fn new(database: Arc<Database>, config: &LibsqlConfig) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::invalid("runtime", "there is none: connect inside a runtime of tokio's"))?;
        Ok(Self {
            writer: Arc::new(Pool::new(database.clone(), 1)),
            readers: Arc::new(Pool::new(database.clone(), config.pool.max)),
            database,
            runtime,
            acquire_timeout: Duration::from_millis(config.pool.acquire_timeout_ms),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
        })
    }

    /// Sends a request on a connection of a pool.
    async fn send<T, F>(
        &self,
        pool: &Arc<Pool>,
        deadline: Duration,
        request: impl FnOnce(Connection) -> F + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = libsql::Result<T>> + Send + 'static,
    {
        let permit = match timeout(self.acquire_timeout, pool.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(error::unavailable("this store was closed", None).into()),
            Err(_) => {
                return Err(error::no_connection().into());
            }
        };
        let pool = pool.clone();
        self.spawn(async move {
            let _permit = permit;
            let connection = pool.connection()?;
            let Ok(done) = timeout(deadline, request(connection.clone())).await else {
                let reason = format!("the server did not answer within {deadline:?}");
                return Err(error::unavailable(&reason, None).into());
            };
            // One that failed is given up, with what it has open to the server.
            if done.as_ref().err().is_none_or(|found| matches!(kind(found), Kind::Statement { .. })) {
                pool.keep(connection);
            }
            Ok(done?)
        })
        .await
    }

    /// Runs a call as a task, which a dropped future does not stop.
    pub(crate) async fn spawn<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.runtime.spawn(call).await.unwrap_or_else(|ended| {
            let reason =
                if ended.is_panic() { "the driver panicked" } else { "the runtime it was opened in has ended" };
            Err(error::unavailable(reason, None).into())
        })
    }

    async fn rows(&self, pool: &Arc<Pool>, sql: String) -> Result<Vec<Row>> {
        self.send(pool, self.request_timeout, move |connection| async move {
            let mut answers = connection.execute_batch(&sql).await?;
            let mut rows = Vec::new();
            while let Some(answer) = answers.next_stmt_row() {
                let Some(mut answer) = answer else { continue };
                while let Some(row) = answer.next().await? {
                    rows.push(row_of(&row)?);
                }
            }
            Ok(rows)
        })
        .await
    }

    #[cfg(feature = "replica")]
    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }
}

impl Pool {
    fn new(database: Arc<Database>, max: u32) -> Self {
        let max = usize::try_from(max.max(1)).unwrap_or(1).min(Semaphore::MAX_PERMITS);
        Self { database, permits: Arc::new(Semaphore::new(max)), idle: Mutex::default() }
    }

    /// The connection that was used last, or a new one.
    fn connection(&self) -> libsql::Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.database.connect(), Ok)
    }

    fn keep(&self, connection: Connection) {
        if !self.permits.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }

    fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[async_trait]
impl Connections for Remote {
    fn is_closed(&self) -> bool {
        self.writer.permits.is_closed()
    }

    /// Once more when the connection failed: one that was kept may turn out to be closed.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        let sql = with_literals(&statement);
        match self.rows(&self.readers, sql.clone()).await {
            Err(failure) if failure.is_of_connection() => self.rows(&self.readers, sql).await,
            done => done,
        }
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        self.send(&self.writer, self.request_timeout, move |connection| async move {
            connection.execute(&statement.sql, values(statement.parameters)).await
        })
        .await
    }

    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        self.rows(&self.writer, with_literals(&statement)).await
    }

    async fn transaction(&self, script: Sql) -> Result<()> {
        self.send(&self.writer, TRANSACTION, move |connection| async move {
            connection.execute_transactional_batch(&script).await.map(|_| ())
        })
        .await
    }

    /// A server takes no pragmas.
    async fn optimize(&self) -> Result<()> {
        Ok(())
    }

    async fn vacuum(&self) -> Result<()> {
        Err(error::refused("a server takes no VACUUM: it is for whoever runs it").into())
    }

    async fn copy_to(&self, _: String) -> Result<()> {
        Err(error::refused("a server's database is copied by whoever runs it").into())
    }

    fn connect(&self) -> Result<Connection> {
        Ok(self.database.connect()?)
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

/// By hand: without the token.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("request_timeout", &self.request_timeout).finish_non_exhaustive()
    }
}
