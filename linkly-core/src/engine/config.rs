//! How the engine caches, waits and gives up.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result, millis};

/// They take about 100 bytes each as soon as one listens.
const MOST_EVENTS: usize = 1 << 24;

/// How the engine caches, waits and gives up. Durations are given in milliseconds in serialised form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// How long a target answers without a look behind it. Default: 60 s.
    #[serde(rename = "fresh_ms", with = "millis")]
    pub fresh: Duration,
    /// How much longer it answers while it is refreshed behind, or while the store is down. Together
    /// with `fresh` the last bound on staleness, should everything else have failed. Default: 10 min.
    #[serde(rename = "stale_ms", with = "millis")]
    pub stale: Duration,
    /// How long the absence of a link is remembered. Default: 5 s.
    #[serde(rename = "absent_ms", with = "millis")]
    pub absent: Duration,
    /// How often the store's change log is read; zero is never. It bounds how long a write that
    /// bypassed this process (another node, the app's own SQL) stays unseen. Default: 1 s.
    #[serde(rename = "poll_changes_ms", with = "millis")]
    pub poll_changes: Duration,
    /// The deadline of each call to the cache; one that passes it is a miss. Default: 200 ms.
    #[serde(rename = "cache_timeout_ms", with = "millis")]
    pub cache_timeout: Duration,
    /// The deadline of each read from the store. Default: 5 s.
    #[serde(rename = "read_timeout_ms", with = "millis")]
    pub read_timeout: Duration,
    /// How long a caller waits for one write to the store, retries included; and then, at most as long again, for the
    /// cache to be told of it. Default: 10 s.
    #[serde(rename = "write_timeout_ms", with = "millis")]
    pub write_timeout: Duration,
    /// The most codes of one batch of misses. Default: 256.
    pub load_batch: usize,
    /// The most batches of misses at once. Default: 2: more of them are smaller, and a store with one
    /// connection or two cores answers no sooner.
    pub loads_in_flight: usize,
    /// The most codes that wait for a batch; a miss beyond them is refused as unavailable. Default:
    /// 65,536.
    pub loads_waiting: usize,
    /// How many [events](crate::Linkly::events) are kept for listeners that are behind; a power of two at
    /// least as large is. Nothing is kept before somebody listens. Default: 1,024.
    pub events: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fresh: Duration::from_secs(60),
            stale: Duration::from_secs(600),
            absent: Duration::from_secs(5),
            poll_changes: Duration::from_secs(1),
            cache_timeout: Duration::from_millis(200),
            read_timeout: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            load_batch: 256,
            loads_in_flight: 2,
            loads_waiting: 65_536,
            events: 1_024,
        }
    }
}

impl Config {
    /// Whether an engine can work with it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the setting.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("load_batch", self.load_batch),
            ("loads_in_flight", self.loads_in_flight),
            ("loads_waiting", self.loads_waiting),
            ("events", self.events),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::invalid(what, "it is at least 1"));
        }
        if self.events > MOST_EVENTS {
            return Err(Error::invalid("events", format!("{} are not kept, {MOST_EVENTS} at most", self.events)));
        }
        let timeouts = [
            ("cache_timeout", self.cache_timeout),
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
        ];
        millis::check(&[("poll_changes", self.poll_changes)])?;
        millis::check(&timeouts)?;
        match timeouts.into_iter().find(|(_, timeout)| timeout.is_zero()) {
            Some((what, _)) => Err(Error::invalid(what, "nothing is answered in no time")),
            None => Ok(()),
        }
    }

    /// How long targets are fresh, and how much longer they may be served stale.
    #[must_use]
    pub fn with_freshness(mut self, fresh: Duration, stale: Duration) -> Self {
        (self.fresh, self.stale) = (fresh, stale);
        self
    }

    /// How long absences are remembered.
    #[must_use]
    pub fn with_absent(mut self, absent: Duration) -> Self {
        self.absent = absent;
        self
    }

    /// How often the change log is read; zero is never.
    #[must_use]
    pub fn with_poll_changes(mut self, every: Duration) -> Self {
        self.poll_changes = every;
        self
    }

    /// The deadlines of cache calls, of reads, and of writes.
    #[must_use]
    pub fn with_timeouts(mut self, cache: Duration, read: Duration, write: Duration) -> Self {
        (self.cache_timeout, self.read_timeout, self.write_timeout) = (cache, read, write);
        self
    }

    /// The most codes of one batch of misses, and the most batches at once; each at least 1.
    #[must_use]
    pub fn with_loads(mut self, batch: usize, in_flight: usize) -> Self {
        (self.load_batch, self.loads_in_flight) = (batch.max(1), in_flight.max(1));
        self
    }

    /// How many events are kept for listeners that are behind; at least 1.
    #[must_use]
    pub fn with_events(mut self, events: usize) -> Self {
        self.events = events.max(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_milliseconds_and_unknown_ones_are_refused() {
        let config: Config = serde_json::from_str(r#"{"fresh_ms": 1500}"#).unwrap();
        assert_eq!(config, Config { fresh: Duration::from_millis(1500), ..Config::default() });
        assert!(serde_json::from_str::<Config>(r#"{"fersh_ms": 1}"#).is_err());
        Config::default().check().unwrap();
        for useless in [r#"{"loads_waiting": 0}"#, r#"{"load_batch": 0}"#, r#"{"read_timeout_ms": 0}"#] {
            assert!(serde_json::from_str::<Config>(useless).unwrap().check().is_err(), "{useless}");
        }
    }
}
