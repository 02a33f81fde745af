//! What a recorder can be told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::VisitorHash;
use crate::{Error, Result, millis};

/// The most captures that one batch can be told to hold.
const MAX_BATCH: usize = 65_536;

/// What [`Recorder::record`](super::Recorder::record) waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Acknowledge {
    /// For nothing. A crash of the process loses what the queue holds: about one flush interval of
    /// clicks while the sink keeps up, at most [`capacity`](RecorderConfig::capacity) and one batch.
    #[default]
    Enqueued,
    /// For the group commit that holds the click. A crash loses no click that was acknowledged.
    Durable,
}

/// What happens to a click when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Overflow {
    /// `record` waits for room: the numbers stay exact, and redirects become as slow as the sink.
    #[default]
    Block,
    /// The click is dropped and counted: redirects stay fast, and the numbers become too low.
    DropNewest,
    /// Batches go to a second sink instead, a durable queue on this machine:
    /// [`Recorder::start_with_spill`](super::Recorder::start_with_spill). They do so once the queue is half
    /// full, and for as long as it is; a call of the sink that is under way when it is full is dropped for
    /// that, and its batch spilled. What the recorder holds when it is shut down is spilled too. Redirects
    /// wait only while the second sink takes nothing either.
    Spill,
}

/// How a [`Recorder`](super::Recorder) works.
///
/// In a configuration file, durations are whole milliseconds and their names end in `_ms`:
///
/// ```
/// use linkly_core::{Acknowledge, RecorderConfig};
/// use std::time::Duration;
///
/// let config: RecorderConfig = serde_json::from_str(
///     r#"{ "acknowledge": "durable", "write_timeout_ms": 2000 }"#,
/// )?;
/// assert_eq!(config.acknowledge, Acknowledge::Durable);
/// assert_eq!(config.write_timeout, Duration::from_secs(2));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RecorderConfig {
    /// What `record` waits for. Default: [`Acknowledge::Enqueued`].
    pub acknowledge: Acknowledge,
    /// What happens when the queue is full. Default: [`Overflow::Block`].
    pub overflow: Overflow,
    /// The most captures that wait; a batch that is being written is not counted. Default: 65,536.
    ///
    /// A capture takes about 72 bytes and the text of its referrer and user agent, each cut at 512
    /// bytes: about 20 MB for a full queue of ordinary clicks, 72 MB of the longest.
    pub capacity: usize,
    /// The most clicks of one call of the sink. Default: 4,096; at most 65,536.
    ///
    /// Up to 40,000 clicks a second the flush interval ends a batch first.
    pub batch: usize,
    /// How many batches may go at once in a flush interval, without waiting for others, when clicks are
    /// [`Enqueued`](Acknowledge::Enqueued): a click that comes alone is written at once. Default: 10.
    pub at_once: u32,
    /// How long a capture waits, under load, for others to share its batch, when clicks are acknowledged
    /// once they are [`Enqueued`](Acknowledge::Enqueued). Default: 100 ms.
    #[serde(rename = "flush_interval_ms", with = "millis")]
    pub flush_interval: Duration,
    /// The longest pause before the first retry of a batch. It doubles with each retry, and the pause
    /// is a random part of it ("full jitter"). Default: 50 ms.
    #[serde(rename = "first_backoff_ms", with = "millis")]
    pub first_backoff: Duration,
    /// The longest pause between two retries. Default: 5 s.
    #[serde(rename = "most_backoff_ms", with = "millis")]
    pub most_backoff: Duration,
    /// How long one call of the sink may take. A call that takes longer is dropped and its batch sent
    /// again, with the same ids. Default: 10 s.
    #[serde(rename = "write_timeout_ms", with = "millis")]
    pub write_timeout: Duration,
    /// How long the recorder goes on writing after its last handle was dropped without a
    /// [`shutdown`](super::Recorder::shutdown). Default: 30 s.
    #[serde(rename = "drain_timeout_ms", with = "millis")]
    pub drain_timeout: Duration,
    /// How many dead letters are kept; beyond that the oldest give way. Default: 1,000.
    pub dead_letters: usize,
    /// Tells visitors apart by a keyed hash. Default: none, and no address is looked at.
    pub visitor_hash: Option<VisitorHash>,
}

