//! Durations as whole milliseconds, for configurations: `#[serde(rename = "…_ms", with = "millis")]`.

use std::time::Duration;

use crate::{Error, Result as Checked};

/// The longest duration that a setting takes: 100 years, which every clock can add to its time.
pub const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Whether a clock can add these durations, each with the name of its setting, to its time.
///
/// # Errors
///
/// [`Error::InvalidInput`] names the first that is longer than [`LONGEST`].
pub fn check(durations: &[(&'static str, Duration)]) -> Checked<()> {
    match durations.iter().find(|(_, duration)| *duration > LONGEST) {
        Some((what, duration)) => Err(Error::invalid(what, format!("{duration:?} is more than 100 years"))),
        None => Ok(()),
    }
}

use serde::{Deserialize, Deserializer, Serializer};

/// Writes whole milliseconds.
pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// Reads whole milliseconds.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_millis)
}
