//! A node: its memory, and what it is about.

use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

use linkly_core::{Code, Filled};

use crate::joining::Joining;
use crate::protocol::{NearFill, Untelling};
use crate::shared::{Name, Version};

pub(crate) static CODE: LazyLock<Code> = LazyLock::new(|| Code::new("a").expect("a legal code"));

/// Which of a node's loads.
pub(crate) type Slot = usize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    pub(crate) near: Near,
    pub(crate) untold: Option<Untelling>,
    /// How often the far cache was to be told something.
    pub(crate) calls: u64,
    pub(crate) joining: Loads,
    pub(crate) loads: [Option<Load>; 2],
    pub(crate) write: Option<Invalidation>,
    pub(crate) look: Option<Look>,
    /// The name that the shared cache was last known by.
    pub(crate) known: Option<Name>,
    /// How far the change log was read; `None` before it was.
    pub(crate) cursor: Option<Version>,
    /// Whether that goes on from the shared cache's position.
    pub(crate) joined: bool,
    /// No read that starts now may answer an older version: what was written here has returned, or the change log
    /// was read.
    pub(crate) floor: Version,
}

/// The in-process cache: an entry, and how often it was invalidated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Near {
    pub(crate) entry: Option<Version>,
    pub(crate) generation: u8,
}

impl Near {
    pub(crate) fn invalidate(&mut self) {
        self.entry = None;
        self.generation += 1;
    }

    pub(crate) fn fill(&mut self, generation: u8, version: Version, compares: bool) -> Filled {
        if compares && self.generation != generation {
            return Filled::Voided;
        }
        self.entry = Some(version);
        Filled::Filled
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Loads(pub(crate) Joining<Slot>);

impl Hash for Loads {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.joinable(&CODE).hash(state);
    }
}

/// How far a load has come: see `linkly_core`'s `engine/loader.rs` and `Tiered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Load {
    Begun,
    /// Under a lease of the near cache.
    Leased(u8),
    /// The far cache has it.
    Found(u8, Version),
    /// To the store, with a lease of the far cache or without.
    Reading(u8, Option<u128>),
    /// On its way into the far cache.
    Filling(u8, u128, Version),
    /// What the far cache answered leaves that for the near one.
    Filled(u8, NearFill, Version),
}

/// An invalidation, by the engine and by `Tiered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Invalidation {
    /// The write, or how far the change log was read.
    pub(crate) version: Version,
    /// 0: not begun; then the tiers in their order, from 1; beyond the last: detach again.
    pub(crate) step: usize,
    pub(crate) call: u64,
    pub(crate) far_was_told: bool,
}

impl Invalidation {
    pub(crate) fn of(version: Version) -> Self {
        Self { version, step: 0, call: 0, far_was_told: false }
    }
}

/// A look at the change log: see `linkly_core`'s `engine/changes.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Look {
    Begun,
    /// The shared cache has no position: it is cleared, and the log is followed from here.
    Clearing(Version),
    /// To the log; where the shared cache's position was found.
    Reading(Option<Version>),
    Invalidating(Option<Version>, Invalidation),
    Advancing(Option<Version>, Version),
}