impl Default for RecorderConfig {
    fn default() -> Self {
        Self {
            acknowledge: Acknowledge::default(),
            overflow: Overflow::default(),
            capacity: 65_536,
            batch: 4_096,
            at_once: 10,
            flush_interval: Duration::from_millis(100),
            first_backoff: Duration::from_millis(50),
            most_backoff: Duration::from_secs(5),
            write_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            dead_letters: 1_000,
            visitor_hash: None,
        }
    }
}

impl RecorderConfig {
    /// Chooses what `record` waits for.
    #[must_use]
    pub fn with_acknowledge(mut self, acknowledge: Acknowledge) -> Self {
        self.acknowledge = acknowledge;
        self
    }

    /// Chooses what happens when the queue is full.
    #[must_use]
    pub fn with_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Bounds the captures that wait.
    #[must_use]
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Bounds the clicks of one call of the sink.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.batch = batch;
        self
    }

    /// Chooses how many batches may go at once in a flush interval; with 0 every capture waits for others.
    #[must_use]
    pub fn with_at_once(mut self, at_once: u32) -> Self {
        self.at_once = at_once;
        self
    }

    /// Sets how long a capture waits for others to share its batch.
    #[must_use]
    pub fn with_flush_interval(mut self, interval: Duration) -> Self {
        self.flush_interval = interval;
        self
    }

    /// Sets how long one call of the sink may take.
    #[must_use]
    pub fn with_write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Tells visitors apart by a keyed hash.
    #[must_use]
    pub fn with_visitor_hash(mut self, hash: VisitorHash) -> Self {
        self.visitor_hash = Some(hash);
        self
    }

    /// Whether a recorder can work like this.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the field and the rule.
    pub fn check(&self) -> Result<()> {
        if self.capacity == 0 {
            return Err(Error::invalid("recorder capacity", "it is zero"));
        }
        if self.batch == 0 || self.batch > MAX_BATCH {
            return Err(Error::invalid("recorder batch", format!("it is {}, not 1 to {MAX_BATCH}", self.batch)));
        }
        let durations = [
            ("recorder flush_interval", self.flush_interval),
            ("recorder first_backoff", self.first_backoff),
            ("recorder most_backoff", self.most_backoff),
            ("recorder write_timeout", self.write_timeout),
        ];
        millis::check(&durations)?;
        // Without an interval nothing waits to be gathered.
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
        RecorderConfig::default().check().unwrap();
        let hasty = RecorderConfig { first_backoff: Duration::ZERO, ..RecorderConfig::default() };
        for (named, bad) in [
            ("capacity", RecorderConfig::default().with_capacity(0)),
            ("batch", RecorderConfig::default().with_batch(0)),
            ("batch", RecorderConfig::default().with_batch(MAX_BATCH + 1)),
            ("write_timeout", RecorderConfig::default().with_write_timeout(Duration::ZERO)),
            ("first_backoff", hasty),
            ("flush_interval", RecorderConfig::default().with_flush_interval(Duration::MAX)),
        ] {
            let error = bad.check().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn a_misspelt_setting_is_refused() {
        let error = serde_json::from_str::<RecorderConfig>(r#"{"flush_interval": 5}"#).unwrap_err();
        assert!(error.to_string().contains("flush_interval_ms"), "{error}");
        let config: RecorderConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(config, RecorderConfig::default());
    }

    #[test]
    fn a_configuration_reads_the_secret_and_never_shows_it() {
        let json = r#"{"visitor_hash": {"key": "000102030405060708090a0b0c0d0e0f", "period_ms": 3600000}}"#;
        let config: RecorderConfig = serde_json::from_str(json).unwrap();
        let expected = VisitorHash::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
            .with_period(Duration::from_secs(3_600));
        assert_eq!(config.visitor_hash, Some(expected));
        let shown = format!("{config:?}");
        assert!(!shown.contains("0a0b") && !shown.contains("10, 11"), "{shown}");
        let short = serde_json::from_str::<RecorderConfig>(r#"{"visitor_hash": {"key": "0001"}}"#).unwrap_err();
        assert!(short.to_string().contains("32 hexadecimal digits"), "{short}");
    }
}
