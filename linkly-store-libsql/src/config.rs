//! What can be chosen about a database.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use linkly_core::{Error, Folding, Result};
use linkly_sql::{SchemaConfig, Synchronous};
use serde::Deserialize;

use crate::place;

/// What can be chosen about a database. Keys that are not known are refused when it is read. It cannot be
/// written: it holds a token.
///
/// ```
/// # use linkly_store_libsql::LibsqlConfig;
/// let config: LibsqlConfig = serde_json::from_str(
///     r#"{ "url": "libsql://links-acme.turso.io", "auth_token": "…", "pool": { "max": 4 } }"#,
/// )?;
/// assert_eq!((config.pool.max, config.pool.acquire_timeout_ms), (4, 5_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LibsqlConfig {
    /// Where the database is: `file:` and a path, `file::memory:`, `libsql://` and a host, or a server's
    /// `https://` or `http://`. Behind the `?` of a server, `authToken` is the token, and `tls=0` makes
    /// `libsql://` plain HTTP.
    pub url: String,
    /// The token, where it does not stand in the URL.
    #[serde(default)]
    pub auth_token: Option<String>,
    /// The connections that read.
    #[serde(default)]
    pub pool: PoolConfig,
    /// Whether codes fold case. `None`, the default, is what the database was made with, and
    /// [`Folding::Sensitive`] for a new one. Another folding than the database's is an error.
    #[serde(default)]
    pub folding: Option<Folding>,
    /// What stands in front of the name of each table, index, view and trigger: at most 32 of a-z,
    /// 0-9 and `_`, a letter or `_` first. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// Keeps an index over the clicks of each code, so that one code's clicks are listed without
    /// reading others of the same hours. Each click costs several times as much to write. Made when the
    /// database is migrated. Default: no.
    #[serde(default)]
    pub clicks_by_code_index: bool,
    /// How long a call to a server may take, in milliseconds; a migration may take a minute. Default: 5,000.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u64,
    /// A copy of a server's database in a file, for lists and statistics. Default: none.
    #[serde(default)]
    pub replica: Option<ReplicaConfig>,
    /// What a commit to a file waits for.
    #[serde(default)]
    pub synchronous: Synchronous,
    /// How long a statement waits for another process's lock on the file, in milliseconds. Default: 5,000.
    #[serde(default = "busy_timeout_ms")]
    pub busy_timeout_ms: u64,
    /// How much of the file readers map into memory, in bytes; nothing is copied and nothing held by
    /// this process. Default: 2,147,418,112 (2 GiB less 64 KiB), the most that SQLite maps as it is usually
    /// compiled. A disk that fails under a mapped page, or a file that another program cuts short, ends the
    /// process by a signal instead of an error: 0 turns it off.
    #[serde(default = "mmap_bytes")]
    pub mmap_bytes: u64,
}

/// The connections that read, a file or a server. Writes have one of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The most connections that read. A server has a limit of its own for all its clients (sqld's is 128).
    /// Default: 10.
    pub max: u32,
    /// How long a call waits for a connection, in milliseconds. Default: 5,000.
    pub acquire_timeout_ms: u64,
}

/// A copy of a server's database in a file of this process, which answers lists and statistics.
///
/// Experimental, as libsql's embedded replicas are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// The file. No other process may use it.
    pub path: PathBuf,
    /// How old an answer may be, in milliseconds: before one that would be older, the copy is brought up to
    /// date. 0 does so before each. Default: 1,000.
    #[serde(default = "max_staleness_ms")]
    pub max_staleness_ms: u64,
}

