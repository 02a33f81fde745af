//! What can be chosen about a database.

use std::fmt;
use std::time::Duration;

use linkly_core::Folding;
use linkly_sql::{SchemaConfig, Synchronous};
use serde::{Deserialize, Serialize};

/// What can be chosen about a database. Keys that are not known are refused when it is read.
///
/// ```
/// # use linkly_store_sqlite::SqliteConfig;
/// let config: SqliteConfig = serde_json::from_str(
///     r#"{ "url": "sqlite:./data/linkly.db", "pool": { "max": 4 } }"#,
/// )?;
/// assert_eq!((config.pool.max, config.pool.acquire_timeout_ms), (4, 5_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SqliteConfig {
    /// `sqlite:` and a path, or `sqlite::memory:`. Behind a `?`, `mode=ro` opens a database that is
    /// there only to read it, `mode=rw` creates none, `immutable=1` reads a file that nobody writes.
    pub url: String,
    /// The pool of readers.
    #[serde(default)]
    pub pool: PoolConfig,
    /// Whether codes fold case. `None`, the default, is what the database was made with, and
    /// [`Folding::Sensitive`] for a new one. Another folding than the database's is an error.
    #[serde(default)]
    pub folding: Option<Folding>,
    /// What a commit waits for.
    #[serde(default)]
    pub synchronous: Synchronous,
    /// How long a statement waits for another process's write lock, in milliseconds. Default: 5,000.
    #[serde(default = "busy_timeout_ms")]
    pub busy_timeout_ms: u64,
    /// How much of the file readers map into memory, in bytes; nothing is copied and nothing held by
    /// this process. Default: 2,147,418,112 (2 GiB less 64 KiB), the most that SQLite maps as it is usually
    /// compiled. A disk that fails under a mapped page, or a file that another program cuts short, ends the
    /// process by a signal instead of an error: 0 turns it off.
    #[serde(default = "mmap_bytes")]
    pub mmap_bytes: u64,
    /// What stands in front of the name of each table, index, view and trigger: at most 32 of a-z,
    /// 0-9 and `_`, a letter or `_` first. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// Keeps an index over the clicks of each code, so that one code's clicks are listed without
    /// reading others of the same hours. Each click costs several times as much to write (at a
    /// million codes 13 µs instead of 2). Made when the database is migrated. Default: no.
    #[serde(default)]
    pub clicks_by_code_index: bool,
}

/// The pool of readers. Writes have one connection of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The most connections that read. Default: 10.
    pub max: u32,
    /// How long a call waits for a connection, in milliseconds. Default: 5,000.
    pub acquire_timeout_ms: u64,
    /// After how long an unused reader is closed, in milliseconds. Default: 30,000.
    pub idle_timeout_ms: u64,
}

impl SqliteConfig {
    /// The defaults for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool: PoolConfig::default(),
            folding: None,
            synchronous: Synchronous::default(),
            busy_timeout_ms: busy_timeout_ms(),
            mmap_bytes: mmap_bytes(),
            prefix: String::new(),
            clicks_by_code_index: false,
        }
    }

    /// With this pool of readers.
    #[must_use]
    pub fn with_pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// With this folding.
    #[must_use]
    pub fn with_folding(mut self, folding: Folding) -> Self {
        self.folding = Some(folding);
        self
    }

    /// With commits that wait for this.
    #[must_use]
    pub fn with_synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Waiting so long for another process's write lock.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// With so many bytes of the file mapped by readers; 0 for none.
    #[must_use]
    pub fn with_mmap_bytes(mut self, bytes: u64) -> Self {
        self.mmap_bytes = bytes;
        self
    }

    /// With this in front of every name.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// With an index over the clicks of each code.
    #[must_use]
    pub fn with_clicks_by_code_index(mut self) -> Self {
        self.clicks_by_code_index = true;
        self
    }

    pub(crate) fn schema(&self) -> SchemaConfig {
        SchemaConfig::new(&self.prefix, self.folding, self.clicks_by_code_index)
    }
}

impl PoolConfig {
    /// With at most so many readers.
    #[must_use]
    pub fn with_max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Waiting so long for a connection.
    #[must_use]
    pub fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Closing readers that were unused for so long.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { max: 10, acquire_timeout_ms: 5_000, idle_timeout_ms: 30_000 }
    }
}

const fn busy_timeout_ms() -> u64 {
    5_000
}

const fn mmap_bytes() -> u64 {
    // SQLITE_MAX_MMAP_SIZE.
    0x7fff_0000
}

/// The driver takes milliseconds that fit 31 bits, and panics at more.
pub(crate) fn busy_timeout(millis: u64) -> Duration {
    Duration::from_millis(millis.min(i32::MAX as u64))
}

/// By hand: what stands behind the `?` of a URL may be a secret of some build of SQLite.
impl fmt::Debug for SqliteConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConfig")
            .field("url", &self.url.split('?').next().unwrap_or_default())
            .field("pool", &self.pool)
            .field("folding", &self.folding)
            .field("synchronous", &self.synchronous)
            .field("busy_timeout_ms", &self.busy_timeout_ms)
            .field("mmap_bytes", &self.mmap_bytes)
            .field("prefix", &self.prefix)
            .field("clicks_by_code_index", &self.clicks_by_code_index)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        for bad in [r#"{"url":"sqlite:a","colour":1}"#, r#"{"url":"sqlite:a","pool":{"maximum":1}}"#, r#"{}"#] {
            assert!(serde_json::from_str::<SqliteConfig>(bad).is_err(), "{bad}");
        }
        let config: SqliteConfig =
            serde_json::from_str(r#"{"url":"sqlite:a","folding":"lower","synchronous":"normal"}"#).unwrap();
        let wanted = SqliteConfig::new("sqlite:a").with_folding(Folding::Lower).with_synchronous(Synchronous::Normal);
        assert_eq!(config, wanted);
    }

    #[test]
    fn debug_prints_nothing_behind_the_question_mark() {
        let config = SqliteConfig::new("sqlite:./a.db?key=secret");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
