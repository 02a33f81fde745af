//! Resolving through a cache in front of a store that waits, fails and panics.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::{TimeDelta, Utc};
use linkly_core::{
    Builder, Cache, Clock, Code, CodePolicy, Config, Domain, Entry, Error, Filled, Folding, Lease, Link, LinkPatch,
    LinkStoreExt, Linkly, Lookup, ManualClock, MemoryStore, NewLink, Resolution, Result, Tick,
};
use support::{Fault, Gate, MapCache, TestStore, url};

const SECOND: Duration = Duration::from_secs(1);

fn linkly(store: &TestStore) -> Builder {
    Linkly::builder(store.clone()).cache(MapCache::new()).config(config())
}

/// Fresh for 60 s, stale for 60 s more, absences for 5 s; the change log is read by hand.
fn config() -> Config {
    Config::default().with_freshness(60 * SECOND, 60 * SECOND).with_absent(5 * SECOND).with_poll_changes(Duration::ZERO)
}

fn link(code: &str, url: &str) -> Link {
    Link::new(Code::from_key(code).unwrap(), url, Utc::now())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_resolves_of_one_cold_code_read_the_store_once() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).start().await.unwrap();
    store.controls.before_read.close();
    let tasks: Vec<_> = (0..10_000)
        .map(|_| {
            let linkly = linkly.clone();
            tokio::spawn(async move { url(linkly.resolve("a").await) })
        })
        .collect();
    store.controls.before_read.arrived(1).await;
    store.controls.before_read.open();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "https://iii.dev");
    }
    assert_eq!(store.reads(), 1);
}

#[tokio::test]
async fn codes_that_arrive_while_a_batch_is_on_its_way_form_the_next() {
    let store = TestStore::new();
    let linkly = linkly(&store).config(config().with_loads(256, 1)).start().await.unwrap();
    store.controls.before_read.close();
    let resolve = |code: String| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.resolve(&code).await })
    };
    let first = resolve("first".into());
    store.controls.before_read.arrived(1).await;
    let rest: Vec<_> = (0..64).map(|n| resolve(format!("code-{n}"))).collect();
    while linkly.metrics().misses < 65 {
        tokio::task::yield_now().await;
    }
    store.controls.before_read.open();
    first.await.unwrap().unwrap();
    for task in rest {
        assert_eq!(task.await.unwrap().unwrap(), Resolution::NotFound);
    }
    let sizes: Vec<_> = store.controls.reads.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1, 64]);
}

#[tokio::test]
async fn a_hit_does_not_ask_the_store() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).start().await.unwrap();
    for _ in 0..10 {
        assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    }
    let metrics = linkly.metrics();
    assert_eq!((store.reads(), metrics.misses, metrics.hits), (1, 1, 9));
}

#[tokio::test]
async fn an_absence_is_remembered_for_a_while_and_ended_by_a_create() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    for _ in 0..3 {
        assert_eq!(linkly.resolve("a").await.unwrap(), Resolution::NotFound);
    }
    assert_eq!(store.reads(), 1);
    clock.advance(5 * SECOND);
    assert_eq!(linkly.resolve("a").await.unwrap(), Resolution::NotFound);
    assert_eq!(store.reads(), 2);
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
}

#[tokio::test]
async fn a_stale_entry_is_served_and_refreshed_behind() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    let mut written = link("a", "https://old.example");
    store.inner.insert_one(&written).await.unwrap();
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    linkly.resolve("a").await.unwrap();
    written.url = "https://new.example".into();
    store.inner.update_one(&written).await.unwrap();

    clock.advance(60 * SECOND);
    store.controls.before_read.close();
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    assert_eq!(url(linkly.resolve("a").await), "https://old.example", "one refresh, and nobody waits for it");
    store.controls.before_read.arrived(2).await;
    store.controls.before_read.open();
    while url(linkly.resolve("a").await) != "https://new.example" {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.reads(), 2);
}

/// Does not answer `peek`, as a cache elsewhere, so that every resolve goes through a load; and an
/// invalidation takes the way to there.
#[derive(Debug, Default)]
struct Elsewhere {
    map: MapCache,
    before_invalidate: Arc<Gate>,
}

#[async_trait]
impl Cache for Elsewhere {
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        self.map.get(codes, now).await
    }
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        self.map.fill(fills, now).await
    }
    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        self.before_invalidate.pass().await;
        self.map.invalidate(codes).await
    }
    async fn clear(&self) -> Result<()> {
        self.map.clear().await
    }
}

#[tokio::test]
async fn a_load_that_found_the_old_entry_during_an_invalidation_is_not_joined_after_it() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://old.example")).await.unwrap();
    let cache = Elsewhere::default();
    let gate = cache.before_invalidate.clone();
    let linkly = linkly(&store).cache(cache).start().await.unwrap();
    linkly.resolve("a").await.unwrap();
    linkly.resolve("a").await.unwrap();
    let metrics = linkly.metrics();
    assert_eq!((metrics.found, metrics.loaded, metrics.misses, metrics.hits), (1, 1, 2, 0));

    gate.close();
    let update = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.update("a", LinkPatch::new().with_url("new.example")).await }
    });
    gate.arrived(1).await;
    // The row is new, the entry is old, and a batch finds it beside a code that it has to wait for.
    store.controls.before_read.close();
    let resolve = |code: &'static str| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.resolve(code).await })
    };
    let (early, cold) = (resolve("a"), resolve("cold"));
    store.controls.before_read.arrived(2).await;
    assert_eq!(url(early.await.unwrap()), "https://old.example", "it began before the update returned");
    gate.open();
    update.await.unwrap().unwrap();
    let late = resolve("a");
    tokio::task::yield_now().await;
    store.controls.before_read.open();
    assert_eq!(url(late.await.unwrap()), "https://new.example");
    cold.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stale_entry_that_was_invalidated_meanwhile_is_not_served_on_error() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).cache(Elsewhere::default()).clock(clock.clone()).start().await.unwrap();
    linkly.resolve("a").await.unwrap();
    clock.advance(61 * SECOND);
    store.fail_reads(Some(Fault::Unavailable));
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev", "stale, while nothing speaks against it");

    store.controls.before_read.close();
    let resolve = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.resolve("a").await }
    });
    store.controls.before_read.arrived(3).await;
    linkly.invalidate("a").await.unwrap();
    store.controls.before_read.open();
    assert!(resolve.await.unwrap().is_err());
}

