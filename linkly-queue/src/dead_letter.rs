//! Clicks that the store behind a queue refused for good.

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Uuid};

/// A click that the store behind a queue refused for good. It is kept, durably, until it is
/// replayed or purged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The click. Its id is also that of the letter.
    pub click: Click,
    /// What the store said.
    pub reason: String,
    /// How many calls of the store held it.
    pub tries: u32,
    /// When the store refused it.
    pub refused_at: DateTime<Utc>,
}

impl DeadLetter {
    pub(crate) fn new(click: Click, reason: String, tries: u32, refused_at: DateTime<Utc>) -> Self {
        Self { click, reason, tries, refused_at }
    }
}

/// Which dead letters a call is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Letters {
    /// All that there are when the call is made.
    All,
    /// Those of the clicks with these ids; others are not there and not counted.
    Of(Vec<Uuid>),
}
