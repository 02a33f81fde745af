//! Connections: one that writes, several that read.
//!
//! SQLite lets one connection write at a time. Were writes spread over a pool, they would meet at the
//! file's lock, where SQLite waits by sleeping in growing steps and in no order: with eight writers
//! some wait for seconds. On one connection they queue in the pool, which is fair, and wait for the
//! disk alone. Readers see the last commit and are in nobody's way (write-ahead log).
//!
//! The connection that writes syncs each commit (`synchronous=FULL`), so a lone write takes about
//! 100 µs and a batch of 1,000 hardly more than its rows.
//!
//! Each writing statement is whole, committed by itself: an update with a repeated link,
//! `purge_clicks`, `reconcile` and `optimize` are several of them, and only `migrate` has a transaction.
//! The driver runs a statement to its end on the connection's own thread whether or not anybody still
//! waits for it, so a dropped future leaves it done or never begun. There is a second reason to keep
//! transactions out: when SQLite rolls one back by itself (the disk is full), sqlx 0.9 still counts it as
//! open, and the connection begins no other.
//!
//! Readers map the first part of the file into memory (`mmap_size`): what is read of a store is what no
//! cache had, so nearly every page comes from the kernel, and copying it costs as much as finding the
//! row: 64 codes take 2.8 µs each mapped, 6.5 with SQLite's own cache of 2 MB, 4.4 with one of 64 MB
//! for each reader. The connection that writes maps nothing.
//!
//! sqlx pings a connection when it comes back to its pool and again, unless told not to, before it is
//! handed out. The second costs as much as a read (20 µs), so it is off.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use linkly_core::{Error, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};

use crate::config::{PoolConfig, SqliteConfig, busy_timeout};
use crate::error;

/// How many rows of an answer wait in the driver's channel. With its 50 the thread of the connection
/// stops and starts within a page.
const ROW_BUFFER: usize = 1_024;
/// In KiB, as SQLite takes it: the pages of the indexes that a batch writes to.
const WRITER_CACHE: &str = "-16384";
/// The log is cut back to this when it was larger, once it has been copied into the database.
const JOURNAL_SIZE_LIMIT: &str = "67108864";

#[derive(Clone)]
pub(crate) struct Connections {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
    /// Both are the one connection that holds a database in memory.
    pub(crate) in_memory: bool,
}

/// By hand: a pool's own shows the options of its connections.
impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("in_memory", &self.in_memory).finish_non_exhaustive()
    }
}

/// What a URL asks for.
struct Place {
    options: SqliteConnectOptions,
    path: PathBuf,
    in_memory: bool,
    read_only: bool,
}

impl Connections {
    /// Opens the database, and creates folder and file unless the URL says otherwise.
    pub(crate) async fn open(config: &SqliteConfig) -> Result<Self> {
        let place = place_of(&config.url)?;
        let options = place.options.busy_timeout(busy_timeout(config.busy_timeout_ms)).row_buffer_size(ROW_BUFFER);
        if place.in_memory {
            // A database in memory lives as long as its connection.
            let pool = pool_of(&config.pool).max_connections(1).min_connections(1).idle_timeout(None);
            let pool = pool.connect_with(options).await.map_err(error::map)?;
            return Ok(Self { writer: pool.clone(), readers: pool, in_memory: true });
        }
        let readers = pool_of(&config.pool)
            .max_connections(config.pool.max.max(1))
            .idle_timeout(Duration::from_millis(config.pool.idle_timeout_ms));
        let reading = options.clone().pragma("query_only", "ON").pragma("mmap_size", config.mmap_bytes.to_string());
        let readers = readers.connect_lazy_with(reading);
        let writer = pool_of(&config.pool).max_connections(1).idle_timeout(None);
        if place.read_only {
            // Not `query_only`: the error of a write is to be SQLite's, which says why.
            let writer = connect(writer, &options, &place.path, config).await?;
            return Ok(Self { writer, readers, in_memory: false });
        }
        create_folder(&place.path)?;
        let writing = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("synchronous", config.synchronous.name())
            .pragma("cache_size", WRITER_CACHE)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT);
        let writer = connect(writer, &writing, &place.path, config).await?;
        Ok(Self { writer, readers, in_memory: false })
    }

    /// Takes the app's own pools, if they are fit.
    pub(crate) async fn adopt(writer: SqlitePool, readers: SqlitePool) -> Result<Self> {
        let mut missing = Vec::new();
        let journal: String = pragma(&writer, "PRAGMA journal_mode").await?;
        // Not by journal_mode, which is `memory` also of a file whose journal is there.
        let file: String = pragma(&writer, FILE).await?;
        let in_memory = file.is_empty();
        let read: String = pragma(&readers, FILE).await?;
        // By what the paths lead to: one of them may be a link.
        if place_on_disk(&read) != place_on_disk(&file) {
            let [read, written] = [&read, &file].map(|file| if file.is_empty() { "memory" } else { file });
            missing
                .push(format!("the readers read {read} and the writer writes {written}, they must have one database"));
        }
        if !in_memory && journal != "wal" {
            missing.push(format!("journal_mode of the writer is {journal}, it must be WAL"));
        }
        if in_memory && writer.options().get_max_connections() != 1 {
            missing.push("a database in memory needs one pool of one connection".to_owned());
        }
        if !in_memory && pragma::<i64>(&writer, "PRAGMA synchronous").await? == 0 {
            missing.push("synchronous of the writer is OFF, it must be NORMAL or FULL".to_owned());
        }
        if pragma::<i64>(&writer, "PRAGMA query_only").await? != 0 {
            missing.push("query_only of the writer is ON".to_owned());
        }
        for (name, pool) in [("writer", &writer), ("readers", &readers)] {
            if pragma::<i64>(pool, "PRAGMA busy_timeout").await? == 0 {
                missing.push(format!("busy_timeout of the {name} is 0, 5000 is usual"));
            }
        }
        if !missing.is_empty() {
            return Err(Error::invalid("pool", missing.join("; ")));
        }
        Ok(Self { readers: if in_memory { writer.clone() } else { readers }, writer, in_memory })
    }

    /// The readers first: the connection that closes last copies the log into the database.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The file that a connection has open; empty for a database in memory.
