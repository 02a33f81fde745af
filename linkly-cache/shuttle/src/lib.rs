//! The leases of `linkly-cache` on [shuttle]'s locks, so that a test decides which thread goes on.
//!
//! The source is the same, `linkly-cache/src/memory/{leases,spaces}.rs`; only the spaces are simple maps.
//! [`broken`] has it again, each time without one of its protections, to show that the tests would notice.

mod space;

use linkly_core::{Code, Entry, Filled, Lease, Lookup, Tick};

/// What the tests need of a cache.
pub trait Subject: Send + Sync + 'static {
    /// With so many stripes.
    fn new(stripes: usize) -> Self;
    /// As of `Cache`.
    fn peek(&self, code: &Code, now: Tick) -> Option<Entry>;
    /// As of `Cache`; `stripe` is where the code belongs.
    fn get(&self, stripe: u64, code: &Code, now: Tick) -> Lookup;
    /// As of `Cache`.
    fn fill(&self, stripe: u64, lease: &Lease, entry: Entry, now: Tick) -> Filled;
    /// As of `Cache`.
    fn invalidate(&self, stripe: u64, code: &Code);
    /// As of `Cache`.
    fn clear(&self);
    /// In how many of the two spaces the code is.
    fn places(&self, code: &Code) -> usize;
}

macro_rules! subject {
    ($(#[$doc:meta])* $module:ident, $name:ident) => {
        mod $module {
            #![allow(dead_code, unused_mut, unused_variables, reason = "what a protection leaves when it goes")]

            use shuttle::sync;

            mod leases {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($module), "/leases.rs"));
            }

            pub(crate) mod spaces {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($module), "/spaces.rs"));
            }

            use linkly_core::{Code, Entry, Filled, Lease, Lookup, Tick};

            use crate::space::Map;

            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name(spaces::Spaces<Map>);

            impl spaces::Space for Map {
                fn find(&self, code: &str) -> Option<Entry> {
                    self.find(code)
                }
                fn put(&self, code: &Code, entry: Entry) {
                    self.put(code, entry);
                }
                fn remove(&self, code: &str) {
                    self.remove(code);
                }
                fn empty(&self) {
                    self.empty();
                }
            }

            impl crate::Subject for $name {
                fn new(stripes: usize) -> Self {
                    Self(spaces::Spaces::new(leases::Leases::new(1, stripes), Map::default(), Map::default()))
                }
                fn peek(&self, code: &Code, now: Tick) -> Option<Entry> {
                    self.0.peek(code.as_str(), now)
                }
                fn get(&self, stripe: u64, code: &Code, now: Tick) -> Lookup {
                    self.0.get(stripe, code, now)
                }
                fn fill(&self, stripe: u64, lease: &Lease, entry: Entry, now: Tick) -> Filled {
                    self.0.fill(stripe, lease, entry, now)
                }
                fn invalidate(&self, stripe: u64, code: &Code) {
                    self.0.invalidate(stripe, code);
                }
                fn clear(&self) {
                    self.0.clear();
                }
                fn places(&self, code: &Code) -> usize {
                    [&self.0.targets, &self.0.absences].into_iter().filter(|space| space.find(code.as_str()).is_some()).count()
                }
            }
        }
    };
}

subject!(
    /// The leases as they are.
    intact,
    Intact
);

/// The leases, each time without one protection.
pub mod broken {
    pub use crate::{
        a_target_leaves_the_absence::ATargetLeavesTheAbsence, clear_does_not_raise::ClearDoesNotRaise,
        clear_empties_before_it_raises::ClearEmptiesBeforeItRaises, fill_does_not_compare::FillDoesNotCompare,
        fill_stores_after_the_lock::FillStoresAfterTheLock, get_looks_up_before_its_lease::GetLooksUpBeforeItsLease,
        invalidate_does_not_raise::InvalidateDoesNotRaise, invalidate_leaves_the_absence::InvalidateLeavesTheAbsence,
        invalidate_removes_before_the_lock::InvalidateRemovesBeforeTheLock,
    };
}

pub use intact::Intact;

subject!(
    /// A fill is stored under any lease.
    fill_does_not_compare,
    FillDoesNotCompare
);

subject!(
    /// A fill compares under the lock, and stores when it has let go of it.
    fill_stores_after_the_lock,
    FillStoresAfterTheLock
);

subject!(
    /// An invalidation removes, and voids no lease.
    invalidate_does_not_raise,
    InvalidateDoesNotRaise
);

subject!(
    /// An invalidation removes, and voids the leases then.
    invalidate_removes_before_the_lock,
    InvalidateRemovesBeforeTheLock
);

subject!(
    /// Clearing empties, and voids no lease.
    clear_does_not_raise,
    ClearDoesNotRaise
);

subject!(
    /// Clearing empties, and voids the leases then.
    clear_empties_before_it_raises,
    ClearEmptiesBeforeItRaises
);

subject!(
    /// A look-up comes before its lease.
    get_looks_up_before_its_lease,
    GetLooksUpBeforeItsLease
);

subject!(
    /// What is filled stands beside what was there in the other space.
    a_target_leaves_the_absence,
    ATargetLeavesTheAbsence
);

subject!(
    /// An invalidation forgets the absences.
    invalidate_leaves_the_absence,
    InvalidateLeavesTheAbsence
);
