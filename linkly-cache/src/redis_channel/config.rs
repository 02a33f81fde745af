//! What can be chosen about a channel.

use std::time::Duration;

use linkly_core::{Error, Result};
use serde::{Deserialize, Serialize};

/// The longest time between two heartbeats, also the longest that another node is believed.
pub(super) const LONGEST_HEARTBEAT: Duration = Duration::from_secs(60);

/// What can be chosen about a [`RedisChannel`](super::RedisChannel). Keys that are not known are refused when it is
/// read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RedisChannelConfig {
    /// What the name of the channel begins with, at most 64 bytes: `<prefix>invalidations`. All nodes of an app have
    /// the same, and each database of links one of its own. Default: `linkly:`, as of
    /// [`RedisConfig`](crate::RedisConfig).
    pub prefix: String,
    /// How often this node says that it is there and what its last message was, in milliseconds: 60,000 at most. A
    /// message that was lost is noticed within one of these, and a node that is gone, or a connection that leads
    /// nowhere, within three. Default: 1,000.
    pub heartbeat_ms: u64,
    /// How long the server may take to publish, in milliseconds; the connection is made anew when it takes longer.
    /// Default: 1,000.
    pub timeout_ms: u64,
    /// How long connecting may take, in milliseconds. Default: 2,000.
    pub connect_timeout_ms: u64,
}

impl Default for RedisChannelConfig {
    fn default() -> Self {
        Self { prefix: "linkly:".into(), heartbeat_ms: 1_000, timeout_ms: 1_000, connect_timeout_ms: 2_000 }
    }
}

impl RedisChannelConfig {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a channel whose name begins with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// With so long between two heartbeats.
    #[must_use]
    pub fn with_heartbeat(mut self, every: Duration) -> Self {
        self.heartbeat_ms = millis(every);
        self
    }

    /// With so long for publishing.
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

    pub(super) fn check(&self) -> Result<()> {
        if self.prefix.len() > 64 {
            return Err(Error::invalid("prefix", format!("{:?} is longer than 64 bytes", self.prefix)));
        }
        let times = [
            ("heartbeat_ms", self.heartbeat_ms),
            ("timeout_ms", self.timeout_ms),
            ("connect_timeout_ms", self.connect_timeout_ms),
        ];
        if let Some((what, _)) = times.into_iter().find(|(_, millis)| *millis == 0) {
            return Err(Error::invalid(what, "nothing is done in no time"));
        }
        if self.heartbeat() > LONGEST_HEARTBEAT {
            return Err(Error::invalid("heartbeat_ms", "it is 60,000 at most"));
        }
        Ok(())
    }

    pub(super) fn name(&self) -> String {
        format!("{}invalidations", self.prefix)
    }

    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
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
    fn what_makes_no_sense_is_refused() {
        RedisChannelConfig::new().check().unwrap();
        for bad in [
            RedisChannelConfig::new().with_prefix("a".repeat(65)),
            RedisChannelConfig::new().with_heartbeat(Duration::ZERO),
            RedisChannelConfig::new().with_heartbeat(Duration::from_secs(61)),
            RedisChannelConfig::new().with_timeout(Duration::ZERO),
            RedisChannelConfig::new().with_connect_timeout(Duration::ZERO),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<RedisChannelConfig>(r#"{"prefixes":"a"}"#).is_err());
    }
}
