//! A database in a file or in memory.
//!
//! One connection writes, several read, as in `linkly-store-sqlite`, and for the same reasons: SQLite lets one
//! connection write at a time, and several would meet at the file's lock, where it waits by sleeping.

mod session;
mod workers;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use libsql::{Builder, Connection, Database};
use linkly_core::Error;
use linkly_sql::{Row, Sql, Statement, during};

use self::session::Session;
pub(crate) use self::workers::{Workers, now};
use crate::config::LibsqlConfig;
use crate::connections::{Connections, Result};
use crate::error::{self, Failure, Kind, kind};

/// In KiB, as SQLite takes it: the pages of the indexes that a batch writes to.
const WRITER_CACHE: &str = "PRAGMA cache_size = -16384";
/// The log is cut back to this when it was larger, once it has been copied into the database.
const JOURNAL_SIZE_LIMIT: &str = "PRAGMA journal_size_limit = 67108864";

/// Result codes of a lock that another connection holds.
const BUSY: [i32; 2] = [5, 6];

pub(crate) struct Local {
    database: Arc<Database>,
    /// `None` for one in memory, which is the writer's connection.
    path: Option<PathBuf>,
    busy_timeout: Duration,
    writer: Workers,
    readers: Option<Workers>,
}

impl Local {
    /// Opens a file, which is created with its folder, or a database in memory.
    pub(crate) async fn open(path: Option<PathBuf>, config: &LibsqlConfig) -> Result<Self> {
        if let Some(path) = &path {
            create_folder(path)?;
        }
        let database = now(Builder::new_local(path.as_deref().unwrap_or(Path::new(":memory:"))).build())?;
        Self::new(Arc::new(database), path, config).await
    }

    /// Takes the app's own database.
    pub(crate) async fn new(database: Arc<Database>, path: Option<PathBuf>, config: &LibsqlConfig) -> Result<Self> {
        let busy_timeout = busy_timeout(config);
        let acquire_timeout = Duration::from_millis(config.pool.acquire_timeout_ms);
        let (reopens, readers) = match &path {
            Some(_) => (true, Some(readers(database.clone(), config))),
            None => (false, None),
        };
        let writer = {
            let (database, path, config) = (database.clone(), path.clone(), config.clone());
            let open = move || {
                let path = path.as_deref();
                open_writer(&database, path, &config).map_err(|failure| match path {
                    Some(path) => during(&path.display().to_string(), failure.into_error()).into(),
                    None => failure,
                })
            };
            Workers::new("linkly-libsql-writer", 1, acquire_timeout, reopens, open)
        };
        let local = Self { database, path, busy_timeout, writer, readers };
        // The file is made, and looked at, now.
        local.writer.run(|_| Ok(())).await?;
        Ok(local)
    }
}

/// The connections that read a file.
pub(crate) fn readers(database: Arc<Database>, config: &LibsqlConfig) -> Workers {
    let (busy_timeout, mmap_bytes) = (busy_timeout(config), config.mmap_bytes);
    let acquire_timeout = Duration::from_millis(config.pool.acquire_timeout_ms);
    Workers::new("linkly-libsql-reader", config.pool.max, acquire_timeout, true, move || {
        let connection = database.connect()?;
        connection.busy_timeout(busy_timeout)?;
        pragma(&connection, "PRAGMA query_only = ON")?;
        pragma(&connection, &format!("PRAGMA mmap_size = {mmap_bytes}"))?;
        Ok(Session::new(connection))
    })
}

/// What a statement answers on a connection.
pub(crate) async fn read_on(workers: &Workers, statement: Statement) -> Result<Vec<Row>> {
    workers.run(move |session| Ok(now(session.run(statement))?)).await
}

/// SQLite takes milliseconds that fit 31 bits.
fn busy_timeout(config: &LibsqlConfig) -> Duration {
    Duration::from_millis(config.busy_timeout_ms.min(i32::MAX as u64))
}

fn open_writer(database: &Database, path: Option<&Path>, config: &LibsqlConfig) -> Result<Session> {
    let connection = database.connect()?;
    connection.busy_timeout(busy_timeout(config))?;
    if path.is_some() {
        use_write_ahead_log(&connection, busy_timeout(config))?;
        pragma(&connection, &format!("PRAGMA synchronous = {}", config.synchronous.name()))?;
        pragma(&connection, WRITER_CACHE)?;
        pragma(&connection, JOURNAL_SIZE_LIMIT)?;
    }
    Ok(Session::new(connection))
}

