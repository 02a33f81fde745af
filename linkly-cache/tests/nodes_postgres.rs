//! Nodes over one Postgres, with a cache in Redis that they share and without: what they learn from the change log
//! alone, when a node was killed before it could tell, and when writes bypass them.

#![cfg(all(feature = "memory", feature = "redis"))]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use linkly_cache::{MemoryCache, RedisCache, Tiered};
use linkly_core::{
    Cache, ChangeCursor, Code, Config, Entry, Filled, Lease, LinkPatch, Linkly, Lookup, NewLink, Resolution, Result,
    Tick, Visit, VisitContext,
};
use linkly_store_postgres::deadpool_postgres::Client;
use linkly_store_postgres::{PostgresConfig, PostgresStore};
use linkly_testkit::{Postgres, Redis};
use support::{PATIENT, patient};

const ONE: &str = "https://example.com/1";
const TWO: &str = "https://example.com/2";

/// The log is read once at the start, and never again in a test.
const AT_THE_START: Duration = Duration::from_secs(3_600);
const OFTEN: Duration = Duration::from_millis(20);

/// A database, and a prefix of keys in Redis, of the test's own.
struct Place {
    database: String,
    prefix: String,
}

impl Place {
    fn new() -> Self {
        Self { database: Postgres::shared().new_database(), prefix: Redis::shared().new_prefix() }
    }

    async fn store(&self) -> PostgresStore {
        PostgresStore::connect_with(PostgresConfig::new(&self.database)).await.unwrap()
    }

    /// A connection for the app's own SQL.
    async fn client(&self) -> Client {
        self.store().await.pool().get().await.unwrap()
    }

    fn tiered(&self) -> Tiered<MemoryCache, RedisCache> {
        let far = RedisCache::open_with(Redis::shared().url(), patient(&self.prefix)).unwrap();
        Tiered::new(MemoryCache::new(), far)
    }

    async fn node(&self, cache: impl Cache, every: Duration) -> Linkly {
        let config = Config::default().with_poll_changes(every).with_timeouts(PATIENT, PATIENT, PATIENT);
        Linkly::builder(self.store().await).cache(cache).config(config).start().await.unwrap()
    }

    async fn any_node(&self, is_shared: bool, every: Duration) -> Linkly {
        if is_shared { self.node(self.tiered(), every).await } else { self.node(MemoryCache::new(), every).await }
    }

    async fn close(self) {
        support::delete(Redis::shared().url(), &self.prefix, false).await;
    }
}

async fn resolved(node: &Linkly, code: &str) -> Option<String> {
    match node.resolve(code).await.unwrap() {
        Resolution::Found(target) => Some(target.url().to_owned()),
        _ => None,
    }
}

async fn until_resolved(node: &Linkly, code: &str, url: Option<&str>) {
    let deadline = Instant::now() + PATIENT;
    while resolved(node, code).await.as_deref() != url {
        assert!(Instant::now() < deadline, "{code} does not lead to {url:?} within {PATIENT:?}");
        tokio::task::yield_now().await;
    }
}

/// A cache that is not told of an invalidation any more: its node is killed first.
#[derive(Debug)]
struct Killed<C> {
    inner: C,
    end: Arc<End>,
}

#[derive(Debug, Default)]
struct End {
    begun: AtomicBool,
    reached: AtomicBool,
}

#[async_trait]
impl<C: Cache> Cache for Killed<C> {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.inner.peek(code, now)
    }
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        self.inner.get(codes, now).await
    }
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        self.inner.fill(fills, now).await
    }
    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        if !self.end.begun.load(Ordering::SeqCst) {
            return self.inner.invalidate(codes).await;
        }
        self.end.reached.store(true, Ordering::SeqCst);
        std::future::pending().await
    }
    async fn clear(&self) -> Result<()> {
        self.inner.clear().await
    }
    async fn position(&self) -> Result<Option<ChangeCursor>> {
        self.inner.position().await
    }
    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        self.inner.advance(from, to).await
    }
}

