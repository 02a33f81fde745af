//! What the caches decide, apart from whatever carries it out: no I/O, no clock, no lock.
//!
//! [`Tiered`](crate::Tiered) and `RedisCache` call these, and so does the model in `linkly-cache/model`, which
//! explores them in every order that nodes and messages can take.

use linkly_core::Filled;

/// One of two caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Tier {
    /// In this process.
    Near,
    /// Shared by nodes.
    Far,
}

/// The order of an invalidation. First the near cache, since the far one may take longer than anybody waits. And the
/// near one once more: between the two a reader would copy from the far cache, under a new lease of the near one,
/// what is removed from the far one only then.
pub(crate) const INVALIDATION: [Tier; 3] = [Tier::Near, Tier::Far, Tier::Near];

/// Whether the far cache is asked for a code that the near one has `cold`: not, or no longer fresh.
pub(crate) fn asks_far(cold: bool, untold: bool) -> bool {
    cold && !untold
}

/// Where a loaded entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// To the far cache first, which knows of the invalidations of other nodes.
    Far,
    /// To the near cache, with a short life: the far one has given no lease.
    Alone,
    /// Nowhere: it was invalidated since, and the far cache does not know.
    Nowhere,
}

/// Where an entry goes that was loaded with or without a lease of the far cache.
pub(crate) fn way(far_lease: bool, untold: bool) -> Way {
    match (far_lease, untold) {
        (false, _) => Way::Alone,
        (true, true) => Way::Nowhere,
        (true, false) => Way::Far,
    }
}

/// Where an entry goes after the far cache was asked to take it; `None` when that one failed.
pub(crate) fn after_far(answer: Option<Filled>) -> NearFill {
    match answer {
        Some(Filled::Filled) => NearFill::Whole,
        Some(Filled::Voided) => NearFill::Nothing,
        None => NearFill::Alone,
    }
}

/// What the near cache is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NearFill {
    /// The entry as it is.
    Whole,
    /// The entry with a short life.
    Alone,
    /// Nothing.
    Nothing,
}

/// The last call that was to tell the far cache of a code's invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Untelling {
    call: u64,
    /// Whether it has failed, and is not on its way any more.
    pub(crate) failed: bool,
}

impl Untelling {
    /// On its way.
    pub(crate) fn begun(call: u64) -> Self {
        Self { call, failed: false }
    }

    /// Whether a call that has succeeded leaves it untold: one that began earlier does.
    pub(crate) fn outlasts(&self, told: u64) -> bool {
        self.call > told
    }

    /// That call has failed.
    pub(crate) fn fail(&mut self, call: u64) {
        self.failed |= self.call == call;
    }
}

/// Whether a name that was learnt is still the shared cache's: the same was drawn, and the same process holds it.
pub(crate) fn holds<D: Eq + ?Sized, R: Eq + ?Sized>(known: (&D, &R), answered: (&D, &R)) -> bool {
    known == answered
}
