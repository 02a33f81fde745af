//! The engine over the cache: a resolve that starts after a write returned never gets what was there
//! before, whatever was on its way meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use linkly_core::{Config, LinkPatch, LinkStoreExt, Linkly, NewLink, Resolution};
use rand::RngExt;

use super::sample::{code, version_of};
use crate::CacheHandle;
use crate::held_store::HeldStore;
use crate::run::at_once;
use crate::samples::seeded;

/// Longer than a case may take: nothing here is to give up.
const NEVER: Duration = Duration::from_secs(600);

/// An engine that follows no change log: what it knows of writes, it knows by their invalidation.
async fn engine(store: &HeldStore, cache: &CacheHandle, config: Config) -> Linkly {
    let config = config.with_poll_changes(Duration::ZERO).with_timeouts(NEVER, NEVER, NEVER);
    Linkly::builder(store.clone()).cache(cache.shared()).config(config).start().await.expect("start")
}

fn url(version: u64) -> String {
    format!("https://example.com/{version}")
}

/// The version that a code leads to; none when it leads nowhere.
async fn resolved(linkly: &Linkly, code: &str) -> Option<u64> {
    match linkly.resolve(code).await.expect("resolve") {
        Resolution::Found(target) => Some(version_of(&target)),
        Resolution::NotFound => None,
        Resolution::Gone => panic!("{code} never expires"),
    }
}

/// What is written while a load is held, and what the code leads to before and after it.
#[derive(Clone, Copy, Debug)]
enum Write {
    Create,
    Update,
    Delete,
}

impl Write {
    const ALL: [Self; 3] = [Self::Create, Self::Update, Self::Delete];

    fn before(self) -> Option<u64> {
        (!matches!(self, Self::Create)).then_some(1)
    }

    fn after(self) -> Option<u64> {
        (!matches!(self, Self::Delete)).then_some(2)
    }

