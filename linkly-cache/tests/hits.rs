//! What a hit allocates, through the whole engine: nothing.

#![cfg(feature = "memory")]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use linkly_cache::{MemoryCache, Tiered};
use linkly_core::{
    Cache, Config, Domain, Folding, Linkly, MemoryStore, NewLink, RecorderConfig, Resolution, Visit, VisitContext,
};

/// Handles without a domain and in a domain, over the same links, all of them in one cache and in two.
async fn handles(folding: Folding) -> Vec<Linkly> {
    let mut handles = handles_on(folding, MemoryCache::new()).await.to_vec();
    handles.extend(handles_on(folding, Tiered::new(MemoryCache::new(), MemoryCache::new())).await);
    handles
}

async fn handles_on(folding: Folding, cache: impl Cache) -> [Linkly; 2] {
    let plain = Linkly::builder(MemoryStore::with_folding(folding))
        .cache(cache)
        .config(Config::default().with_poll_changes(Duration::ZERO))
        .recorder(RecorderConfig::default().with_flush_interval(Duration::from_secs(3_600)).with_at_once(0))
        .start()
        .await
        .unwrap();
    let handles = [plain.clone(), plain.domain(Domain::new("go.acme.com").unwrap())];
    for handle in &handles {
        handle.create(NewLink::new("https://iii.dev").with_code("AbC")).await.unwrap();
        handle.resolve("AbC").await.unwrap();
        handle.resolve("none").await.unwrap();
    }
    handles
}

/// Counting is by thread, and a hit does not wait: so it is polled once, here.
fn counted<T>(future: impl Future<Output = T>) -> (T, AllocationInfo) {
    let mut output = None;
    let counted = measure(|| {
        let mut future = pin!(future);
        if let Poll::Ready(ready) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            output = Some(ready);
        }
    });
    (output.expect("a hit does not wait"), counted)
}

#[tokio::test]
async fn a_hit_allocates_nothing_with_folding_and_a_domain_too() {
    for folding in [Folding::Sensitive, Folding::Lower] {
        for handle in handles(folding).await {
            let (resolved, counted) = counted(handle.resolve("AbC"));
            assert!(matches!(resolved, Ok(Resolution::Found(_))), "{resolved:?}");
            assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{handle:?}, {folding:?}");
        }
    }
}

#[tokio::test]
async fn a_remembered_absence_allocates_nothing() {
    for handle in handles(Folding::Lower).await {
        let (resolved, counted) = counted(handle.resolve("none"));
        assert_eq!(resolved.unwrap(), Resolution::NotFound);
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{handle:?}");
    }
}

#[tokio::test]
async fn a_visit_of_a_cached_link_allocates_nothing() {
    let context = VisitContext::new()
        .with_referrer(Some("https://news.example/item?id=1"))
        .with_user_agent(Some("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"));
    for handle in handles(Folding::Sensitive).await {
        // The queue's own buffers grow by doubling.
        for _ in 0..600 {
            counted(handle.visit("AbC", &context)).0.unwrap();
        }
        let (visit, counted) = counted(handle.visit("AbC", &context));
        assert!(matches!(visit, Ok(Visit::Redirect { .. })), "{visit:?}");
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0), "{handle:?}");
    }
}
