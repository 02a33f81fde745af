//! The disk of the spool fails.

use std::time::Duration;

use linkly_core::{ClickSink, ClickSinkExt, Error};

use super::disk::{Disk, DiskFault};
use super::sinks::{Fault, Store};
use super::{click, clicks, hasty, open};
use crate::Spool;
use crate::spool::file::{Change, SpoolFile};
use crate::spool::medium::{FRESH, Medium, SPOOL};
use crate::spool::recovery::{self, Reopened};
use crate::spool::state::State;

/// Records until it succeeds: the same click, as a caller may.
async fn record_until_it_works(spool: &Spool, clicks: &[linkly_core::Click]) {
    while let Err(error) = spool.record(clicks).await {
        assert!(error.is_transient(), "{error}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_the_batch_fails_and_the_spool_goes_on_in_a_new_file() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.record(&clicks("before", 0..5)).await.unwrap();
    disk.set_fault(DiskFault::NextSyncFails);
    let error = spool.record(&clicks("failed", 0..5)).await.unwrap_err();
    assert!(error.is_transient() && std::error::Error::source(&error).is_some(), "{error}");
    spool.record(&clicks("after", 0..5)).await.unwrap();
    assert_eq!((spool.metrics().failed_commits, spool.metrics().is_failing), (1, false));
    assert_eq!(disk.names(), [""], "the new file has the place of the old one");

    store.plan(|_, _| Fault::None);
    spool.flush().await.unwrap();
    // Those that failed were told that they may be there.
    let rows = store.rows().await.len();
    assert!(rows == 10 || rows == 15, "{rows}");
    let metrics = spool.metrics();
    assert_eq!(metrics.recovered + metrics.accepted, metrics.delivered + metrics.depth, "{metrics:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_full_disk_nothing_is_taken_in_and_what_is_there_is_delivered() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    spool.record(&clicks("before", 0..20)).await.unwrap();
    disk.set_fault(DiskFault::Full);
    for number in 0..3 {
        let error = spool.record_one(&click("full", number)).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
    assert!(spool.metrics().is_failing);
    let there = click("full", 9);
    assert!(spool.record_one(&there).await.is_err());

    disk.set_fault(DiskFault::None);
    let id = there.id;
    record_until_it_works(&spool, &[there]).await;
    assert!(!spool.metrics().is_failing);
    store.plan(|_, _| Fault::None);
    spool.flush().await.unwrap();
    let rows = store.rows().await;
    assert!(rows.contains_key(&id), "what was acknowledged after the fault is there");
    assert!(rows.len() >= 21, "{}", rows.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_syncs_no_more_holds_up_no_delivery() {
    let (disk, store) = (Disk::default(), Store::with_plan(|_, _| Fault::Fails));
    let spool = open(&disk, store.clone(), hasty().with_batch(10)).await.unwrap();
    spool.record(&clicks("before", 0..100)).await.unwrap();
    disk.set_fault(DiskFault::SyncsFail);
    assert!(spool.record_one(&click("failed", 0)).await.is_err());
    store.plan(|_, _| Fault::None);
    // The first of these are read already; the others are read from a file that cannot be synced, if redb
    // opens it, or once it can be.
    store.called(store.calls() + 1).await;
    disk.set_fault(DiskFault::None);
    spool.flush().await.unwrap();
    assert!(store.rows().await.len() >= 100);
    let report = spool.shutdown(Duration::from_secs(5)).await;
    assert_eq!((report.waiting, report.is_closed), (0, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_spool_at_a_time_has_a_file() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let error = open(&disk, store.clone(), hasty()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("open in another process"), "{error}");
    spool.record_one(&click("a", 1)).await.unwrap();
    spool.shutdown(Duration::from_secs(5)).await;
    open(&disk, store.clone(), hasty()).await.unwrap();
    assert_eq!(store.rows().await.len(), 1);
}

#[test]
fn a_new_file_gives_out_no_number_again_though_the_old_one_has_lost_it() {
    let disk = Disk::default();
    drop(SpoolFile::open(&disk, SPOOL).unwrap());
    let Reopened::Suspect(suspect) = recovery::reopen(&disk, 15).unwrap() else { panic!("it is not damaged") };
    assert_eq!(suspect.next, 0);
    let fresh = recovery::replace(&disk, &suspect, &mut Change::default(), 15).unwrap();
    assert_eq!(fresh.next, 15);
    fresh.close().unwrap();
    assert_eq!(SpoolFile::open(&disk, SPOOL).unwrap().next, 15, "and says so on the disk");
}

#[test]
fn a_salvage_that_failed_between_its_renames_is_finished_by_who_opens_the_file_again() {
    let disk = Disk::default();
    SpoolFile::open(&disk, FRESH).unwrap().close().unwrap();
    assert!(matches!(recovery::reopen(&disk, 0), Ok(Reopened::Suspect(_))));
    assert_eq!((disk.exists(FRESH).unwrap(), disk.exists(SPOOL).unwrap()), (false, true));
}

#[test]
fn a_file_that_fails_is_not_tried_all_the_time_for_the_sake_of_room() {
    let since = std::time::Instant::now();
    let mut state = State { bytes: 90, settled_since: Some(since), ..State::default() };
    assert_eq!(state.settle_due(100, 1), Some(since));
    state.counts.is_failing = true;
    assert!(state.settle_due(100, 1) > Some(since));
}
