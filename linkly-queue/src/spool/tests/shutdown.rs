//! The end of a spool, wanted or not.

use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use linkly_core::{ClickSink, ClickSinkExt, Error};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::disk::Disk;
use super::sinks::{Fault, Store};
use super::{Sabotage, click, clicks, hasty, open};
use crate::spool::deliver;
use crate::spool::queue::Shared;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_click_that_was_acknowledged_is_delivered_or_in_the_file() {
    for round in 0..10_u64 {
        let (disk, store) = (
            Disk::default(),
            Store::with_plan(|call, _| match call % 4 {
                0 => Fault::FailsAfterWriting,
                1 => Fault::Fails,
                2 => Fault::Panics,
                _ => Fault::None,
            }),
        );
        let spool = open(&disk, store.clone(), hasty().with_batch(20)).await.unwrap();
        let mut callers = JoinSet::new();
        for caller in 0..8 {
            let spool = spool.clone();
            callers.spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..100_000 {
                    let click = click("a", caller * 100_000 + number);
                    match spool.record_one(&click).await {
                        Ok(()) => acknowledged.push(click.id),
                        Err(error) => {
                            assert!(matches!(error, Error::Closed { .. }), "{error}");
                            break;
                        }
                    }
                }
                acknowledged
            });
        }
        store.called(8).await;
        let started = Instant::now();
        let report = spool.shutdown(Duration::from_millis(round * 3)).await;
        assert!(report.is_closed && started.elapsed() < Duration::from_secs(2), "{report:?} {:?}", started.elapsed());
        let acknowledged = callers.join_all().await.concat();
        let metrics = spool.metrics();
        assert_eq!(metrics.accepted, acknowledged.len() as u64);
        assert_eq!(report.delivered + report.waiting, metrics.accepted, "{report:?}");

        store.plan(|_, _| Fault::None);
        let spool = open(&disk, store.clone(), hasty()).await.unwrap();
        spool.flush().await.unwrap();
        let rows = store.rows().await;
        assert!(acknowledged.iter().all(|id| rows.get(id) == Some(&1)));
        assert_eq!(rows.len(), acknowledged.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_hangs_does_not_hold_up_a_shutdown() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Hangs));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.record(&clicks("a", 0..5)).await.unwrap();
    store.called(1).await;
    let started = Instant::now();
    let report = spool.shutdown(Duration::from_millis(50)).await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!((report.waiting, report.is_closed), (5, true));
    assert!(matches!(spool.flush().await, Err(Error::Unavailable { .. })));
    assert_eq!(spool.shutdown(Duration::from_secs(1)).await, report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_store_gets_what_waits_before_the_deadline() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Takes(Duration::from_millis(5))));
    let spool = open(&disk, store.clone(), hasty().with_batch(10)).await.unwrap();
    spool.record(&clicks("a", 0..100)).await.unwrap();
    let report = spool.shutdown(Duration::from_secs(30)).await;
    assert_eq!((report.delivered, report.waiting, report.is_closed), (100, 0, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_handles_the_file_is_closed_and_keeps_what_was_not_delivered() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let other = spool.clone();
    drop(spool);
    other.record(&clicks("a", 0..5)).await.unwrap();
    drop(other);
    store.plan(|_, _| Fault::None);
    let spool = loop {
        match open(&disk, store.clone(), hasty()).await {
            Ok(spool) => break spool,
            Err(error) => assert!(error.to_string().contains("open in another process"), "{error}"),
        }
    };
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), 5);
    assert_eq!(Arc::strong_count(&store), 2, "the first task and its store are gone");
}

#[test]
fn a_runtime_that_ends_ends_the_deliveries_and_not_the_spool() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Hangs));
    let spool = runtime.block_on(open(&disk, store.clone(), hasty())).unwrap();
    runtime.block_on(spool.record_one(&click("a", 0))).unwrap();
    runtime.block_on(store.called(1));
    drop(runtime);
    let here = Builder::new_current_thread().enable_time().build().unwrap();
    here.block_on(spool.record_one(&click("a", 1))).unwrap();
    assert!(matches!(here.block_on(spool.flush()), Err(Error::Unavailable { .. })));
    let report = here.block_on(spool.shutdown(Duration::from_secs(5)));
    assert_eq!((report.waiting, report.is_closed), (2, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_ordered_something_of_a_spool_that_ends_is_answered() {
    for _ in 0..20 {
        let (disk, store) = (Disk::default(), Store::new());
        let spool = open(&disk, store.clone(), hasty()).await.unwrap();
        // Each is in the queue once it was polled.
        let (mut orders, mut context) = (Vec::new(), Context::from_waker(Waker::noop()));
        for _ in 0..50 {
            let mut order = Box::pin(spool.dead_letters(10, None));
            if order.as_mut().poll(&mut context).is_pending() {
                orders.push(order);
            }
        }
        spool.0.shared.finish();
        for order in orders {
            assert!(matches!(order.await, Ok(_) | Err(Error::Closed { .. })));
        }
    }
}

#[test]
fn a_task_that_never_runs_has_ended() {
    let shared = Arc::new(Shared::new(hasty(), Sabotage::None));
    drop(deliver::run(Arc::clone(&shared), Store::new()));
    assert!(shared.lock().delivery_ended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_spool_forgets_how_old_its_oldest_click_was() {
    let spool = open(&Disk::default(), Store::new(), hasty()).await.unwrap();
    spool.record(&clicks("a", 0..5)).await.unwrap();
    spool.flush().await.unwrap();
    while spool.0.shared.lock().oldest_at.is_some() {
        tokio::task::yield_now().await;
    }
}
