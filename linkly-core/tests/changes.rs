//! The change log makes visible what bypassed the engine.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Cache, Code, Config, Entry, Error, Filled, Lease, Link, LinkPatch, LinkStoreExt, Linkly, Lookup, ManualClock,
    NewLink, Resolution, Result, Tick,
};
use support::{Fault, MapCache, TestStore, url};

fn link(url: &str) -> Link {
    Link::new(Code::new("a").unwrap(), url, Utc::now())
}

async fn linkly(store: &TestStore, every: Duration) -> Linkly {
    let config = Config::default().with_poll_changes(every);
    Linkly::builder(store.clone()).cache(MapCache::new()).config(config).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_write_that_bypassed_the_engine_is_seen_within_an_interval() {
    let store = TestStore::new();
    let linkly = linkly(&store, Duration::from_secs(1)).await;
    assert_eq!(linkly.resolve("a").await.unwrap(), Resolution::NotFound);
    let mut written = link("https://old.example");
    store.inner.insert_one(&written).await.unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    linkly.catch_up().await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    written.url = "https://new.example".into();
    store.inner.update_one(&written).await.unwrap();
    let polls = store.controls.polls.load(Ordering::SeqCst);
    assert_eq!(url(linkly.resolve("a").await), "https://old.example", "still cached");
    // Paused time moves on by itself while nothing else is to be done.
    while store.controls.polls.load(Ordering::SeqCst) < polls + 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test]
async fn a_log_that_could_not_be_read_at_the_start_clears_the_cache_when_it_can() {
    let store = TestStore::new();
    let mut written = link("https://old.example");
    store.inner.insert_one(&written).await.unwrap();
    store.controls.poll_faults.lock().unwrap().extend([Fault::Unavailable; 2]);
    let linkly = linkly(&store, Duration::from_secs(3_600)).await;
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    written.url = "https://new.example".into();
    store.inner.update_one(&written).await.unwrap();
    while linkly.catch_up().await.is_err() {}
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test(start_paused = true)]
async fn what_the_cache_could_not_invalidate_is_read_again() {
    /// Its invalidations fail while it is cut off.
    #[derive(Debug, Default)]
    struct CutOff(MapCache, Arc<AtomicBool>);
    #[async_trait]
    impl Cache for CutOff {
        fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
            self.0.peek(code, now)
        }
        async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
            self.0.get(codes, now).await
        }
        async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
            self.0.fill(fills, now).await
        }
        async fn invalidate(&self, codes: &[Code]) -> Result<()> {
            if self.1.load(Ordering::SeqCst) {
                return Err(Error::unavailable("test", "cut off"));
            }
            self.0.invalidate(codes).await
        }
        async fn clear(&self) -> Result<()> {
            self.0.clear().await
        }
    }
    let (store, cut_off) = (TestStore::new(), Arc::new(AtomicBool::new(false)));
    let config = Config::default().with_poll_changes(Duration::from_secs(3_600));
    let cache = CutOff(MapCache::new(), cut_off.clone());
    let linkly = Linkly::builder(store.clone()).cache(cache).config(config).start().await.unwrap();
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    cut_off.store(true, Ordering::SeqCst);
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    assert!(linkly.catch_up().await.is_err());
    cut_off.store(false, Ordering::SeqCst);
    linkly.catch_up().await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test]
async fn how_far_behind_the_log_the_engine_is_can_be_read() {
    let (store, clock) = (TestStore::new(), Arc::new(ManualClock::new()));
    store.controls.poll_faults.lock().unwrap().push(Fault::Unavailable);
    let config = Config::default().with_poll_changes(Duration::from_secs(3_600));
    let builder = Linkly::builder(store.clone()).cache(MapCache::new()).config(config).clock(clock.clone());
    let linkly = builder.start().await.unwrap();
    assert_eq!(linkly.metrics().changes_lag, None, "it could not be read yet");
    linkly.catch_up().await.unwrap();
    assert_eq!(linkly.metrics().changes_lag, Some(Duration::ZERO));
    clock.advance(Duration::from_secs(3));
    store.controls.poll_faults.lock().unwrap().push(Fault::Unavailable);
    linkly.catch_up().await.unwrap_err();
    assert_eq!(linkly.metrics().changes_lag, Some(Duration::from_secs(3)));
    linkly.catch_up().await.unwrap();
    assert_eq!(linkly.metrics().changes_lag, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn the_follower_outlives_failures_and_ends_with_the_engine() {
    let store = TestStore::new();
    let linkly = linkly(&store, Duration::from_secs(1)).await;
    store.controls.poll_faults.lock().unwrap().extend([Fault::Unavailable, Fault::Panic, Fault::Broken]);
    store.inner.insert_one(&link("https://iii.dev")).await.unwrap();
    while linkly.metrics().changes == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(linkly);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let polls = store.controls.polls.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(store.controls.polls.load(Ordering::SeqCst), polls);
}
