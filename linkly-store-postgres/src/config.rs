//! What can be chosen about a database.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use linkly_core::{Error, Folding, Result};
use serde::{Deserialize, Serialize};

/// What can be chosen about a database. Keys that are not known are refused when it is read.
///
/// ```
/// # use linkly_store_postgres::PostgresConfig;
/// let config: PostgresConfig = serde_json::from_str(
///     r#"{ "url": "postgres://app:secret@db-1,db-2/app?target_session_attrs=read-write", "schema": "linkly" }"#,
/// )?;
/// assert_eq!((config.pool.max, config.statement_timeout_ms), (10, 10_000));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PostgresConfig {
    /// `postgres://user:password@host:port/database`. Several hosts stand between commas and are tried in
    /// order; with `?target_session_attrs=read-write` the first that writes is taken, which is how a
    /// failover is followed. Settings behind the `?` are those of
    /// [`tokio_postgres::Config`](deadpool_postgres::tokio_postgres::Config).
    pub url: String,
    /// The schema that the tables are in, created when it is missing: at most 63 of a-z, 0-9 and `_`, a letter
    /// or `_` first. Default: `public`.
    #[serde(default = "public")]
    pub schema: String,
    /// The pool of connections.
    #[serde(default)]
    pub pool: PoolConfig,
    /// How long a statement may take, in milliseconds. The server is told, and a connection that has not
    /// answered by then is discarded. Default: 10,000.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// The same for what may take long: `migrate`, `optimize`, dropping partitions. Default: 60,000.
    #[serde(default = "maintenance_timeout_ms")]
    pub maintenance_timeout_ms: u64,
    /// Whether codes fold case. `None`, the default, is what the database was made with, and
    /// [`Folding::Sensitive`] for a new one. Another folding than the database's is an error.
    #[serde(default)]
    pub folding: Option<Folding>,
    /// How statements are sent.
    #[serde(default)]
    pub statements: Statements,
    /// A replica that answers `list` and statistics, as `url`. They then lag as the replica does. While it is
    /// down, the primary answers. Default: none.
    #[serde(default)]
    pub replica_url: Option<String>,
    /// Keeps clicks in a partition for each day, week or month. Chosen when the database is made, and
    /// recorded in it. Default: no.
    #[serde(default)]
    pub partitions: Option<Partitions>,
    /// Keeps an index over the clicks of each code, so that one code's clicks are listed without
    /// reading others of the same hours. Each click costs several times as much to write. Made when the
    /// database is migrated. Default: no.
    #[serde(default)]
    pub clicks_by_code_index: bool,
    /// A file of certificates in PEM that the server's must be signed by, instead of the public roots. Needs
    /// the feature `tls`. Default: none.
    #[serde(default)]
    pub tls_root_certificate: Option<PathBuf>,
}

/// The pool of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The most connections. Default: 10.
    pub max: usize,
    /// How long a call waits for a connection, in milliseconds, connecting included. Default: 5,000.
    pub acquire_timeout_ms: u64,
    /// How long one host may take to let a connection in, in milliseconds: then the next one is tried.
    /// Default: 2,000.
    pub connect_timeout_ms: u64,
    /// After how long an unused connection is closed, in milliseconds; 0 is never. Default: 30,000.
    pub idle_timeout_ms: u64,
}

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Statements {
    /// Prepared once on each connection, under a name.
    #[default]
    Prepared,
    /// Without a name, in one message each: for a pooler in transaction mode, which may send the next one to
    /// another server connection. The server plans each anew, and `statement_timeout_ms` is not
    /// told to it: set one for the user or in the pooler.
    Unnamed,
}

/// How long a time one partition of clicks holds, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Partitions {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
}

impl Partitions {
    /// The name in the configuration, in the database, and of Postgres' `date_trunc`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

impl PostgresConfig {
    /// The defaults for the database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            schema: public(),
            pool: PoolConfig::default(),
            statement_timeout_ms: statement_timeout_ms(),
            maintenance_timeout_ms: maintenance_timeout_ms(),
            folding: None,
            statements: Statements::default(),
            replica_url: None,
            partitions: None,
            clicks_by_code_index: false,
            tls_root_certificate: None,
        }
    }

    /// With the tables in this schema.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// With this pool.
    #[must_use]
    pub fn with_pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// With statements that may take so long.
    #[must_use]
    pub fn with_statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout_ms = millis(timeout);
        self
    }

    /// With maintenance that may take so long.
    #[must_use]
    pub fn with_maintenance_timeout(mut self, timeout: Duration) -> Self {
        self.maintenance_timeout_ms = millis(timeout);
        self
    }

    /// With this folding.
    #[must_use]
    pub fn with_folding(mut self, folding: Folding) -> Self {
        self.folding = Some(folding);
        self
    }

    /// With statements sent in this way.
    #[must_use]
    pub fn with_statements(mut self, statements: Statements) -> Self {
        self.statements = statements;
        self
    }

    /// With a replica for `list` and statistics.
    #[must_use]
    pub fn with_replica_url(mut self, url: impl Into<String>) -> Self {
        self.replica_url = Some(url.into());
        self
    }

    /// With partitions of clicks.
    #[must_use]
    pub fn with_partitions(mut self, partitions: Partitions) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With an index over the clicks of each code.
    #[must_use]
    pub fn with_clicks_by_code_index(mut self) -> Self {
        self.clicks_by_code_index = true;
        self
    }

    /// With the certificates that the server's must be signed by.
    #[must_use]
    pub fn with_tls_root_certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_root_certificate = Some(path.into());
        self
    }

    pub(crate) fn acquire_timeout(&self) -> Duration {
        Duration::from_millis(self.pool.acquire_timeout_ms)
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms)
    }

    pub(crate) fn maintenance_timeout(&self) -> Duration {
        Duration::from_millis(self.maintenance_timeout_ms)
    }

    /// What must hold before anything is connected.
    pub(crate) fn check(&self) -> Result<()> {
        check_schema(&self.schema)?;
        let counts = [
            ("pool.max", self.pool.max as u64),
            ("pool.acquire_timeout_ms", self.pool.acquire_timeout_ms),
            ("pool.connect_timeout_ms", self.pool.connect_timeout_ms),
            ("statement_timeout_ms", self.statement_timeout_ms),
            ("maintenance_timeout_ms", self.maintenance_timeout_ms),
        ];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((what, _)) => Err(Error::invalid(what, "it is at least 1")),
            None => Ok(()),
        }
    }
}

