//! Resolving while the store or the cache waits, fails or panics.

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Builder, Cache, Code, Config, Entry, Error, Filled, Lease, Link, LinkStoreExt, Linkly, Lookup, ManualClock,
    NewLink, Resolution, Result, Tick,
};
use support::{Fault, MapCache, TestStore, url};

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

#[tokio::test]
async fn while_the_store_is_down_a_stale_entry_is_served_within_its_grace_and_not_beyond() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    linkly.resolve("a").await.unwrap();
    store.fail_reads(Some(Fault::Unavailable));
    clock.advance(Duration::from_millis(119_999));
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    clock.advance(Duration::from_millis(1));
    let error = linkly.resolve("a").await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_dropped_resolve_cancels_nothing_for_others() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).start().await.unwrap();
    store.controls.before_read.close();
    let resolve = || {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.resolve("a").await })
    };
    let (first, second) = (resolve(), resolve());
    store.controls.before_read.arrived(1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    store.controls.before_read.open();
    assert_eq!(url(second.await.unwrap()), "https://iii.dev");
    assert_eq!(store.reads(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_broken_or_hanging_cache_is_a_miss() {
    #[derive(Debug)]
    struct Broken {
        hangs: bool,
    }
    impl Broken {
        async fn fail<T>(&self) -> Result<T> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            Err(Error::unavailable("test", "broken"))
        }
    }
    #[async_trait]
    impl Cache for Broken {
        async fn get(&self, _: &[Code], _: Tick) -> Result<Vec<Lookup>> {
            self.fail().await
        }
        async fn fill(&self, _: Vec<(Lease, Entry)>, _: Tick) -> Result<Vec<Filled>> {
            self.fail().await
        }
        async fn invalidate(&self, _: &[Code]) -> Result<()> {
            self.fail().await
        }
        async fn clear(&self) -> Result<()> {
            self.fail().await
        }
    }
    for hangs in [false, true] {
        let store = TestStore::new();
        let linkly = linkly(&store).cache(Broken { hangs }).start().await.unwrap();
        linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
        assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
        assert!(linkly.metrics().cache_errors > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_an_error_at_the_deadline() {
    let store = TestStore::new();
    let linkly = linkly(&store).start().await.unwrap();
    store.controls.before_read.close();
    let start = tokio::time::Instant::now();
    let error = linkly.resolve("a").await.unwrap_err();
    assert!(error.is_transient() && start.elapsed() < 6 * SECOND, "{error} after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_store_that_panics_fails_the_load_and_the_next_one_goes_on() {
    let store = TestStore::new();
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).config(config().with_loads(1, 1)).start().await.unwrap();
    store.controls.read_faults.lock().unwrap().push(Fault::Panic);
    assert!(matches!(linkly.resolve("a").await, Err(Error::Backend { .. })));
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
}

#[tokio::test]
async fn after_failures_in_a_row_misses_fail_at_once_until_the_store_is_back() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    store.inner.insert_one(&link("a", "https://iii.dev")).await.unwrap();
    let linkly = linkly(&store).clock(clock.clone()).start().await.unwrap();
    store.fail_reads(Some(Fault::Unavailable));
    for _ in 0..20 {
        assert!(linkly.resolve("a").await.unwrap_err().is_transient());
    }
    assert_eq!(store.reads(), 5);
    assert!(linkly.metrics().breaker_open);
    store.fail_reads(None);
    assert!(linkly.resolve("a").await.is_err(), "the pause has not passed");
    clock.advance(SECOND);
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    assert!(!linkly.metrics().breaker_open);
}

#[tokio::test]
async fn codes_that_wait_are_bounded() {
    let store = TestStore::new();
    let mut config = config().with_loads(1, 1);
    config.loads_waiting = 2;
    let linkly = linkly(&store).config(config).start().await.unwrap();
    store.controls.before_read.close();
    let resolve = |code: &'static str| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.resolve(code).await })
    };
    let mut tasks = vec![resolve("a")];
    store.controls.before_read.arrived(1).await;
    tasks.extend([resolve("b"), resolve("c")]);
    while linkly.metrics().misses < 3 {
        tokio::task::yield_now().await;
    }
    let error = linkly.resolve("d").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("2 codes already wait"), "{error}");
    store.controls.before_read.open();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), Resolution::NotFound);
    }
}

#[tokio::test]
async fn a_stored_url_that_cannot_be_a_header_is_an_error_and_fails_no_other() {
    let store = TestStore::new();
    let linkly = linkly(&store).config(config().with_loads(256, 1)).start().await.unwrap();
    store.inner.insert_one(&link("b", "https://iii.dev")).await.unwrap();
    *store.controls.unfit.lock().unwrap() = Some(Code::new("a").unwrap());
    store.controls.before_read.close();
    let resolve = |code: &'static str| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.resolve(code).await })
    };
    let first = resolve("first");
    store.controls.before_read.arrived(1).await;
    let (unfit, fit) = (resolve("a"), resolve("b"));
    while linkly.metrics().misses < 3 {
        tokio::task::yield_now().await;
    }
    store.controls.before_read.open();
    let error = unfit.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::UnfitRow { what: "url", .. }), "{error}");
    assert_eq!(url(fit.await.unwrap()), "https://iii.dev");
    first.await.unwrap().unwrap();
    assert!(store.controls.reads.lock().unwrap().iter().any(|batch| batch.len() == 2), "one batch held both");
    assert!(linkly.resolve("a").await.is_err(), "also out of the cache");
}
