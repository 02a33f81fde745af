//! The protocol that keeps caches of several nodes from answering what is older than they may, explored in every
//! order that nodes, messages and faults can take.
//!
//! What is decided is decided by the source that the real caches and the real engine run: `linkly-cache/src/protocol.rs`
//! and `linkly-core/src/engine/joining.rs`. What a key of the server does is [`Key`], which a test compares with
//! a real one. The in-process cache's leases are a generation here; `linkly-cache/shuttle` explores their source.
//!
//! One code, since codes share nothing but batches. A step is what happens in one place at once; between any two
//! of a node's steps any others may come, so that every node may be paused anywhere, for however long.

mod explore;
mod key;
mod node;
mod shared;
mod world;

#[allow(unreachable_pub, dead_code, reason = "the source of another crate, which uses all of it")]
#[path = "../../../linkly-core/src/engine/joining.rs"]
mod joining;
#[allow(unreachable_pub, dead_code, reason = "the source of another crate, which uses all of it")]
#[path = "../../src/protocol.rs"]
mod protocol;

use linkly_core::Code;

pub use explore::{Outcome, explore};
pub use key::Key;

/// What keeps old answers away; each can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// A lease of the shared cache has a number that no other has.
    Nonce,
    /// A fill of the near cache asks whether its lease still stands.
    Generation,
    /// An invalidation ends the joining of loads in flight.
    Detaching,
    /// An invalidation goes to the near cache before the far one.
    NearFirst,
    /// An invalidation goes to the near cache after the far one.
    NearLast,
    /// Codes whose invalidation the far cache was not told are not looked up in it.
    Untold,
    /// What the change log reports is invalidated.
    ChangeLog,
    /// Keys begin with the server's run.
    Namespace,
    /// A node that starts goes on where the shared cache was told of everything.
    Position,
}

/// What is explored.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The protections that are taken out.
    pub without: &'static [Protection],
    /// How many writes there are: updates, and at last a deletion.
    pub writes: u8,
    /// How many reads there are, two of them at a time at most.
    pub reads: u8,
    /// How many calls to the shared cache are lost or lose their answer, nodes killed, servers failed over.
    pub faults: u8,
    /// How many entries, leases or positions are evicted or end.
    pub evictions: u8,
    /// How many times a node reads the change log.
    pub looks: u8,
}

impl Rules {
    fn has(&self, protection: Protection) -> bool {
        !self.without.contains(&protection)
    }
}
