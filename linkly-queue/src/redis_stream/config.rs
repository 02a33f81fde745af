//! What a stream of clicks can be told.

use std::time::Duration;

use linkly_core::{Error, Result, millis};
use serde::Deserialize;

use crate::AtLimit;

/// The most clicks that one call of the store can be told to have.
const MAX_BATCH: usize = 65_536;
/// The most batches at once: each has a connection to Redis.
const MAX_CONCURRENCY: usize = 256;

/// How a [`RedisStream`](super::RedisStream) works. Producers and writers of one stream share `prefix` and `group`.
///
/// In a configuration file, durations are whole milliseconds and their names end in `_ms`:
///
/// ```
/// use linkly_queue::{AtLimit, StreamConfig};
///
/// let config: StreamConfig = serde_json::from_str(r#"{ "prefix": "shop:", "at_limit": "refuse", "concurrency": 2 }"#)?;
/// assert_eq!(config, StreamConfig::default().with_prefix("shop:").with_at_limit(AtLimit::Refuse).with_concurrency(2));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StreamConfig {
    /// What the keys in Redis begin with. Default: `linkly:`.
    pub prefix: String,
    /// The name of the consumer group. Default: `linkly`.
    pub group: String,
    /// The most clicks in the stream, delivered ones not counted. Default: 1,000,000, some 150 MB of Redis.
    pub limit: u64,
    /// What happens at the limit. Default: [`AtLimit::Wait`].
    pub at_limit: AtLimit,
    /// How long a call of Redis may take. Default: 1 s.
    #[serde(rename = "timeout_ms", with = "millis")]
    pub timeout: Duration,
    /// The most clicks of one call of the store. Default: 1,000; at most 65,536.
    pub batch: usize,
    /// The most calls of the store at once, each with a connection to Redis. Default: 5; at most 256.
    pub concurrency: usize,
    /// How long, under load, clicks wait for others to share their call of the store: calls that are not full
    /// begin at most once in this time. Default: 10 ms.
    #[serde(rename = "interval_ms", with = "millis")]
    pub interval: Duration,
    /// The longest pause before the first retry, of the store and of Redis. It doubles with each retry, and the
    /// pause is a random part of it ("full jitter"). Default: 50 ms.
    #[serde(rename = "first_backoff_ms", with = "millis")]
    pub first_backoff: Duration,
    /// The longest pause between two retries. Default: 5 s.
    #[serde(rename = "most_backoff_ms", with = "millis")]
    pub most_backoff: Duration,
    /// How long one call of the store may take. One that takes longer is dropped, and its batch sent again with
    /// the same ids. Default: 10 s.
    #[serde(rename = "write_timeout_ms", with = "millis")]
    pub write_timeout: Duration,
    /// After how long without a sign of life a writer's clicks go to another. A writer that lives gives one three
    /// times as often, also while the store is down. One that was only held up is no harm: a click counts once.
    /// Default: 60 s.
    #[serde(rename = "claim_after_ms", with = "millis")]
    pub claim_after: Duration,
    /// How many writers may end with a click in hand until it becomes a dead letter. A store that is down, fails
    /// or hangs is no such end. Default: 5.
    pub max_retries: u32,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            prefix: "linkly:".into(),
            group: "linkly".into(),
            limit: 1_000_000,
            at_limit: AtLimit::default(),
            timeout: Duration::from_secs(1),
            batch: 1_000,
            concurrency: 5,
            interval: Duration::from_millis(10),
            first_backoff: Duration::from_millis(50),
            most_backoff: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            claim_after: Duration::from_secs(60),
            max_retries: 5,
        }
    }
}

impl StreamConfig {
    /// Sets what the keys in Redis begin with.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Names the consumer group.
    #[must_use]
    pub fn with_group(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
    }

    /// Bounds the clicks in the stream.
    #[must_use]
    pub fn with_limit(mut self, clicks: u64) -> Self {
        self.limit = clicks;
        self
    }

    /// Chooses what happens at the limit.
    #[must_use]
    pub fn with_at_limit(mut self, at_limit: AtLimit) -> Self {
        self.at_limit = at_limit;
        self
    }

    /// Sets how long a call of Redis may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Bounds the clicks of one call of the store.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Bounds the calls of the store at once.
    #[must_use]
    pub fn with_concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls;
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

    /// Sets after how long without a sign of life a writer's clicks go to another.
    #[must_use]
    pub fn with_claim_after(mut self, after: Duration) -> Self {
        self.claim_after = after;
        self
    }

    /// Sets how many writers may end with a click in hand.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = retries;
        self
    }

    /// Whether a stream can work like this.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the field and the rule.
    pub fn check(&self) -> Result<()> {
        let counts =
            [("stream batch", self.batch, MAX_BATCH), ("stream concurrency", self.concurrency, MAX_CONCURRENCY)];
        if let Some((what, count, most)) = counts.into_iter().find(|(_, count, most)| *count == 0 || count > most) {
            return Err(Error::invalid(what, format!("it is {count}, not 1 to {most}")));
        }
        if self.limit == 0 || self.max_retries == 0 {
            let what = if self.limit == 0 { "stream limit" } else { "stream max_retries" };
            return Err(Error::invalid(what, "it is zero"));
        }
        if self.group.is_empty() {
            return Err(Error::invalid("stream group", "it has no name"));
        }
        let durations = [
            ("stream interval", self.interval),
            ("stream timeout", self.timeout),
            ("stream first_backoff", self.first_backoff),
            ("stream most_backoff", self.most_backoff),
            ("stream write_timeout", self.write_timeout),
            ("stream claim_after", self.claim_after),
        ];
        millis::check(&durations)?;
        // Without an interval nothing waits for others.
        match durations.into_iter().skip(1).find(|(_, duration)| duration.as_millis() == 0) {
            Some((what, _)) => Err(Error::invalid(what, "it is less than a millisecond")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_that_cannot_work_is_refused_by_name() {
        StreamConfig::default().check().unwrap();
        for (named, bad) in [
            ("limit", StreamConfig::default().with_limit(0)),
            ("batch", StreamConfig::default().with_batch(MAX_BATCH + 1)),
            ("concurrency", StreamConfig::default().with_concurrency(0)),
            ("group", StreamConfig::default().with_group("")),
            ("max_retries", StreamConfig::default().with_max_retries(0)),
            ("claim_after", StreamConfig::default().with_claim_after(Duration::ZERO)),
            ("claim_after", StreamConfig::default().with_claim_after(Duration::MAX)),
            ("first_backoff", StreamConfig::default().with_backoff(Duration::ZERO, Duration::from_secs(1))),
        ] {
            let error = bad.check().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let error = serde_json::from_str::<StreamConfig>(r#"{"claim_after": 5}"#).unwrap_err();
        assert!(error.to_string().contains("claim_after_ms"), "{error}");
        assert_eq!(serde_json::from_str::<StreamConfig>("{}").unwrap(), StreamConfig::default());
    }
}
