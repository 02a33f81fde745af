//! The leases of a cache in process.
//!
//! Codes are spread over stripes by their hash, and a stripe has a generation: how often a code of it
//! was invalidated. A lease is the generation as it was when the lease was taken, and lives while the
//! generation is still that one. So leases take no memory, and any number of readers may hold one; the
//! price is that invalidating a code voids the leases of the other codes of its stripe too.
//!
//! Why a fill under a living lease is never older than the last invalidation:
//!
//! 1. A reader takes its lease before it reads the store; a writer commits before it invalidates. If the
//!    generation was raised after the lease was taken, the fill finds another generation and is dropped.
//!    If it was raised before, the commit was before the read, and the reader has read what was written.
//! 2. Comparing and storing are one step under the stripe's lock, and so are raising and removing. A fill
//!    that finds its generation has stored before an invalidation can raise it, and that one then removes
//!    what was stored.
//!
//! A lease is also taken before the entry is looked up. A reader that goes on with a stale entry may then
//! ask the lease about it: while the lease lives, no invalidation has come since the entry was found. And
//! it is taken under the lock, since between raising and removing the old entry is still there.
//!
//! The names of `super::sync` are `std`'s here; where every interleaving is explored they are shuttle's.

use linkly_core::Filled;

use super::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(crate) struct Leases {
    /// Tells this cache's leases from those of others.
    cache: u64,
    generations: Box<[Mutex<u64>]>,
}

impl Leases {
    pub(crate) fn new(cache: u64, stripes: usize) -> Self {
        Self { cache, generations: (0..stripes.max(1)).map(|_| Mutex::new(0)).collect() }
    }

    /// Takes a lease on the code with that hash, and then looks it up.
    pub(crate) fn take<T>(&self, hash: u64, find: impl FnOnce() -> T) -> (u128, T) {
        let token = self.token(*self.stripe(hash));
        (token, find())
    }

    /// Stores, if the lease lives.
    pub(crate) fn fill(&self, hash: u64, token: u128, store: impl FnOnce()) -> Filled {
        let generation = self.stripe(hash);
        if self.token(*generation) != token {
            return Filled::Voided;
        }
        store();
        Filled::Filled
    }

    /// Voids the leases on the code with that hash, and removes it.
    pub(crate) fn invalidate(&self, hash: u64, remove: impl FnOnce()) {
        let mut generation = self.stripe(hash);
        *generation += 1;
        remove();
    }

    /// Voids all leases, and empties.
    ///
    /// Not under all locks at once: when the emptying begins, no fill under an older lease can begin any
    /// more, and those that had begun have stored. Newer fills may be emptied with the rest.
    pub(crate) fn clear(&self, empty: impl FnOnce()) {
        for generation in &self.generations {
            *lock(generation) += 1;
        }
        empty();
    }

    fn token(&self, generation: u64) -> u128 {
        u128::from(self.cache) << 64 | u128::from(generation)
    }

    fn stripe(&self, hash: u64) -> MutexGuard<'_, u64> {
        lock(&self.generations[(hash % self.generations.len() as u64) as usize])
    }
}

/// A panic of whoever held the lock leaves a generation as good as any.
fn lock(generation: &Mutex<u64>) -> MutexGuard<'_, u64> {
    generation.lock().unwrap_or_else(PoisonError::into_inner)
}
