//! A cache that outlives its engines is told of what they could not tell it.

mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Cache, ChangeCursor, Code, Config, Entry, Error, Filled, Lease, Link, LinkStore, LinkStoreExt, Linkly, Lookup,
    Maintenance, ManualClock, Result, Tick,
};
use support::{Fault, Gate, MapCache, TestStore, url};

/// A cache elsewhere: it keeps its position, can be cut off, and has a memory of the engine's process in front.
#[derive(Debug, Default)]
struct Shared {
    near: MapCache,
    far: Arc<Far>,
}

#[derive(Debug, Default)]
struct Far {
    map: MapCache,
    position: Mutex<Option<ChangeCursor>>,
    clears: AtomicUsize,
    forgets: AtomicUsize,
    forgetting: Gate,
    cut_off: AtomicBool,
    /// It can be read, and takes nothing in.
    full: AtomicBool,
    hold_next_advance: AtomicBool,
    late: Gate,
}

impl Far {
    fn reach(&self) -> Result<&MapCache> {
        if self.cut_off.load(Ordering::SeqCst) {
            return Err(Error::unavailable("test", "cut off"));
        }
        Ok(&self.map)
    }

    fn position(&self) -> Option<ChangeCursor> {
        self.position.lock().unwrap().clone()
    }

    fn cut_off(&self, is_cut_off: bool) {
        self.cut_off.store(is_cut_off, Ordering::SeqCst);
    }

    fn forgets(&self) -> usize {
        self.forgets.load(Ordering::SeqCst)
    }

    fn clears(&self) -> usize {
        self.clears.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Cache for Shared {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.near.peek(code, now)
    }
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        let mut lookups = self.near.get(codes, now).await?;
        let Ok(far) = self.far.reach() else { return Ok(lookups) };
        let found = far.get(codes, now).await?;
        for (lookup, found) in lookups.iter_mut().zip(found) {
            let mut near = lookup.lease.take();
            // What the one elsewhere has is copied into the one in front.
            if let (Some(entry), None) = (&found.entry, &found.lease)
                && let Some(lease) = near.take()
            {
                self.near.fill(vec![(lease, entry.clone())], now).await?;
            }
            *lookup = Lookup::new(found.entry.or(lookup.entry.take()), near.map(|lease| lease.with_inner(found.lease)));
        }
        Ok(lookups)
    }
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        if let Ok(far) = self.far.reach() {
            let inner = |(lease, entry): (Lease, Entry)| Some((lease.into_inner()?, entry));
            far.fill(fills.clone().into_iter().filter_map(inner).collect(), now).await?;
        }
        self.near.fill(fills, now).await
    }
    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        self.near.invalidate(codes).await?;
        self.far.reach()?.invalidate(codes).await
    }
    async fn clear(&self) -> Result<()> {
        self.near.clear().await?;
        if self.far.full.load(Ordering::SeqCst) {
            return Err(Error::unavailable("test", "full"));
        }
        self.far.reach()?.clear().await?;
        self.far.clears.fetch_add(1, Ordering::SeqCst);
        *self.far.position.lock().unwrap() = None;
        Ok(())
    }
    async fn forget_all(&self) -> Result<()> {
        self.far.forgets.fetch_add(1, Ordering::SeqCst);
        self.far.forgetting.pass().await;
        self.near.clear().await
    }
    async fn position(&self) -> Result<Option<ChangeCursor>> {
        self.far.reach()?;
        Ok(self.far.position())
    }
    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        if self.far.hold_next_advance.swap(false, Ordering::SeqCst) {
            self.far.late.pass().await;
        }
        self.far.reach()?;
        let mut position = self.far.position.lock().unwrap();
        if position.as_ref() == from {
            *position = Some(to.clone());
        }
        Ok(())
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

/// It looks at the log when it starts, and then when the test says so.
async fn engine(store: &TestStore, far: &Arc<Far>) -> Linkly {
    engine_that_looks(HOUR, store, far).await
}

