//! What a full queue does.

use serde::{Deserialize, Serialize};

/// What happens to clicks that would take a queue over its limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AtLimit {
    /// `record` waits for room: for as long as the store is away.
    #[default]
    Wait,
    /// `record` fails with [`Error::Unavailable`](linkly_core::Error::Unavailable).
    Refuse,
    /// `record` answers `Ok` and the clicks are dropped and counted. With
    /// this alone an `Ok` does not mean that the clicks are durable.
    Drop,
}