const FILE: &str = "SELECT file FROM pragma_database_list WHERE name = 'main'";

fn place_on_disk(path: &str) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.into())
}

async fn pragma<T>(pool: &SqlitePool, text: &'static str) -> Result<T>
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sqlx::query_scalar(text).fetch_one(pool).await.map_err(error::map)
}

fn pool_of(config: &PoolConfig) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Opens the first connection of a pool. Changing to the write-ahead log needs the file for itself,
/// and SQLite does not wait for that: of eight processes that create one database at once, seven are
/// told that it is busy, and ask again.
async fn connect(
    pool: SqlitePoolOptions,
    options: &SqliteConnectOptions,
    path: &Path,
    config: &SqliteConfig,
) -> Result<SqlitePool> {
    let deadline = Instant::now() + busy_timeout(config.busy_timeout_ms);
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Ok(pool) => return Ok(pool),
            Err(error) if error::is_busy(&error) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return Err(error::opening(path, error)),
        }
    }
}

fn place_of(url: &str) -> Result<Place> {
    let invalid = |reason: &str| Error::invalid("url", format!("{:?}: {reason}", shown(url)));
    if !url.starts_with("sqlite:") {
        return Err(invalid("it does not begin with sqlite:"));
    }
    let (database, query) = url.split_once('?').unwrap_or((url, ""));
    let has = |wanted: &[&str]| query.split('&').any(|pair| wanted.contains(&pair));
    let database = database.trim_start_matches("sqlite://").trim_start_matches("sqlite:");
    let options = SqliteConnectOptions::from_str(url).map_err(|error| invalid(&error.to_string()))?;
    if database == ":memory:" || has(&["mode=memory"]) {
        // Not the driver's own reading of it, which is a cache that connections share.
        let options = SqliteConnectOptions::new().filename(":memory:");
        return Ok(Place { options, path: PathBuf::new(), in_memory: true, read_only: false });
    }
    if database.is_empty() {
        return Err(invalid("it names no file"));
    }
    let path = options.get_filename().to_owned();
    let read_only = has(&["mode=ro", "immutable=1", "immutable=true"]);
    let options = options.create_if_missing(!read_only && !has(&["mode=rw"])).read_only(read_only);
    Ok(Place { options, path, in_memory: false, read_only })
}

/// A URL as an error may show it.
fn shown(url: &str) -> Cow<'_, str> {
    match url.split_once('?') {
        Some((place, _)) => format!("{place}?…").into(),
        None => url.into(),
    }
}

fn create_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|error| Error::Backend {
        backend: crate::BACKEND,
        reason: format!(
            "the folder {} cannot be created: create it, or choose a path that this process may write",
            folder.display()
        ),
        source: Some(std::sync::Arc::new(error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_file_or_memory() {
        for (url, path) in [
            ("sqlite:./data/linkly.db", "./data/linkly.db"),
            ("sqlite:///var/a.db", "/var/a.db"),
            ("sqlite:a%20b.db?mode=rw", "a b.db"),
        ] {
            let place = place_of(url).unwrap();
            assert_eq!((place.path.to_str().unwrap(), place.in_memory, place.read_only), (path, false, false));
        }
        assert!(place_of("sqlite::memory:").unwrap().in_memory);
        assert!(place_of("sqlite:a.db?mode=ro").unwrap().read_only);
    }

    #[test]
    fn another_url_is_refused_without_showing_its_query() {
        for bad in ["./linkly.db", "postgres://a", "sqlite:", "sqlite:a?key=secret", "sqlite:a?mode=odd"] {
            let error = place_of(bad).err().unwrap().to_string();
            assert!(error.contains("invalid url"), "{error}");
        }
    }
}