/// Starts a node in a runtime of its own, lets it write, and kills it when the write is committed and before any
/// cache is told.
async fn killed_after<F>(place: &Arc<Place>, is_shared: bool, write: impl FnOnce(Linkly) -> F + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let end = Arc::new(End::default());
    let (place, its_end) = (place.clone(), end.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.spawn(async move {
        let node = if is_shared {
            place.node(Killed { inner: place.tiered(), end: its_end.clone() }, AT_THE_START).await
        } else {
            place.node(Killed { inner: MemoryCache::new(), end: its_end.clone() }, AT_THE_START).await
        };
        its_end.begun.store(true, Ordering::SeqCst);
        write(node).await;
    });
    let deadline = Instant::now() + PATIENT;
    while !end.reached.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline, "the write is not done");
        tokio::task::yield_now().await;
    }
    // Until its tasks are gone, and with them what they have of the place.
    tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENT)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_only_node_did_not_tell_before_it_was_killed_is_told_by_the_next() {
    let place = Arc::new(Place::new());
    let first = place.any_node(true, AT_THE_START).await;
    for code in ["a", "b", "c"] {
        first.create(NewLink::new(ONE).with_code(code)).await.unwrap();
        assert_eq!(resolved(&first, code).await.as_deref(), Some(ONE));
    }
    assert_eq!(resolved(&first, "d").await, None);
    first.catch_up().await.unwrap();
    first.shutdown(PATIENT).await;
    drop(first);

    killed_after(&place, true, |node| async move {
        node.update("a", LinkPatch::new().with_url(TWO)).await.unwrap();
    })
    .await;
    let next = place.any_node(true, AT_THE_START).await;
    assert_eq!(next.metrics().changes, 1, "what the first has told is not told again");
    assert_eq!(resolved(&next, "a").await.as_deref(), Some(TWO));
    assert_eq!(resolved(&next, "c").await.as_deref(), Some(ONE));
    drop(next);

    killed_after(&place, true, |node| async move { node.delete("b").await.unwrap() }).await;
    killed_after(&place, true, |node| async move {
        node.create(NewLink::new(TWO).with_code("d")).await.unwrap();
    })
    .await;
    let next = place.any_node(true, AT_THE_START).await;
    assert_eq!(resolved(&next, "b").await, None, "a deleted link stays away");
    assert_eq!(resolved(&next, "d").await.as_deref(), Some(TWO), "and its absence gives way to a new one");
    drop(next);
    Arc::into_inner(place).unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_was_open_when_the_last_node_ended_is_told_by_the_next() {
    let place = Place::new();
    let first = place.any_node(true, AT_THE_START).await;
    for code in ["a", "b"] {
        first.create(NewLink::new(ONE).with_code(code)).await.unwrap();
    }
    let mut client = place.client().await;
    let open = client.transaction().await.unwrap();
    open.execute("UPDATE links SET url = $1 WHERE code = 'a'", &[&TWO]).await.unwrap();
    // Later and committed: the position moves past it, with the other still open.
    first.update("b", LinkPatch::new().with_url(TWO)).await.unwrap();
    first.catch_up().await.unwrap();
    assert_eq!(resolved(&first, "a").await.as_deref(), Some(ONE));
    first.shutdown(PATIENT).await;
    drop(first);
    open.commit().await.unwrap();
    let next = place.any_node(true, AT_THE_START).await;
    assert_eq!(resolved(&next, "a").await.as_deref(), Some(TWO));
    assert_eq!(next.metrics().changes, 1);
    place.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_a_node_that_was_killed_reaches_the_others_with_the_change_log() {
    for is_shared in [true, false] {
        let place = Arc::new(Place::new());
        let other = place.any_node(is_shared, OFTEN).await;
        other.create(NewLink::new(ONE).with_code("a")).await.unwrap();
        until_resolved(&other, "a", Some(ONE)).await;
        killed_after(&place, is_shared, |node| async move {
            node.update("a", LinkPatch::new().with_url(TWO)).await.unwrap();
        })
        .await;
        until_resolved(&other, "a", Some(TWO)).await;
        drop(other);
        Arc::into_inner(place).unwrap().close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_app_writes_by_itself_is_seen_whatever_order_its_transactions_end_in() {
    for is_shared in [true, false] {
        let place = Place::new();
        let nodes = [place.any_node(is_shared, OFTEN).await, place.any_node(is_shared, OFTEN).await];
        nodes[0].create(NewLink::new(ONE).with_code("a")).await.unwrap();
        let leads = async |code: &str, url: Option<&str>| {
            for node in &nodes {
                until_resolved(node, code, url).await;
            }
        };
        leads("a", Some(ONE)).await;
        leads("b", None).await;
        let (mut early, late) = (place.client().await, place.client().await);
        let open = early.transaction().await.unwrap();
        open.execute("UPDATE links SET url = $1 WHERE code = 'a'", &[&TWO]).await.unwrap();
        let insert = "INSERT INTO links (code, url, created_at) VALUES ('b', $1, now())";
        late.execute(insert, &[&TWO]).await.unwrap();
        leads("b", Some(TWO)).await;
        for node in &nodes {
            assert_eq!(resolved(node, "a").await.as_deref(), Some(ONE), "it is not committed");
        }
        open.commit().await.unwrap();
        leads("a", Some(TWO)).await;
        late.execute("DELETE FROM links WHERE code = 'b'", &[]).await.unwrap();
        leads("b", None).await;
        drop(nodes);
        place.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limited_link_redirects_as_often_as_it_may_on_all_nodes_together() {
    for is_shared in [true, false] {
        let place = Place::new();
        let nodes = [place.any_node(is_shared, OFTEN).await, place.any_node(is_shared, OFTEN).await];
        nodes[0].create(NewLink::new(ONE).with_code("few").with_max_clicks(37)).await.unwrap();
        for node in &nodes {
            assert_eq!(resolved(node, "few").await.as_deref(), Some(ONE), "both have it in memory");
        }
        let visits: Vec<_> = (0..200)
            .map(|n| {
                let node = nodes[n % 2].clone();
                tokio::spawn(async move { node.visit("few", &VisitContext::new()).await.unwrap() })
            })
            .collect();
        let (mut redirects, mut gone) = (0, 0);
        for visit in visits {
            match visit.await.unwrap() {
                Visit::Redirect { .. } => redirects += 1,
                Visit::Gone => gone += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((redirects, gone), (37, 163), "shared: {is_shared}");
        for node in &nodes {
            node.flush().await.unwrap();
        }
        assert_eq!(nodes[1].stats("few").await.unwrap().clicks, 37);
        place.close().await;
    }
}
