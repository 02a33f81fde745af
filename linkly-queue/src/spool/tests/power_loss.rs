//! The power is lost at every step of the disk: no acknowledged click is, and none counts twice.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use linkly_core::{Click, ClickSink, MemoryStore, Uuid};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;

use super::disk::{Disk, DiskFault};
use super::sinks::{Fault, Store, rows};
use super::{Sabotage, click, hasty, open, open_with};
use crate::Spool;

/// What callers were told, kept outside of the machine that loses its power.
#[derive(Debug, Default)]
struct Manifest {
    acknowledged: HashSet<Uuid>,
    tried: HashSet<Uuid>,
}

/// What is lived through.
#[derive(Clone, Copy, Debug)]
struct History {
    sabotage: Sabotage,
    seed: u64,
    /// Before this round the disk is made to fail one sync.
    failed_sync: Option<usize>,
}

impl History {
    fn new(sabotage: Sabotage, seed: u64) -> Self {
        Self { sabotage, seed, failed_sync: None }
    }
}

/// Records in a few rounds, each of some callers at once, in front of a store that is away half of the time.
async fn live(disk: &Disk, store: &MemoryStore, history: History) -> Manifest {
    let History { sabotage, seed, failed_sync } = history;
    let manifest = Arc::new(Mutex::new(Manifest::default()));
    let mut faults = StdRng::seed_from_u64(seed);
    let sink = Store::over(store.clone(), move |_, _| match faults.random_range(0..4) {
        0 | 1 => Fault::Fails,
        2 => Fault::FailsAfterWriting,
        _ => Fault::None,
    });
    let Ok(spool) = open_with(disk, sink, hasty(), sabotage).await else { return Manifest::default() };
    let mut random = StdRng::seed_from_u64(seed);
    for round in 0..5 {
        if failed_sync == Some(round) {
            disk.set_fault(DiskFault::NextSyncFails);
        }
        let mut callers = JoinSet::new();
        for caller in 0..3 {
            let count = random.random_range(1..4);
            let clicks: Vec<_> = (0..count).map(|number| click("a", round * 100 + caller * 10 + number)).collect();
            callers.spawn(record(spool.clone(), clicks, Arc::clone(&manifest)));
        }
        callers.join_all().await;
    }
    spool.shutdown(Duration::from_millis(2)).await;
    drop(spool);
    Arc::into_inner(manifest).unwrap().into_inner().unwrap()
}

async fn record(spool: Spool, clicks: Vec<Click>, manifest: Arc<Mutex<Manifest>>) {
    let ids: Vec<_> = clicks.iter().map(|click| click.id).collect();
    manifest.lock().unwrap().tried.extend(&ids);
    if spool.record(&clicks).await.is_ok() {
        manifest.lock().unwrap().acknowledged.extend(&ids);
    }
}

/// The history, ended by a loss of power at that step. The error says what was wrong afterwards; else
/// whether it came so far.
async fn lose_power_at(step: u64, history: History) -> Result<bool, String> {
    let (disk, memory) = (Disk::default(), MemoryStore::new());
    disk.cut_at(step);
    let manifest = live(&disk, &memory, history).await;
    let was_cut = disk.is_cut();

    let disk = disk.after_power_loss(&mut StdRng::seed_from_u64(history.seed ^ step));
    let store = Store::over(memory.clone(), |_, _| Fault::None);
    let spool = open(&disk, store, hasty()).await.map_err(|error| format!("it does not open: {error}"))?;
    let salvage = spool.salvage();
    spool.flush().await.unwrap();
    let report = spool.shutdown(Duration::from_secs(10)).await;
    if report.waiting > 0 || !report.is_closed {
        return Err(format!("{report:?}"));
    }
    let rows = rows(&memory).await;
    let lost = manifest.acknowledged.iter().filter(|id| !rows.contains_key(id)).count();
    if lost > 0 {
        return Err(format!("{lost} of {} acknowledged clicks are lost", manifest.acknowledged.len()));
    }
    if let Some((id, _)) = rows.iter().find(|(id, times)| **times != 1 || !manifest.tried.contains(id)) {
        return Err(format!("{id} counts twice or was never recorded"));
    }
    // A loss of power while the file is made leaves one in which there was nothing yet.
    if let Some(salvage) = salvage
        && salvage.recovered + salvage.missing > 0
    {
        return Err(format!("the file was damaged: {salvage:?}"));
    }
    Ok(was_cut)
}

/// Loses the power at each step of a history, until one comes to its end with power; returns the steps.
async fn lose_power_at_every_step(history: History) -> Result<u64, String> {
    for step in 1.. {
        match lose_power_at(step, history).await {
            Ok(true) => {}
            Ok(false) => return Ok(step),
            Err(wrong) => return Err(format!("{history:?}, power lost at step {step}: {wrong}")),
        }
    }
    unreachable!("a history ends")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_click_survives_a_loss_of_power_and_counts_once() {
    let mut steps = 0;
    for seed in 0..4 {
        steps += lose_power_at_every_step(History::new(Sabotage::None, seed)).await.unwrap();
    }
    assert!(steps > 200, "histories of so few steps test nothing: {steps}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_click_survives_a_failed_sync_and_then_a_loss_of_power() {
    for seed in 0..4 {
        let history = History { failed_sync: Some(seed as usize), ..History::new(Sabotage::None, seed) };
        lose_power_at_every_step(history).await.unwrap();
    }
}

/// Whether some history of a sabotaged spool loses what was acknowledged, and is seen to.
async fn loses_clicks(sabotage: Sabotage, failed_sync: Option<usize>) -> bool {
    for seed in 0..8 {
        let history = History { failed_sync, ..History::new(sabotage, seed) };
        if lose_power_at_every_step(history).await.is_err_and(|wrong| wrong.contains("are lost")) {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_before_the_commit_is_noticed() {
    assert!(loses_clicks(Sabotage::AcknowledgeBeforeCommit, None).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weaker_durability_is_noticed() {
    assert!(loses_clicks(Sabotage::WeakDurability, None).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_before_the_store_answered_is_noticed() {
    assert!(loses_clicks(Sabotage::DeleteBeforeAnswer, None).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_written_on_after_a_failed_sync_is_noticed() {
    let mut noticed = false;
    for seed in 0..8 {
        let history = History { failed_sync: Some(1), ..History::new(Sabotage::TrustAfterFailedSync, seed) };
        // Lost, or only found again by looking at every byte.
        noticed |= lose_power_at_every_step(history).await.is_err();
    }
    assert!(noticed);
}