#[tokio::test]
async fn a_resolve_that_starts_after_an_update_never_gets_the_old_row() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://old.example")).await.unwrap();
    let linkly = linkly(&store).start().await.unwrap();
    store.controls.after_read.close();
    let early = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.resolve("a").await }
    });
    // The load has read the old row and holds its lease.
    store.controls.after_read.arrived(1).await;
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    let late = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.resolve("a").await }
    });
    while linkly.metrics().misses < 2 {
        tokio::task::yield_now().await;
    }
    store.controls.after_read.open();
    assert_eq!(url(early.await.unwrap()), "https://old.example");
    assert_eq!(url(late.await.unwrap()), "https://new.example");
    assert_eq!(url(linkly.resolve("a").await), "https://new.example", "the old row's fill was voided");
    assert_eq!(linkly.metrics().voided, 1);
}

#[tokio::test]
async fn a_link_leads_from_its_activation_until_its_expiry_to_the_millisecond() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    let (from, until) = (clock.now() + TimeDelta::seconds(10), clock.now() + TimeDelta::seconds(20));
    linkly.create(NewLink::new("iii.dev").with_code("a").with_active(Some(from), Some(until))).await.unwrap();
    let mut seen = Vec::new();
    for step in [0, 9_999, 1, 9_999, 1, 60_000] {
        clock.advance(Duration::from_millis(step));
        seen.push(match linkly.resolve("a").await.unwrap() {
            Resolution::Found(_) => "found",
            Resolution::NotFound => "not found",
            Resolution::Gone => "gone",
        });
    }
    assert_eq!(seen, ["not found", "not found", "found", "found", "gone", "gone"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_or_forth_moves_expiry_and_nothing_else() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    let expiry = clock.now() + TimeDelta::seconds(10);
    linkly.create(NewLink::new("iii.dev").with_code("a").with_expiry(expiry)).await.unwrap();
    linkly.create(NewLink::new("iii.dev").with_code("b")).await.unwrap();
    clock.set_now(expiry + TimeDelta::days(1));
    assert_eq!(linkly.resolve("a").await.unwrap(), Resolution::Gone);
    clock.set_now(expiry - TimeDelta::days(365));
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    assert_eq!(url(linkly.resolve("b").await), "https://iii.dev");
}

#[tokio::test]
async fn a_malformed_code_reaches_neither_cache_nor_store() {
    let store = TestStore::new();
    let linkly = linkly(&store).start().await.unwrap();
    for code in ["", "a b", "a/b", "//x.io/a", "%2F%2Fx.io%2Fa", "..", "é", "a\0"] {
        assert!(matches!(linkly.resolve(code).await, Err(Error::InvalidCode { .. })), "{code:?}");
    }
    assert_eq!((store.reads(), linkly.metrics().misses), (0, 0));
}

#[tokio::test]
async fn codes_are_folded_as_the_database_says() {
    let store = TestStore::over(MemoryStore::with_folding(Folding::Lower));
    let linkly = linkly(&store).start().await.unwrap();
    let made = linkly.create(NewLink::new("iii.dev").with_code("AbC")).await.unwrap();
    assert_eq!(made.code.as_str(), "abc");
    for code in ["abc", "ABC", "aBc"] {
        assert_eq!(url(linkly.resolve(code).await), "https://iii.dev");
    }
    assert!(matches!(linkly.create(NewLink::new("x.io").with_code("ABC")).await, Err(Error::CodeTaken { .. })));
}

#[tokio::test]
async fn a_domain_has_links_of_its_own() {
    let store = TestStore::new();
    let plain = linkly(&store).codes(CodePolicy::default().with_segments()).start().await.unwrap();
    let acme = plain.domain(Domain::new("Go.Acme.com").unwrap());
    let other = plain.domain(Domain::new("acme.com").unwrap());
    plain.create(NewLink::new("plain.example").with_code("a")).await.unwrap();
    acme.create(NewLink::new("acme.example").with_code("a")).await.unwrap();
    assert_eq!(url(plain.resolve("a").await), "https://plain.example");
    assert_eq!(url(acme.resolve("a").await), "https://acme.example");
    assert_eq!(other.resolve("a").await.unwrap(), Resolution::NotFound);
    for code in ["//go.acme.com/a", "/go.acme.com/a", "a/../../go.acme.com/a"] {
        assert!(plain.resolve(code).await.is_err() && other.resolve(code).await.is_err(), "{code:?}");
    }
}

#[tokio::test]
async fn without_a_cache_every_resolve_asks_the_store() {
    let store = TestStore::new();
    let linkly = Linkly::builder(store.clone()).config(config()).start().await.unwrap();
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    let before = store.reads();
    for _ in 0..3 {
        assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    }
    assert!(store.reads() >= before + 2);
}