async fn engine_that_looks(every: Duration, store: &TestStore, far: &Arc<Far>) -> Linkly {
    let config = Config::default().with_poll_changes(every).with_timeouts(HOUR, HOUR, HOUR);
    let cache = Shared { far: far.clone(), ..Shared::default() };
    Linkly::builder(store.clone()).cache(cache).config(config).start().await.unwrap()
}

fn link(code: &str, version: u32) -> Link {
    Link::new(Code::new(code).unwrap(), format!("https://example.com/{version}"), Utc::now())
}

async fn insert(store: &TestStore, code: &str) {
    store.inner.insert_one(&link(code, 1)).await.unwrap();
}

/// As an engine leaves it that ends between the write and the invalidation.
async fn update(store: &TestStore, code: &str, version: u32) {
    let mut written = store.inner.get_one(&Code::new(code).unwrap()).await.unwrap().unwrap();
    written.url = format!("https://example.com/{version}");
    store.inner.update_one(&written).await.unwrap();
}

async fn resolved(linkly: &Linkly) -> String {
    url(linkly.resolve("a").await)
}

#[tokio::test]
async fn an_engine_goes_on_where_the_cache_was_told_last() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let first = engine(&store, &far).await;
    assert_eq!(far.clears(), 1, "nobody knew what it was told of");
    insert(&store, "a").await;
    insert(&store, "b").await;
    first.catch_up().await.unwrap();
    assert_eq!(resolved(&first).await, "https://example.com/1");
    first.resolve("b").await.unwrap();
    update(&store, "a", 2).await;
    drop(first);
    let second = engine(&store, &far).await;
    assert_eq!(second.metrics().changes, 1, "what the first has read is not read again");
    assert_eq!(resolved(&second).await, "https://example.com/2");
    let reads = store.reads();
    second.resolve("b").await.unwrap();
    assert_eq!((store.reads(), far.clears()), (reads, 1), "and what did not change is still there");
    assert_eq!(far.position(), Some(store.inner.changes(None).await.unwrap().next));
}

#[tokio::test]
async fn a_cache_that_lost_its_position_or_has_one_that_the_log_does_not_know_is_cleared() {
    for lost in [None, Some(ChangeCursor::new("of another database"))] {
        let (store, far) = (TestStore::new(), Arc::new(Far::default()));
        let first = engine(&store, &far).await;
        insert(&store, "a").await;
        first.catch_up().await.unwrap();
        assert_eq!(resolved(&first).await, "https://example.com/1");
        update(&store, "a", 2).await;
        drop(first);
        (*far.position.lock().unwrap()).clone_from(&lost);
        let second = engine(&store, &far).await;
        assert_eq!(far.clears(), 2, "{lost:?}");
        assert_eq!(resolved(&second).await, "https://example.com/2");
        assert_eq!(far.position(), Some(store.inner.changes(None).await.unwrap().next));
    }
}

#[tokio::test]
async fn a_position_that_is_lost_while_an_engine_runs_is_set_again_and_nothing_is_cleared() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let first = engine(&store, &far).await;
    *far.position.lock().unwrap() = None;
    first.catch_up().await.unwrap();
    assert!(far.position().is_some());
    engine(&store, &far).await;
    assert_eq!(far.clears(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_position_moves_when_the_invalidations_are_done_and_not_before() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let linkly = engine(&store, &far).await;
    let before = far.position();
    insert(&store, "a").await;
    far.cut_off(true);
    linkly.catch_up().await.unwrap_err();
    far.cut_off(false);
    assert_eq!(far.position(), before);
    // Others may have moved it since.
    linkly.catch_up().await.unwrap();
    assert_ne!(far.position(), before);
}

#[tokio::test]
async fn an_engine_that_is_late_does_not_move_the_position_back() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let (late, other) = (engine(&store, &far).await, engine(&store, &far).await);
    insert(&store, "a").await;
    far.late.close();
    far.hold_next_advance.store(true, Ordering::SeqCst);
    let looking = tokio::spawn(async move { late.catch_up().await });
    far.late.arrived(1).await;
    insert(&store, "b").await;
    other.catch_up().await.unwrap();
    let end = store.inner.changes(None).await.unwrap().next;
    assert_eq!(far.position().as_ref(), Some(&end));
    far.late.open();
    looking.await.unwrap().unwrap();
    assert_eq!(far.position(), Some(end));
}

