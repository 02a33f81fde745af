//! What a commit waits for.

use serde::{Deserialize, Serialize};

/// What a commit waits for: SQLite's `synchronous` on the connection that writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Synchronous {
    /// Until the disk has it: what was acknowledged survives a loss of power.
    #[default]
    Full,
    /// Until the operating system has it: a loss of power takes the last commits back, all of each or
    /// nothing. A crash of the process alone loses nothing.
    Normal,
}

impl Synchronous {
    /// The value of `PRAGMA synchronous`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}
