//! Telling visitors apart without keeping who they are.

use std::fmt;
use std::hash::Hasher;
use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use siphasher::sip::SipHasher24;

use crate::millis;

/// Turns a visitor's address and user agent into 64 bits, by SipHash-2-4 under a secret key.
///
/// The same visitor has the same hash on all links for one period (default: a day in UTC) and another
/// one in the next. Nodes that share the key agree. The address and the user agent go into the hash
/// and nowhere else.
///
/// There are few enough addresses that whoever has the key can try them all: a hash hides visitors
/// from those who have the rows and not the key. Keep the key apart from the database, and change it
/// when past hashes must become meaningless to you too.
///
/// `Debug` does not show the key. In a configuration file the key is 32 hexadecimal digits:
/// `{ "key": "…", "period_ms": 86400000 }`.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisitorHash {
    #[serde(deserialize_with = "hexadecimal")]
    key: [u8; 16],
    #[serde(rename = "period_ms", with = "millis", default = "one_day")]
    period: Duration,
}

const fn one_day() -> Duration {
    Duration::from_secs(24 * 60 * 60)
}

impl VisitorHash {
    /// A hash under `key`, which must be random and stay secret. The period is a day.
    pub const fn new(key: [u8; 16]) -> Self {
        Self { key, period: one_day() }
    }

    /// How long a visitor keeps the same hash. Periods are counted from 1970-01-01T00:00:00Z; less
    /// than a millisecond counts as one.
    #[must_use]
    pub const fn with_period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// The visitor's hash at that time. An IPv4 address written as IPv6 is the same visitor.
    pub fn hash(&self, at: DateTime<Utc>, ip: IpAddr, user_agent: &str) -> u64 {
        let period = i64::try_from(self.period.as_millis()).unwrap_or(i64::MAX).max(1);
        let octets = match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        // All but the last part have a fixed length, so no two inputs run together.
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&at.timestamp_millis().div_euclid(period).to_le_bytes());
        hasher.write(&octets);
        hasher.write(user_agent.as_bytes());
        hasher.finish()
    }
}

impl fmt::Debug for VisitorHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VisitorHash").field("period", &self.period).finish_non_exhaustive()
    }
}

fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 16], D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    // `from_str_radix` alone would let a sign in.
    let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The text is a secret and stays out of the error.
    let wrong = || serde::de::Error::custom("the key of a visitor hash is 32 hexadecimal digits");
    let key = u128::from_str_radix(&text, 16).ok().filter(|_| digits).ok_or_else(wrong)?;
    Ok(key.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    const DAY: i64 = 24 * 60 * 60;

    #[test]
    fn a_visitor_keeps_a_hash_for_one_period() {
        let hash = VisitorHash::new([7; 16]);
        let ip = "192.0.2.1".parse().unwrap();
        let first = hash.hash(at(20_000 * DAY), ip, "Firefox");
        assert_eq!(hash.hash(at(20_001 * DAY - 1), ip, "Firefox"), first);
        assert_ne!(hash.hash(at(20_001 * DAY), ip, "Firefox"), first);
        assert_eq!(hash.hash(at(20_000 * DAY), "::ffff:192.0.2.1".parse().unwrap(), "Firefox"), first);
    }

    #[test]
    fn another_address_agent_or_key_is_another_visitor() {
        let hash = VisitorHash::new([7; 16]);
        let (ip, now) = ("2001:db8::1".parse().unwrap(), at(0));
        let hashes = [
            hash.hash(now, ip, "Firefox"),
            hash.hash(now, ip, "Safari"),
            hash.hash(now, "2001:db8::2".parse().unwrap(), "Firefox"),
            VisitorHash::new([8; 16]).hash(now, ip, "Firefox"),
        ];
        let different: std::collections::BTreeSet<_> = hashes.iter().collect();
        assert_eq!(different.len(), hashes.len());
    }

    #[test]
    fn a_period_of_nothing_is_a_millisecond() {
        let hash = VisitorHash::new([7; 16]).with_period(Duration::ZERO);
        let ip = "192.0.2.1".parse().unwrap();
        assert_ne!(hash.hash(at(1), ip, ""), hash.hash(at(2), ip, ""));
    }
}
