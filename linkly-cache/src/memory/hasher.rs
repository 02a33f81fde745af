//! The hash of codes: fast, and under a key that nobody outside knows.
//!
//! Whoever asks for codes chooses what is hashed. foldhash takes 3 ns for a word where SipHash takes 12
//! (its own figures). It claims no more than that collisions cannot be prepared without its seeds, so the
//! seeds come from the system's generator instead of the addresses and the time it would take itself. No
//! answer carries a hash or an order of entries, and a chain of collisions ends at the capacity of a shard.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;

/// Hashes codes, and the text of codes to the same.
pub(crate) type Hasher = SeedableRandomState;

/// A hasher under a key of its own.
pub(crate) fn seeded() -> Hasher {
    static SHARED: LazyLock<SharedSeed> = LazyLock::new(|| SharedSeed::from_u64(secret()));
    SeedableRandomState::with_seed(secret(), &SHARED)
}

/// 64 bits that nobody outside the process can know: SipHash under a key from the system.
pub(crate) fn secret() -> u64 {
    RandomState::new().hash_one(0)
}
