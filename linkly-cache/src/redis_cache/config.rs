//! What can be chosen about a shared cache.

use std::time::Duration;

use linkly_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// What can be chosen about a [`RedisCache`](super::RedisCache). Keys that are not known are refused when it
/// is read.
///
/// ```
/// # use linkly_cache::RedisConfig;
/// let config: RedisConfig = serde_json::from_str(r#"{ "prefix": "shop:links:" }"#)?;
/// assert_eq!((config.prefix.as_str(), config.timeout_ms), ("shop:links:", 100));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisConfig {
    /// What each key begins with: at most 64 bytes, without `{` and `}`. All nodes of an app have the same, and
    /// each database of links one of its own. Default: `linkly:`.
    pub prefix: String,
    /// How long a server may take for one call, retries included, in milliseconds; one that is later is a miss.
    /// Shorter than the engine's `cache_timeout` and `write_timeout`, so that it is seen here that the server does not
    /// answer: what the engine gives up on first leaves no trace, and the next call waits as long. Nothing checks
    /// that, since neither knows of the other. Default: 100.
    pub timeout_ms: u64,
    /// How long connecting may take, in milliseconds. Calls do not wait so long: the connection is there for
    /// those that come later. Default: 2,000.
    pub connect_timeout_ms: u64,
    /// How long a lease on a code without an entry lives, in milliseconds: longer than the engine's
    /// `read_timeout`, or what was read late is not stored. Default: 10,000.
    pub lease_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self { prefix: "linkly:".into(), timeout_ms: 100, connect_timeout_ms: 2_000, lease_ms: 10_000 }
    }
}

impl RedisConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With keys that begin with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// With so long for one call.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout_ms = millis(timeout);
        self
    }

    /// With so long for connecting.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout_ms = millis(timeout);
        self
    }

    /// With leases that live so long.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease_ms = millis(lease);
        self
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.prefix.len() > 64 || self.prefix.contains(['{', '}']) {
            let prefix = &self.prefix;
            return Err(Error::invalid("prefix", format!("{prefix:?} is longer than 64 bytes, or has a brace")));
        }
        let times = [
            ("timeout_ms", self.timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("lease_ms", self.lease_ms),
        ];
        match times.into_iter().find(|(_, millis)| *millis == 0) {
            Some((what, _)) => Err(Error::invalid(what, "nothing is done in no time")),
            None => Ok(()),
        }
    }

    /// Where the epoch stands.
    pub(super) fn epoch_key(&self) -> String {
        format!("{}epoch", self.prefix)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        assert!(serde_json::from_str::<RedisConfig>(r#"{"prefixes":"a"}"#).is_err());
        assert_eq!(serde_json::from_str::<RedisConfig>("{}").unwrap(), RedisConfig::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        RedisConfig::new().with_prefix("").check().unwrap();
        for bad in [
            RedisConfig::new().with_prefix("a{b"),
            RedisConfig::new().with_prefix("a}"),
            RedisConfig::new().with_prefix("é".repeat(33)),
            RedisConfig::new().with_timeout(Duration::ZERO),
            RedisConfig::new().with_connect_timeout(Duration::ZERO),
            RedisConfig::new().with_lease(Duration::from_micros(999)),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
