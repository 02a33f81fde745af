//! Two caches as one, of which the far one fails.

#![cfg(feature = "memory")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use async_trait::async_trait;
use linkly_cache::{MemoryCache, Tiered};
use linkly_core::{
    Cache, CacheExt, Code, Config, Entry, Error, Filled, Lease, LinkPatch, Linkly, Lookup, MemoryStore, NewLink,
    Resolution, Result, Target, TargetParts, Tick, Uuid,
};

const NOW: Tick = Tick::from_millis(1_000_000);

/// A cache that cannot be reached as long as it is told so. Clones are handles of other nodes.
#[derive(Clone, Debug)]
struct Reached {
    cache: Arc<MemoryCache>,
    is_down: Arc<AtomicBool>,
}

impl Reached {
    fn new() -> Self {
        Self { cache: Arc::new(MemoryCache::new()), is_down: Arc::default() }
    }

    /// The same cache by way of a network that works.
    fn of_another_node(&self) -> Self {
        Self { is_down: Arc::default(), ..self.clone() }
    }

    fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, SeqCst);
    }

    fn reach(&self) -> Result<&MemoryCache> {
        if self.is_down.load(SeqCst) { Err(Error::unavailable("far", "down")) } else { Ok(&self.cache) }
    }
}

#[async_trait]
impl Cache for Reached {
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        self.reach()?.get(codes, now).await
    }
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        self.reach()?.fill(fills, now).await
    }
    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        self.reach()?.invalidate(codes).await
    }
    async fn clear(&self) -> Result<()> {
        self.reach()?.clear().await
    }
}

type Node = Tiered<MemoryCache, Reached>;

fn node(far: &Reached) -> Node {
    Tiered::new(MemoryCache::new(), far.clone())
}

fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

fn target(version: u128) -> Target {
    Target::new(TargetParts::new(Uuid::from_u128(version), "https://iii.dev"))
}

fn living(version: u128) -> Entry {
    Entry::new(Some(target(version)), NOW.after(Duration::from_secs(60)), NOW.after(Duration::from_secs(600)))
}

async fn lease(cache: &Node, code: &Code) -> Lease {
    cache.get_one(code, NOW).await.unwrap().lease.expect("it is missing")
}

async fn fill(cache: &Node, code: &Code, version: u128) -> Filled {
    let lease = lease(cache, code).await;
    cache.fill_one(lease, living(version), NOW).await.unwrap()
}

async fn answered(cache: &Node, code: &Code) -> Option<Target> {
    cache.get_one(code, NOW).await.unwrap().entry.and_then(|entry| entry.target)
}

#[tokio::test]
async fn what_another_node_filled_is_found_and_kept_here_for_what_is_left_of_its_life() {
    let far = Reached::new();
    let (one, other) = (node(&far), node(&far));
    assert_eq!(fill(&one, &code("a"), 1).await, Filled::Filled);
    assert_eq!(other.peek("a", NOW), None);
    assert_eq!(answered(&other, &code("a")).await, Some(target(1)));
    assert_eq!(other.peek("a", NOW), Some(living(1)));
}

#[tokio::test]
async fn a_fill_that_the_far_cache_voided_is_not_kept_near() {
    let far = Reached::new();
    let (one, other) = (node(&far), node(&far));
    let lease = lease(&one, &code("a")).await;
    other.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(one.fill_one(lease, living(1), NOW).await.unwrap(), Filled::Voided);
    assert_eq!(one.peek("a", NOW), None);
}

#[tokio::test]
async fn while_the_far_cache_is_down_the_near_one_is_filled_with_a_short_life() {
    let far = Reached::new();
    let cache = node(&far).with_alone(Duration::from_secs(3));
    let before = lease(&cache, &code("before")).await;
    far.set_down(true);
    assert_eq!(fill(&cache, &code("a"), 1).await, Filled::Filled);
    assert_eq!(cache.fill_one(before, living(2), NOW).await.unwrap(), Filled::Filled);
    let short = |version| Entry::new(Some(target(version)), Tick::from_millis(1_003_000), Tick::from_millis(1_006_000));
    assert_eq!((cache.peek("a", NOW), cache.peek("before", NOW)), (Some(short(1)), Some(short(2))));
}