    fn code(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    async fn make(self, linkly: &Linkly) {
        let code = self.code();
        match self {
            Self::Create => drop(linkly.create(NewLink::new(url(2)).with_code(code)).await.expect("create")),
            Self::Update => drop(linkly.update(&code, LinkPatch::new().with_url(url(2))).await.expect("update")),
            Self::Delete => linkly.delete(&code).await.expect("delete"),
        }
    }
}

/// A resolve through `linkly` whose load has the row of before the write, and is held.
async fn early(store: &HeldStore, linkly: &Linkly, write: Write) -> tokio::task::JoinHandle<Option<u64>> {
    if let Some(version) = write.before() {
        linkly.create(NewLink::new(url(version)).with_code(write.code())).await.expect("create");
        // Creating looks the code up behind the caller's back: that load ends, and what it stored goes.
        resolved(linkly, &write.code()).await;
        linkly.invalidate(&write.code()).await.expect("invalidate");
    }
    store.hold_next_read();
    let linkly = linkly.clone();
    let early = tokio::spawn(async move { resolved(&linkly, &write.code()).await });
    store.held().await;
    early
}

/// An engine that ended between a write and its invalidation left the old entry behind. The next one over the same
/// cache and store never answers it.
pub async fn an_engine_that_starts_makes_up_for_one_that_ended_too_early(cache: &CacheHandle) {
    let store = HeldStore::new();
    let first = engine(&store, cache, Config::default()).await;
    first.catch_up().await.expect("catch_up");
    for n in 0..10 {
        first.create(NewLink::new(url(1)).with_code(format!("a{n}"))).await.expect("create");
        assert_eq!(resolved(&first, &format!("a{n}")).await, Some(1));
    }
    first.catch_up().await.expect("catch_up");
    for n in 0..10 {
        let mut link = store.get_one(&code(&format!("a{n}"))).await.expect("get").expect("the link was made");
        link.url = url(2);
        store.update_one(&link).await.expect("update");
    }
    drop(first);
    let config = Config::default().with_poll_changes(NEVER).with_timeouts(NEVER, NEVER, NEVER);
    let next = Linkly::builder(store.clone()).cache(cache.shared()).config(config).start().await.expect("start");
    for n in 0..10 {
        assert_eq!(resolved(&next, &format!("a{n}")).await, Some(2), "a{n}");
    }
}

/// A load that read its row before a write stores nothing behind it: neither over what was loaded
/// since nor where nothing is.
pub async fn a_load_of_before_a_write_is_not_stored_after_it(cache: &CacheHandle) {
    for write in Write::ALL {
        let store = HeldStore::new();
        let linkly = engine(&store, cache, Config::default().with_loads(1, 2)).await;
        let early = early(&store, &linkly, write).await;
        write.make(&linkly).await;
        assert_eq!(resolved(&linkly, &write.code()).await, write.after(), "{write:?}: while the old row is held");
        store.release();
        let early = early.await.expect("the early resolve");
        assert!([write.before(), write.after()].contains(&early), "{write:?}: {early:?} was never there");
        assert_eq!(resolved(&linkly, &write.code()).await, write.after(), "{write:?}: after the old row came back");
    }
}

/// A resolve that waits behind a load of before a write does not get what that load brings.
pub async fn a_resolve_after_a_write_does_not_join_a_load_of_before_it(cache: &CacheHandle) {
    for write in Write::ALL {
        let store = HeldStore::new();
        // One load at a time: the late resolve's waits for the early one's.
        let linkly = engine(&store, cache, Config::default().with_loads(1, 1)).await;
        let early = early(&store, &linkly, write).await;
        write.make(&linkly).await;
        let misses = linkly.metrics().misses;
        let late = tokio::spawn({
            let linkly = linkly.clone();
            async move { resolved(&linkly, &write.code()).await }
        });
        while linkly.metrics().misses == misses && !late.is_finished() {
            tokio::task::yield_now().await;
        }
        store.release();
        early.await.expect("the early resolve");
        assert_eq!(late.await.expect("the late resolve"), write.after(), "{write:?}");
        assert_eq!(resolved(&linkly, &write.code()).await, write.after(), "{write:?}: once more");
    }
}

/// The same when the write went through another engine on the same cache, as another process has it.
pub async fn a_load_of_before_a_write_by_another_engine_is_not_stored_after_it(cache: &CacheHandle) {
    for write in Write::ALL {
        let store = HeldStore::new();
        let linkly = engine(&store, cache, Config::default()).await;
        let other = engine(&store, cache, Config::default()).await;
        let early = early(&store, &linkly, write).await;
        write.make(&other).await;
        assert_eq!(resolved(&other, &write.code()).await, write.after(), "{write:?}: while the old row is held");
        store.release();
        early.await.expect("the early resolve");
        for linkly in [&linkly, &other] {
            assert_eq!(resolved(linkly, &write.code()).await, write.after(), "{write:?}: after the old row came back");
        }
    }
}

/// Tasks that resolve and update `codes` links through one engine.
async fn race(cache: &CacheHandle, seed: u64, codes: usize, config: Config) {
    /// The version that was given last, by writers who take turns, and the last whose update returned.
    type Row = (String, tokio::sync::Mutex<u64>, AtomicU64);

    let linkly = engine(&HeldStore::new(), cache, config).await;
    let mut rows: Vec<Row> = Vec::new();
    for n in 0..codes {
        let code = format!("e{seed}-{n}");
        linkly.create(NewLink::new(url(1)).with_code(&code)).await.expect("create");
        rows.push((code, tokio::sync::Mutex::new(1), AtomicU64::new(1)));
    }
    let rows = Arc::new(rows);
    at_once((0..8).map(|task| {
        let (linkly, rows) = (linkly.clone(), rows.clone());
        async move {
            let mut rng = seeded(seed * 100 + task);
            for _ in 0..200 {
                let (code, given, updated) = &rows[rng.random_range(0..rows.len())];
                if rng.random_bool(0.2) {
                    let mut version = given.lock().await;
                    *version += 1;
                    linkly.update(code, LinkPatch::new().with_url(url(*version))).await.expect("update");
                    updated.fetch_max(*version, SeqCst);
                } else {
                    let oldest = updated.load(SeqCst);
                    let found = resolved(&linkly, code).await.expect("a link");
                    assert!(oldest <= found, "{code} led to version {found} after version {oldest} was made");
                }
            }
        }
    }))
    .await;
}

/// Eight tasks resolve and update one link, whose entries are fresh for long or stale at once.
pub async fn no_resolve_is_older_than_the_last_update_of_one_link(cache: &CacheHandle) {
    race(cache, 1, 1, Config::default()).await;
    race(cache, 2, 1, Config::default().with_freshness(Duration::ZERO, NEVER)).await;
}

/// Eight tasks resolve and update a few links.
pub async fn no_resolve_is_older_than_the_last_update_of_a_few_links(cache: &CacheHandle) {
    race(cache, 3, 4, Config::default()).await;
    race(cache, 4, 4, Config::default().with_freshness(Duration::ZERO, NEVER).with_loads(2, 4)).await;
}