/// Changing to the write-ahead log needs the file for itself, and SQLite does not wait for that: of eight
/// processes that create one database at once, seven are told that it is busy, and ask again.
fn use_write_ahead_log(connection: &Connection, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        match pragma(connection, "PRAGMA journal_mode = WAL") {
            Ok(mode) if mode.as_deref() == Some("wal") => return Ok(()),
            Ok(mode) => {
                let mode = mode.unwrap_or_default();
                let reason = format!("the write-ahead log cannot be used here, the journal stays {mode}");
                return Err(error::failed(reason, None).into());
            }
            Err(Failure::Driver(found)) if is_busy(&found) && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(failure) => return Err(failure),
        }
    }
}

fn is_busy(error: &libsql::Error) -> bool {
    matches!(kind(error), Kind::Statement { code, .. } if BUSY.contains(&(code & 0xff)))
}

/// Runs a pragma; the text that it answers.
fn pragma(connection: &Connection, sql: &str) -> Result<Option<String>> {
    let mut rows = now(connection.query(sql, ()))?;
    let mut answer = None;
    while let Some(row) = now(rows.next())? {
        answer = row.get_value(0)?.as_text().cloned();
    }
    Ok(answer)
}

#[async_trait]
impl Connections for Local {
    fn is_closed(&self) -> bool {
        self.writer.is_closed()
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        read_on(self.readers.as_ref().unwrap_or(&self.writer), statement).await
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        let write = move |session: &mut Session| {
            now(session.run(statement))?;
            Ok(session.changed())
        };
        self.writer.run(write).await
    }

    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        read_on(&self.writer, statement).await
    }

    async fn transaction(&self, script: Sql) -> Result<()> {
        self.writer
            .run(move |session| {
                let run = |sql: &str| now(session.connection.execute_batch(sql)).map(|_| ());
                run("BEGIN IMMEDIATE")?;
                let done = run(&script).and_then(|()| run("COMMIT"));
                if done.is_err() {
                    // An error is that SQLite has rolled back by itself.
                    let _ = run("ROLLBACK");
                }
                Ok(done?)
            })
            .await
    }

    async fn optimize(&self) -> Result<()> {
        self.writer
            .run(|session| {
                pragma(&session.connection, "PRAGMA writable_schema = RESET")?;
                pragma(&session.connection, "PRAGMA wal_checkpoint(PASSIVE)").map(|_| ())
            })
            .await
    }

    async fn vacuum(&self) -> Result<()> {
        self.writer.run(|session| Ok(now(session.connection.execute_batch("VACUUM")).map(|_| ())?)).await
    }

    async fn copy_to(&self, path: String) -> Result<()> {
        let copy = move |connection: &Connection| Ok(now(connection.execute("VACUUM INTO ?1", [path])).map(|_| ())?);
        if self.path.is_none() {
            // No other connection can see it.
            return self.writer.run(move |session| copy(&session.connection)).await;
        }
        // Neither the writer nor a reader, which would be missing for as long as it takes.
        let connection = self.connect()?;
        let copied = tokio::task::spawn_blocking(move || copy(&connection)).await;
        copied.unwrap_or_else(|ended| Err(error::unavailable(&format!("the copy was given up: {ended}"), None).into()))
    }

    fn connect(&self) -> Result<Connection> {
        if self.path.is_none() {
            let reason = "a database in memory is its one connection: use execute and query";
            return Err(error::refused(reason).into());
        }
        let connection = self.database.connect()?;
        connection.busy_timeout(self.busy_timeout)?;
        Ok(connection)
    }

    /// The readers first: the connection that closes last copies the log into the database.
    async fn close(&self) {
        if let Some(readers) = &self.readers {
            readers.close().await;
        }
        self.writer.close().await;
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("path", &self.path).field("readers", &self.readers).finish_non_exhaustive()
    }
}

pub(crate) fn create_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|found| {
        let reason = format!(
            "the folder {} cannot be created: create it, or choose a path that this process may write",
            folder.display()
        );
        Error::Backend { backend: crate::BACKEND, reason, source: Some(Arc::new(found)) }.into()
    })
}