#[tokio::test]
async fn an_invalidation_reaches_the_near_cache_also_when_the_far_one_is_down() {
    let far = Reached::new();
    let cache = node(&far);
    fill(&cache, &code("a"), 1).await;
    let lease = lease(&cache, &code("b")).await;
    far.set_down(true);
    assert!(cache.invalidate(&[code("a"), code("b")]).await.is_err());
    assert_eq!(cache.peek("a", NOW), None);
    assert_eq!(cache.fill_one(lease, living(1), NOW).await.unwrap(), Filled::Voided);
    assert!(cache.clear().await.is_err());
}

/// The node cannot tell the far cache, and can read from it again before it has told it.
#[tokio::test]
async fn what_the_far_cache_was_not_told_is_not_found_in_it_and_told_when_it_is_back() {
    let far = Reached::new();
    let (cache, other) = (node(&far), node(&far.of_another_node()));
    for text in ["a", "b"] {
        fill(&cache, &code(text), 1).await;
    }
    far.set_down(true);
    assert!(cache.invalidate_one(&code("a")).await.is_err());
    assert_eq!(cache.untold(), Some(1));
    assert_eq!(answered(&cache, &code("a")).await, None, "it is down");
    assert_eq!(answered(&other, &code("a")).await, Some(target(1)), "nobody has told");
    far.set_down(false);
    assert_eq!(answered(&cache, &code("a")).await, None, "it is back, and has the old entry");
    assert_eq!(cache.untold(), Some(0));
    let far = far.of_another_node();
    assert_eq!(far.get_one(&code("a"), NOW).await.unwrap().entry, None, "it was told");
    assert_eq!(far.get_one(&code("b"), NOW).await.unwrap().entry, Some(living(1)), "the other has stayed");
}

#[tokio::test]
async fn a_lease_of_before_an_invalidation_that_failed_fills_nothing() {
    let far = Reached::new();
    let cache = node(&far);
    let lease = lease(&cache, &code("a")).await;
    far.set_down(true);
    assert!(cache.invalidate_one(&code("a")).await.is_err());
    far.set_down(false);
    assert_eq!(cache.fill_one(lease, living(1), NOW).await.unwrap(), Filled::Voided);
    assert_eq!(far.get_one(&code("a"), NOW).await.unwrap().entry, None);
}

/// Whoever tells it something waits for ever, while it hangs.
#[derive(Debug, Default)]
struct Hangs {
    cache: MemoryCache,
    hangs: Arc<AtomicBool>,
}

impl Hangs {
    fn new() -> Self {
        Self { hangs: Arc::new(AtomicBool::new(true)), ..Self::default() }
    }

    async fn pass(&self) {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Cache for Hangs {
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        self.cache.get(codes, now).await
    }
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        self.cache.fill(fills, now).await
    }
    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        self.pass().await;
        self.cache.invalidate(codes).await
    }
    async fn clear(&self) -> Result<()> {
        self.pass().await;
        self.cache.clear().await
    }
}

#[tokio::test]
async fn an_invalidation_that_is_dropped_on_its_way_has_reached_the_near_cache() {
    for everything in [false, true] {
        let cache = Tiered::new(MemoryCache::new(), Hangs::new());
        let lease = cache.get_one(&code("a"), NOW).await.unwrap().lease.unwrap();
        let later = cache.get_one(&code("b"), NOW).await.unwrap().lease.unwrap();
        cache.fill_one(lease, living(1), NOW).await.unwrap();
        assert_eq!(cache.peek("a", NOW), Some(living(1)));
        let codes = [code("a"), code("b")];
        let mut telling = if everything { cache.clear() } else { cache.invalidate(&codes) };
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(telling.as_mut().poll(&mut context).is_pending());
        drop(telling);
        assert_eq!(cache.peek("a", NOW), None, "everything: {everything}");
        assert_eq!(cache.fill_one(later, living(1), NOW).await.unwrap(), Filled::Voided, "everything: {everything}");
    }
}