impl LibsqlConfig {
    /// The defaults for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            auth_token: None,
            pool: PoolConfig::default(),
            folding: None,
            prefix: String::new(),
            clicks_by_code_index: false,
            request_timeout_ms: request_timeout_ms(),
            replica: None,
            synchronous: Synchronous::default(),
            busy_timeout_ms: busy_timeout_ms(),
            mmap_bytes: mmap_bytes(),
        }
    }

    /// The defaults for the database at `LIBSQL_URL`, with the token in `LIBSQL_AUTH_TOKEN` where that is set.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when `LIBSQL_URL` is not set.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let url = variable("LIBSQL_URL").ok_or_else(|| {
            Error::invalid("LIBSQL_URL", "it is not set: set it to file:./links.db, or to libsql:// and a host")
        })?;
        Ok(Self { auth_token: variable("LIBSQL_AUTH_TOKEN"), ..Self::new(url) })
    }

    /// With this token.
    #[must_use]
    pub fn with_auth_token(mut self, token: impl Into<String>) -> Self {
        self.auth_token = Some(token.into());
        self
    }

    /// With these connections that read.
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

    /// With calls to a server that take no longer than this.
    #[must_use]
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout_ms = millis(timeout);
        self
    }

    /// With a copy of a server's database for lists and statistics.
    #[must_use]
    pub fn with_replica(mut self, replica: ReplicaConfig) -> Self {
        self.replica = Some(replica);
        self
    }

    /// With commits to a file that wait for this.
    #[must_use]
    pub fn with_synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Waiting so long for another process's lock on the file.
    #[must_use]
    pub fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout_ms = millis(timeout);
        self
    }

    /// With so many bytes of the file mapped by readers; 0 for none.
    #[must_use]
    pub fn with_mmap_bytes(mut self, bytes: u64) -> Self {
        self.mmap_bytes = bytes;
        self
    }

    pub(crate) fn schema(&self) -> SchemaConfig {
        SchemaConfig::new(&self.prefix, self.folding, self.clicks_by_code_index)
    }
}

impl PoolConfig {
    /// With at most so many connections.
    #[must_use]
    pub fn with_max(mut self, max: u32) -> Self {
        self.max = max;
        self
    }

    /// Waiting so long for a connection.
    #[must_use]
    pub fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout_ms = millis(timeout);
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { max: 10, acquire_timeout_ms: 5_000 }
    }
}

impl ReplicaConfig {
    /// A copy in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), max_staleness_ms: max_staleness_ms() }
    }

    /// With answers that are no older than this.
    #[must_use]
    pub fn with_max_staleness(mut self, staleness: Duration) -> Self {
        self.max_staleness_ms = millis(staleness);
        self
    }
}

/// By hand: without the token.
impl fmt::Debug for LibsqlConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LibsqlConfig")
            .field("url", &place::shown(&self.url))
            .field("auth_token", &self.auth_token.as_ref().map(|_| "…"))
            .field("pool", &self.pool)
            .field("folding", &self.folding)
            .field("prefix", &self.prefix)
            .field("clicks_by_code_index", &self.clicks_by_code_index)
            .field("request_timeout_ms", &self.request_timeout_ms)
            .field("replica", &self.replica)
            .field("synchronous", &self.synchronous)
            .field("busy_timeout_ms", &self.busy_timeout_ms)
            .field("mmap_bytes", &self.mmap_bytes)
            .finish()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const fn request_timeout_ms() -> u64 {
    5_000
}

const fn busy_timeout_ms() -> u64 {
    5_000
}

const fn mmap_bytes() -> u64 {
    // SQLITE_MAX_MMAP_SIZE.
    0x7fff_0000
}

const fn max_staleness_ms() -> u64 {
    1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        for bad in [
            r#"{"url":"file:a","colour":1}"#,
            r#"{"url":"file:a","pool":{"maximum":1}}"#,
            r#"{"url":"http://a","replica":{"path":"b","mode":1}}"#,
            r#"{}"#,
        ] {
            assert!(serde_json::from_str::<LibsqlConfig>(bad).is_err(), "{bad}");
        }
        let config: LibsqlConfig =
            serde_json::from_str(r#"{"url":"http://a","folding":"lower","replica":{"path":"b"}}"#).unwrap();
        let wanted = LibsqlConfig::new("http://a").with_folding(Folding::Lower).with_replica(ReplicaConfig::new("b"));
        assert_eq!(config, wanted);
    }

    #[test]
    fn the_environment_says_where_the_database_is() {
        let config = LibsqlConfig::from_variables(|name| Some(format!("the {name}"))).unwrap();
        assert_eq!(config, LibsqlConfig::new("the LIBSQL_URL").with_auth_token("the LIBSQL_AUTH_TOKEN"));
        let error = LibsqlConfig::from_variables(|_| None).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("LIBSQL_URL"), "{error}");
    }

    #[test]
    fn debug_shows_no_token() {
        let config = LibsqlConfig::new("libsql://a.io?authToken=secret").with_auth_token("secret");
        let shown = format!("{config:?}");
        assert!(shown.contains("a.io") && !shown.contains("secret"), "{shown}");
    }
}