impl PoolConfig {
    /// With at most so many connections.
    #[must_use]
    pub fn with_max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    /// Waiting so long for a connection.
    #[must_use]
    pub fn with_acquire_timeout(mut self, timeout: Duration) -> Self {
        self.acquire_timeout_ms = millis(timeout);
        self
    }

    /// Waiting so long for one host.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout_ms = millis(timeout);
        self
    }

    /// Closing connections that were unused for so long.
    #[must_use]
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout_ms = millis(timeout);
        self
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { max: 10, acquire_timeout_ms: 5_000, connect_timeout_ms: 2_000, idle_timeout_ms: 30_000 }
    }
}

fn public() -> String {
    "public".to_owned()
}

fn statement_timeout_ms() -> u64 {
    10_000
}

fn maintenance_timeout_ms() -> u64 {
    60_000
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A URL as it may be shown: where it leads, and nothing else of it. One with an `@` where none belongs shows
/// nothing: a password that is not written with %40 may be anywhere in it.
pub(crate) fn shown(url: &str) -> String {
    let hidden = || "…".to_owned();
    let Some((scheme, rest)) = url.split_once("://") else {
        return hidden();
    };
    let place = rest.split(['?', '#']).next().unwrap_or_default();
    let hosts = place.split('/').next().unwrap_or_default();
    let count = |text: &str| text.matches('@').count();
    if count(rest) > 1 || count(rest) != count(hosts) {
        return hidden();
    }
    format!("{scheme}://{}", place.split_once('@').map_or(place, |(_, place)| place))
}

/// Never shows a password.
impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("url", &shown(&self.url))
            .field("schema", &self.schema)
            .field("pool", &self.pool)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("maintenance_timeout_ms", &self.maintenance_timeout_ms)
            .field("folding", &self.folding)
            .field("statements", &self.statements)
            .field("replica_url", &self.replica_url.as_deref().map(shown))
            .field("partitions", &self.partitions)
            .field("clicks_by_code_index", &self.clicks_by_code_index)
            .field("tls_root_certificate", &self.tls_root_certificate)
            .finish()
    }
}

fn check_schema(schema: &str) -> Result<()> {
    let invalid = |reason: &str| Err(Error::invalid("schema", format!("{schema:?}: {reason}")));
    if schema.is_empty() || schema.len() > 63 {
        return invalid("it has 1 to 63 bytes");
    }
    if schema.starts_with(|first: char| first.is_ascii_digit()) {
        return invalid("it begins with a digit");
    }
    if !schema.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return invalid("it may hold only a-z 0-9 _");
    }
    if schema.starts_with("pg_") {
        return invalid("names that begin with pg_ are Postgres' own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        for bad in [r#"{"url":"postgres://a","colour":1}"#, r#"{"url":"postgres://a","pool":{"maximum":1}}"#, r#"{}"#] {
            assert!(serde_json::from_str::<PostgresConfig>(bad).is_err(), "{bad}");
        }
        let config: PostgresConfig = serde_json::from_str(
            r#"{"url":"postgres://a","folding":"lower","statements":"unnamed","partitions":"month"}"#,
        )
        .unwrap();
        let wanted = PostgresConfig::new("postgres://a")
            .with_folding(Folding::Lower)
            .with_statements(Statements::Unnamed)
            .with_partitions(Partitions::Month);
        assert_eq!(config, wanted);
    }

    #[test]
    fn a_schema_can_be_nothing_but_a_name() {
        for good in ["public", "linkly", "_", "a1_", "user"] {
            check_schema(good).unwrap();
        }
        for bad in ["", "a b", "1a", "a-", "A", "a\"", "a;drop", "é", "pg_x", "a'", &"a".repeat(64)] {
            assert!(check_schema(bad).is_err(), "{bad:?} was let in");
        }
    }

    #[test]
    fn a_timeout_of_nothing_is_refused() {
        let config = PostgresConfig::new("postgres://a").with_statement_timeout(Duration::ZERO);
        assert!(config.check().unwrap_err().to_string().contains("statement_timeout_ms"));
        PostgresConfig::new("postgres://a").check().unwrap();
    }

    #[test]
    fn debug_shows_no_password() {
        for url in [
            "postgres://app:secret@db-1:5432,db-2/app?options=secret",
            "postgres://app:sec@secret@db-1/app",
            "postgres://app:se?secret@db-1/app",
            "postgres://db-1/app?password=a@secret",
            "postgres://db-1/app?user=app&password=secret",
            "host=db-1 password=secret",
        ] {
            let config = PostgresConfig::new(url).with_replica_url(url);
            assert!(!format!("{config:?}").contains("secret"), "{config:?}");
        }
        let shown = format!("{:?}", PostgresConfig::new("postgres://app:secret@db-1,db-2:6432/app"));
        assert!(shown.contains("\"postgres://db-1,db-2:6432/app\""), "{shown}");
    }
}