/// The engine gives up on the cache at its deadline, and answers.
#[tokio::test(start_paused = true)]
async fn a_write_whose_invalidation_hangs_is_seen_on_its_node() {
    let far = Hangs::default();
    let hangs = far.hangs.clone();
    let (cache, second) = (Tiered::new(MemoryCache::new(), far), Duration::from_secs(1));
    let config = Config::default().with_poll_changes(Duration::ZERO).with_timeouts(second, second, second);
    let linkly = Linkly::builder(MemoryStore::new()).cache(cache).config(config).start().await.unwrap();
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    for url in ["https://old.example", "https://new.example"] {
        let Resolution::Found(target) = linkly.resolve("a").await.unwrap() else { panic!("the link is there") };
        assert_eq!(target.url(), url);
        hangs.store(true, SeqCst);
        linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    }
}

#[tokio::test]
async fn an_invalidation_that_is_dropped_on_its_way_counts_as_failed() {
    let cache = Tiered::new(MemoryCache::builder().capacity(0).build(), Hangs::new());
    for text in ["a", "b"] {
        let lease = cache.get_one(&code(text), NOW).await.unwrap().lease.unwrap();
        cache.fill_one(lease, living(1), NOW).await.unwrap();
    }
    assert!(cache.get_one(&code("a"), NOW).await.unwrap().entry.is_some());
    let codes = [code("a")];
    let mut invalidate = Box::pin(cache.invalidate(&codes));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(invalidate.as_mut().poll(&mut context).is_pending());
    // On its way it is not looked up either.
    assert_eq!(cache.get_one(&code("a"), NOW).await.unwrap().entry, None);
    assert!(cache.get_one(&code("b"), NOW).await.unwrap().entry.is_some());
    drop(invalidate);
    assert!(format!("{cache:?}").contains("untold: Untold { codes: 1, all: false }"), "{cache:?}");
}

/// More codes than are remembered one by one.
#[tokio::test]
async fn beyond_ten_thousand_codes_the_far_cache_is_left_out_until_it_was_cleared() {
    let far = Reached::new();
    let (cache, other) = (node(&far), node(&far.of_another_node()));
    fill(&other, &code("a"), 1).await;
    let many: Vec<Code> = (0..=10_000).map(|n| code(&format!("n{n}"))).collect();
    far.set_down(true);
    assert!(cache.invalidate(&many).await.is_err());
    assert_eq!(cache.untold(), None, "all");
    assert_eq!(answered(&cache, &code("a")).await, None, "down");
    far.set_down(false);
    assert_eq!(answered(&cache, &code("a")).await, None, "cleared");
    assert_eq!(fill(&cache, &code("a"), 2).await, Filled::Filled);
    assert_eq!(cache.peek("a", NOW), Some(living(2)), "with its whole life: the far cache has it too");
    assert_eq!(far.get_one(&code("a"), NOW).await.unwrap().entry, Some(living(2)));
}

#[tokio::test]
async fn a_stale_entry_of_either_cache_comes_with_a_lease_on_both() {
    let far = Reached::new();
    let (one, other) = (node(&far), node(&far));
    let stale = Entry::new(Some(target(1)), NOW, NOW.after(Duration::from_secs(60)));
    let lease = lease(&one, &code("a")).await;
    one.fill_one(lease, stale.clone(), NOW).await.unwrap();
    for cache in [&one, &other] {
        let found = cache.get_one(&code("a"), NOW).await.unwrap();
        assert_eq!(found.entry, Some(stale.clone()));
        let lease = found.lease.expect("a lease");
        assert!(lease.into_inner().is_some(), "on the far cache too");
    }
    far.set_down(true);
    let found = one.get_one(&code("a"), NOW).await.unwrap();
    assert!(found.entry == Some(stale) && found.lease.is_some(), "the near cache's own");
}
