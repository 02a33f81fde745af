//! From the file to the store.

use std::time::Duration;

use linkly_core::{ClickSink, ClickSinkExt, Error};
use tokio::task::JoinSet;

use super::disk::Disk;
use super::sinks::{Fault, Store};
use super::{click, clicks, hasty, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_reach_the_store_once_and_in_order() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty().with_batch(7)).await.unwrap();
    let all = clicks("a", 0..200);
    for some in all.chunks(3) {
        spool.record(some).await.unwrap();
    }
    spool.flush().await.unwrap();
    let order: Vec<_> = store.batches.lock().unwrap().concat();
    assert_eq!(order, all.iter().map(|click| click.id).collect::<Vec<_>>());
    assert!(store.batches.lock().unwrap().iter().all(|batch| batch.len() <= 7));
    let metrics = spool.metrics();
    assert_eq!((metrics.accepted, metrics.delivered, metrics.depth), (200, 200, 0));
    let report = spool.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.delivered, report.waiting, report.is_closed), (200, 0, true));
    assert!(matches!(spool.record_one(&click("a", 1)).await, Err(Error::Closed { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_at_the_same_time_share_commits() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let spool = spool.clone();
        callers.spawn(async move {
            for number in 0..20 {
                spool.record_one(&click("a", caller * 100 + number)).await.unwrap();
            }
        });
    }
    callers.join_all().await;
    spool.flush().await.unwrap();
    let metrics = spool.metrics();
    assert_eq!((metrics.accepted, metrics.delivered), (1_280, 1_280));
    assert!(metrics.commits < 640, "{metrics:?}");
    assert_eq!(store.rows().await.len(), 1_280);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_did_not_get_is_delivered_after_a_restart() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.record(&clicks("a", 0..50)).await.unwrap();
    store.called(3).await;
    let report = spool.shutdown(Duration::from_millis(5)).await;
    assert_eq!((report.delivered, report.waiting, report.is_closed), (0, 50, true));
    assert!(spool.metrics().retried >= 2);

    store.plan(|_, _| Fault::None);
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    assert_eq!(spool.metrics().recovered, 50);
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), 50);
    let metrics = spool.metrics();
    assert_eq!(metrics.recovered + metrics.accepted, metrics.delivered + metrics.depth);
}
