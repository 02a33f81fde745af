//! At the limit.

use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Click, ClickSink, ClickSinkExt, Error};
use tokio::time::timeout;

use super::disk::Disk;
use super::sinks::{Fault, Store};
use super::{click, clicks, hasty, open};
use crate::{AtLimit, Spool, SpoolConfig};

const LIMIT: u64 = 1 << 20;

fn config(at_limit: AtLimit) -> SpoolConfig {
    hasty().with_limit_bytes(LIMIT).with_at_limit(at_limit)
}

/// A spool in front of a store that is away, filled until one more call would go over the limit.
async fn full(at_limit: AtLimit) -> (Spool, Arc<Store>, Vec<Click>) {
    let store = Store::with_plan(|_, _| Fault::Fails);
    let spool = open(&Disk::default(), store.clone(), config(at_limit)).await.unwrap();
    let mut kept = Vec::new();
    loop {
        let more = clicks("a", kept.len()..kept.len() + 1_000);
        // Some 30 bytes a click.
        if spool.metrics().bytes + 60_000 > LIMIT {
            return (spool, store, kept);
        }
        spool.record(&more).await.unwrap();
        kept.extend(more);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_wait_for_room_until_the_store_is_back() {
    let (spool, store, kept) = full(AtLimit::Wait).await;
    let more = clicks("more", 0..2_000);
    let mut waiting = Box::pin(spool.record(&more));
    timeout(Duration::from_millis(100), &mut waiting).await.unwrap_err();
    assert_eq!(spool.metrics().blocked, 1);
    store.plan(|_, _| Fault::None);
    waiting.await.unwrap();
    assert!(spool.metrics().bytes <= LIMIT);
    spool.flush().await.unwrap();
    assert_eq!((spool.metrics().blocked, store.rows().await.len()), (0, kept.len() + 2_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_waits_for_room_and_goes_away_has_recorded_nothing() {
    let (spool, store, kept) = full(AtLimit::Wait).await;
    let more = clicks("more", 0..2_000);
    timeout(Duration::from_millis(50), spool.record(&more)).await.unwrap_err();
    assert_eq!(spool.metrics().blocked, 0);
    store.plan(|_, _| Fault::None);
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), kept.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_turns_away_those_who_wait_for_room() {
    let (spool, _, kept) = full(AtLimit::Wait).await;
    let waiting = tokio::spawn({
        let spool = spool.clone();
        async move { spool.record(&clicks("more", 0..2_000)).await }
    });
    while spool.metrics().blocked == 0 {
        tokio::task::yield_now().await;
    }
    let report = spool.shutdown(Duration::ZERO).await;
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed { .. })));
    assert_eq!((report.waiting, report.is_closed), (kept.len() as u64, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_over_the_limit_are_refused_whole_and_counted() {
    let (spool, store, kept) = full(AtLimit::Refuse).await;
    let error = spool.record(&clicks("more", 0..2_000)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("full"), "{error}");
    assert_eq!((spool.metrics().refused, spool.metrics().dropped), (2_000, 0));
    store.plan(|_, _| Fault::None);
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), kept.len());
    // There is room again as soon as the file knows what was settled.
    while spool.record(&clicks("more", 0..2_000)).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_over_the_limit_are_dropped_and_counted() {
    let (spool, store, kept) = full(AtLimit::Drop).await;
    spool.record(&clicks("more", 0..2_000)).await.unwrap();
    let metrics = spool.metrics();
    assert_eq!((metrics.dropped, metrics.accepted, metrics.depth), (2_000, kept.len() as u64, kept.len() as u64));
    store.plan(|_, _| Fault::None);
    let report = spool.shutdown(Duration::from_secs(10)).await;
    assert_eq!((report.dropped, report.delivered, report.waiting), (2_000, kept.len() as u64, 0));
    assert_eq!(store.rows().await.len(), kept.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_larger_than_the_limit_is_refused_so_that_its_caller_halves_it() {
    let spool = open(&Disk::default(), Store::new(), config(AtLimit::Wait)).await.unwrap();
    let error = spool.record(&clicks("a", 0..60_000)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    spool.record_one(&click("a", 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_delivered_gives_its_room_back() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), config(AtLimit::Refuse)).await.unwrap();
    for round in 0..40 {
        // Two rounds would be over the limit.
        let more = clicks("a", round * 20_000..(round + 1) * 20_000);
        while let Err(error) = spool.record(&more).await {
            assert!(error.is_transient(), "{error}");
            tokio::task::yield_now().await;
        }
        spool.flush().await.unwrap();
    }
    assert_eq!(store.rows().await.len(), 800_000);
}