#[tokio::test]
async fn while_the_cache_is_cut_off_at_the_start_the_log_is_followed_and_what_it_missed_is_told_later() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let first = engine(&store, &far).await;
    insert(&store, "a").await;
    first.catch_up().await.unwrap();
    assert_eq!(resolved(&first).await, "https://example.com/1");
    update(&store, "a", 2).await;
    drop(first);
    far.cut_off(true);
    let second = engine(&store, &far).await;
    assert_eq!(resolved(&second).await, "https://example.com/2", "out of the store");
    update(&store, "a", 3).await;
    second.catch_up().await.unwrap_err();
    assert_eq!(resolved(&second).await, "https://example.com/3", "its own memory is told");
    far.cut_off(false);
    second.catch_up().await.unwrap();
    assert_eq!(resolved(&second).await, "https://example.com/3");
    let third = engine(&store, &far).await;
    assert_eq!(resolved(&third).await, "https://example.com/3");
    assert_eq!(far.clears(), 1, "the position was still there");
}

#[tokio::test]
async fn what_another_engine_tells_the_cache_of_after_this_one_loaded_it_is_dropped_from_its_memory() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let first = engine(&store, &far).await;
    insert(&store, "a").await;
    first.catch_up().await.unwrap();
    assert_eq!(resolved(&first).await, "https://example.com/1");
    far.cut_off(true);
    update(&store, "a", 2).await;
    first.catch_up().await.unwrap_err();
    let second = engine(&store, &far).await;
    far.cut_off(false);
    assert_eq!(resolved(&second).await, "https://example.com/1", "out of the cache that was not told yet");
    first.catch_up().await.unwrap();
    second.catch_up().await.unwrap();
    assert_eq!(resolved(&second).await, "https://example.com/2");
}

/// It does not look when it starts, and has loaded something when the app looks first.
#[tokio::test]
async fn the_first_look_of_an_engine_that_takes_none_by_itself_drops_what_was_loaded_before_it() {
    for cut_off in [false, true] {
        let (store, far) = (TestStore::new(), Arc::new(Far::default()));
        let first = engine(&store, &far).await;
        insert(&store, "a").await;
        first.catch_up().await.unwrap();
        let second = engine_that_looks(Duration::ZERO, &store, &far).await;
        assert_eq!(resolved(&second).await, "https://example.com/1");
        update(&store, "a", 2).await;
        first.catch_up().await.unwrap();
        assert_eq!(resolved(&second).await, "https://example.com/1", "out of its memory");
        assert_eq!(far.forgets(), 0, "an engine that looks when it starts has loaded nothing by then");
        far.cut_off(cut_off);
        assert_eq!(second.catch_up().await.is_err(), cut_off);
        assert_eq!(resolved(&second).await, "https://example.com/2", "cut off: {cut_off}");
        assert_eq!(far.forgets(), 1);
    }
}

#[tokio::test]
async fn a_look_that_is_dropped_on_its_way_is_taken_from_the_beginning() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let first = engine(&store, &far).await;
    insert(&store, "a").await;
    first.catch_up().await.unwrap();
    let second = engine_that_looks(Duration::ZERO, &store, &far).await;
    assert_eq!(resolved(&second).await, "https://example.com/1");
    update(&store, "a", 2).await;
    first.catch_up().await.unwrap();
    far.forgetting.close();
    tokio::select! {
        _ = second.catch_up() => panic!("it passed a gate that is closed"),
        () = far.forgetting.arrived(1) => {}
    }
    far.forgetting.open();
    second.catch_up().await.unwrap();
    assert_eq!(resolved(&second).await, "https://example.com/2");
}

