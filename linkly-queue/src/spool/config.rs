//! What a spool can be told.

use std::time::Duration;

use linkly_core::{Error, Result, millis};
use serde::Deserialize;

use crate::AtLimit;

/// The most clicks that one call of the store can be told to have.
const MAX_BATCH: usize = 65_536;

/// The least limit: some calls of a recorder with its largest batches.
const MIN_LIMIT_BYTES: u64 = 1 << 20;

/// How a [`Spool`](super::Spool) works.
///
/// In a configuration file, durations are whole milliseconds and their names end in `_ms`:
///
/// ```
/// use linkly_queue::{AtLimit, SpoolConfig};
/// use std::time::Duration;
///
/// let config: SpoolConfig = serde_json::from_str(
///     r#"{ "limit_bytes": 67108864, "at_limit": "refuse", "write_timeout_ms": 2000 }"#,
/// )?;
/// assert_eq!((config.limit_bytes, config.at_limit), (64 << 20, AtLimit::Refuse));
/// assert_eq!(config.write_timeout, Duration::from_secs(2));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SpoolConfig {
    /// The most bytes of clicks and dead letters together. Default: 1 GiB, some 11 million ordinary clicks;
    /// at least 1 MiB.
    ///
    /// Clicks that would go over it are not taken in. A click that becomes a dead letter stays, though it
    /// grows by its reason. The file is larger than what is in it: redb doubles it when it is full, and
    /// gives space back later.
    pub limit_bytes: u64,
    /// What happens at the limit. Default: [`AtLimit::Wait`].
    pub at_limit: AtLimit,
    /// The most clicks of one call of the store. Default: 1,000; at most 65,536.
    pub batch: usize,
    /// How long, under load, clicks wait for others to share their call of the store: calls that are not
    /// full begin at most once in this time. A click that comes alone is delivered at once. Default: 10 ms.
    #[serde(rename = "interval_ms", with = "millis")]
    pub interval: Duration,
    /// The longest pause before the first retry of a batch. It doubles with each retry, and the pause
    /// is a random part of it ("full jitter"). Default: 50 ms.
    #[serde(rename = "first_backoff_ms", with = "millis")]
    pub first_backoff: Duration,
    /// The longest pause between two retries. Default: 5 s.
    #[serde(rename = "most_backoff_ms", with = "millis")]
    pub most_backoff: Duration,
    /// How long one call of the store may take. A call that takes longer is dropped and its batch sent
    /// again, with the same ids. Default: 10 s.
    #[serde(rename = "write_timeout_ms", with = "millis")]
    pub write_timeout: Duration,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            limit_bytes: 1 << 30,
            at_limit: AtLimit::default(),
            batch: 1_000,
            interval: Duration::from_millis(10),
            first_backoff: Duration::from_millis(50),
            most_backoff: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
        }
    }
}

impl SpoolConfig {
    /// Bounds the bytes of clicks and dead letters together.
    #[must_use]
    pub fn with_limit_bytes(mut self, bytes: u64) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Chooses what happens at the limit.
    #[must_use]
    pub fn with_at_limit(mut self, at_limit: AtLimit) -> Self {
        self.at_limit = at_limit;
        self
    }

    /// Bounds the clicks of one call of the store.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Sets how long clicks wait for others to share their call of the store.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Sets the longest pauses before the first and before any retry.
    #[must_use]
    pub fn with_backoff(mut self, first: Duration, most: Duration) -> Self {
        (self.first_backoff, self.most_backoff) = (first, most);
        self
    }

    /// Sets how long one call of the store may take.
    #[must_use]
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Whether a spool can work like this.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the field and the rule.
    pub fn check(&self) -> Result<()> {
        if self.limit_bytes < MIN_LIMIT_BYTES {
            let reason = format!("it is {}, less than {MIN_LIMIT_BYTES}", self.limit_bytes);
            return Err(Error::invalid("spool limit_bytes", reason));
        }
        if self.batch == 0 || self.batch > MAX_BATCH {
            return Err(Error::invalid("spool batch", format!("it is {}, not 1 to {MAX_BATCH}", self.batch)));
        }
        let durations = [
            ("spool interval", self.interval),
            ("spool first_backoff", self.first_backoff),
            ("spool most_backoff", self.most_backoff),
            ("spool write_timeout", self.write_timeout),
        ];
        millis::check(&durations)?;
        // Without an interval nothing waits for others.
        match durations.into_iter().skip(1).find(|(_, duration)| duration.is_zero()) {
            Some((what, _)) => Err(Error::invalid(what, "it is zero")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_work_is_refused_by_name() {
        SpoolConfig::default().check().unwrap();
        for (named, bad) in [
            ("limit_bytes", SpoolConfig::default().with_limit_bytes(1_000)),
            ("batch", SpoolConfig::default().with_batch(0)),
            ("batch", SpoolConfig::default().with_batch(MAX_BATCH + 1)),
            ("first_backoff", SpoolConfig::default().with_backoff(Duration::ZERO, Duration::from_secs(1))),
            ("write_timeout", SpoolConfig::default().with_write_timeout(Duration::ZERO)),
            ("spool interval", SpoolConfig::default().with_interval(Duration::MAX)),
        ] {
            let error = bad.check().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let error = serde_json::from_str::<SpoolConfig>(r#"{"interval": 5}"#).unwrap_err();
        assert!(error.to_string().contains("interval_ms"), "{error}");
        assert_eq!(serde_json::from_str::<SpoolConfig>("{}").unwrap(), SpoolConfig::default());
    }
}
