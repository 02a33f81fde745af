//! Fills, look-ups, invalidations and clearing, in every order the threads can take.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use linkly_cache_shuttle::{Intact, Subject, broken};
use linkly_core::{Code, Entry, Filled, Target, TargetParts, Tick, Uuid};
use shuttle::scheduler::DfsScheduler;
use shuttle::sync::Arc;
use shuttle::{Config, Runner, thread};

const NOW: Tick = Tick::from_millis(1);
const STRIPES: usize = 2;

/// The store's row in that version: a link where it is odd, none where it is even. The entry is stale at
/// once, so that each look-up comes with a lease, and its end tells the version.
fn row(version: u64) -> Entry {
    let target = Target::new(TargetParts::new(Uuid::nil(), "https://iii.dev"));
    Entry::new((version % 2 == 1).then_some(target), Tick::default(), Tick::from_millis(2 + version))
}

fn version(entry: &Entry) -> u64 {
    entry.serve_until.as_millis() - 2
}

/// One code, its row in the store, and the cache. The store's steps need no order of their own: another
/// thread may go on between each of them and the cache's.
struct World<S> {
    cache: S,
    code: Code,
    stripe: u64,
    stored: AtomicU64,
    invalidated: AtomicU64,
}

impl<S: Subject> World<S> {
    /// With the first row, an absence, in the cache.
    fn new() -> Arc<Self> {
        let code = Code::new("iii").unwrap();
        let world = Self { cache: S::new(STRIPES), code, stripe: 1, stored: 0.into(), invalidated: 0.into() };
        world.read();
        Arc::new(world)
    }

    fn get(&self) -> (Option<Entry>, linkly_core::Lease) {
        let lookup = self.cache.get(self.stripe, &self.code, NOW);
        (lookup.entry, lookup.lease.expect("what is stale comes with a lease"))
    }

    /// Reads through the cache, as the engine does.
    fn read(&self) {
        let (entry, lease) = self.get();
        let loaded = self.stored.load(SeqCst);
        let invalidated = self.invalidated.load(SeqCst);
        let filled = self.cache.fill(self.stripe, &lease, row(loaded), NOW);
        if let (Some(entry), Filled::Filled) = (entry, filled) {
            assert!(version(&entry) >= invalidated, "a living lease came with an entry from before an invalidation");
        }
    }

    fn write(&self, version: u64) {
        self.stored.fetch_max(version, SeqCst);
        self.cache.invalidate(self.stripe, &self.code);
        self.written(version);
    }

    /// As a node that has missed invalidations.
    fn write_and_clear(&self, version: u64) {
        self.stored.fetch_max(version, SeqCst);
        self.cache.clear();
        self.written(version);
    }

    fn written(&self, written: u64) {
        self.invalidated.fetch_max(written, SeqCst);
        self.never_answers_before(written);
    }

    fn never_answers_before(&self, written: u64) {
        let answered = self.cache.peek(&self.code, NOW).map_or(written, |entry| version(&entry));
        assert!(answered >= written, "version {answered} was answered after {written} was invalidated");
    }

    /// When all threads have ended.
    fn settle(&self) {
        let stored = self.stored.load(SeqCst);
        self.never_answers_before(stored);
        self.read();
        self.stored.store(stored + 1, SeqCst);
        self.read();
        assert_eq!(self.cache.places(&self.code), 1, "the code is a link and an absence");
    }
}

/// Runs each part in a thread of its own.
fn run<S: Subject>(parts: &[fn(&World<S>)]) {
    let world = World::<S>::new();
    let part = |&part: &fn(&World<S>)| {
        let world = Arc::clone(&world);
        thread::spawn(move || part(&world))
    };
    let threads: Vec<_> = parts.iter().map(part).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    world.settle();
}

/// All orders of two threads, then many of four.
fn explore<S: Subject>() {
    let all = |run: fn()| Runner::new(DfsScheduler::new(None, false), Config::default()).run(run);
    let orders = all(|| run::<S>(&[World::read, |world| world.write(1)]))
        + all(|| run::<S>(&[World::read, |world| world.write_and_clear(1)]));
    println!("{orders} orders of two threads");
    shuttle::check_random(
        || run::<S>(&[World::read, World::read, |world| world.write(1), |world| world.write_and_clear(2)]),
        10_000,
    );
}

#[test]
fn no_order_of_fills_and_invalidations_leaves_an_old_entry() {
    explore::<Intact>();
}

#[test]
#[should_panic(expected = "was answered after")]
fn a_fill_that_does_not_compare_generations_is_found() {
    explore::<broken::FillDoesNotCompare>();
}

#[test]
#[should_panic(expected = "was answered after")]
fn a_fill_that_stores_after_the_lock_is_found() {
    explore::<broken::FillStoresAfterTheLock>();
}

#[test]
#[should_panic(expected = "invalidat")]
fn an_invalidation_that_voids_no_lease_is_found() {
    explore::<broken::InvalidateDoesNotRaise>();
}

#[test]
#[should_panic(expected = "invalidat")]
fn an_invalidation_that_removes_before_the_lock_is_found() {
    explore::<broken::InvalidateRemovesBeforeTheLock>();
}

#[test]
#[should_panic(expected = "invalidat")]
fn clearing_that_voids_no_lease_is_found() {
    explore::<broken::ClearDoesNotRaise>();
}

#[test]
#[should_panic(expected = "invalidat")]
fn clearing_that_empties_before_it_voids_is_found() {
    explore::<broken::ClearEmptiesBeforeItRaises>();
}

#[test]
#[should_panic(expected = "a living lease came with")]
fn a_look_up_before_its_lease_is_found() {
    explore::<broken::GetLooksUpBeforeItsLease>();
}

#[test]
#[should_panic(expected = "a link and an absence")]
fn a_code_in_both_spaces_is_found() {
    explore::<broken::ATargetLeavesTheAbsence>();
}

#[test]
#[should_panic(expected = "was answered after")]
fn an_absence_that_outlives_its_invalidation_is_found() {
    explore::<broken::InvalidateLeavesTheAbsence>();
}