/// A clear drops it already.
#[tokio::test]
async fn a_first_look_that_clears_drops_nothing_once_more() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    insert(&store, "a").await;
    let linkly = engine_that_looks(Duration::ZERO, &store, &far).await;
    assert_eq!(resolved(&linkly).await, "https://example.com/1");
    update(&store, "a", 2).await;
    linkly.catch_up().await.unwrap();
    assert_eq!(resolved(&linkly).await, "https://example.com/2");
    assert_eq!((far.clears(), far.forgets()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn however_much_changes_while_the_cache_is_cut_off_this_process_is_told_of_it() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    let linkly = engine(&store, &far).await;
    insert(&store, "a").await;
    linkly.catch_up().await.unwrap();
    assert_eq!(resolved(&linkly).await, "https://example.com/1");
    far.cut_off(true);
    // The log is read a thousand changes at a time.
    for look in 2..4 {
        let others: Vec<_> = (0..2_500).map(|n| link(&format!("l{look}-{n}"), 1)).collect();
        store.inner.insert(&others).await.unwrap();
        update(&store, "a", look).await;
        linkly.catch_up().await.unwrap_err();
        assert_eq!(resolved(&linkly).await, format!("https://example.com/{look}"));
    }
    far.cut_off(false);
    linkly.catch_up().await.unwrap();
    let next = engine(&store, &far).await;
    assert_eq!(resolved(&next).await, "https://example.com/3", "and the other is told when it is back");
    assert_eq!((far.position(), far.clears()), (Some(store.inner.changes(None).await.unwrap().next), 1));
}

#[tokio::test]
async fn how_far_behind_the_log_the_memory_is_does_not_depend_on_the_cache_elsewhere() {
    let (store, far, clock) = (TestStore::new(), Arc::new(Far::default()), Arc::new(ManualClock::new()));
    let config = Config::default().with_poll_changes(HOUR).with_timeouts(HOUR, HOUR, HOUR);
    let builder = Linkly::builder(store.clone()).cache(Shared { far: far.clone(), ..Shared::default() });
    let linkly = builder.config(config).clock(clock.clone()).start().await.unwrap();
    far.cut_off(true);
    insert(&store, "a").await;
    clock.advance(Duration::from_secs(3));
    linkly.catch_up().await.unwrap_err();
    assert_eq!(linkly.metrics().changes_lag, Some(Duration::ZERO), "the memory was told");
    clock.advance(Duration::from_secs(3));
    store.controls.poll_faults.lock().unwrap().push(Fault::Unavailable);
    linkly.catch_up().await.unwrap_err();
    assert_eq!(linkly.metrics().changes_lag, Some(Duration::from_secs(3)), "the log could not be read");
}

#[tokio::test]
async fn while_the_cache_cannot_be_cleared_the_log_is_followed_all_the_same() {
    let (store, far) = (TestStore::new(), Arc::new(Far::default()));
    insert(&store, "a").await;
    far.full.store(true, Ordering::SeqCst);
    let linkly = engine(&store, &far).await;
    for version in 2..5 {
        assert_eq!(resolved(&linkly).await, format!("https://example.com/{}", version - 1));
        update(&store, "a", version).await;
        linkly.catch_up().await.unwrap_err();
    }
    assert_eq!((resolved(&linkly).await.as_str(), far.position()), ("https://example.com/4", None));
    assert_eq!(linkly.metrics().cache_errors, 4, "with each look");
    far.full.store(false, Ordering::SeqCst);
    linkly.catch_up().await.unwrap();
    assert_eq!((far.position(), far.clears()), (Some(store.inner.changes(None).await.unwrap().next), 1));
}
