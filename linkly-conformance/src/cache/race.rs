//! Readers and writers at once: what a reader is answered is never older than the last write whose
//! invalidate had returned before it began to read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use linkly_core::{CacheExt, Code, Entry};
use rand::RngExt;
use rand::rngs::StdRng;

use super::sample::{code, living, now, target, version_of};
use crate::CacheHandle;
use crate::run::at_once;
use crate::samples::seeded;

/// One row of the store behind the cache.
struct Row {
    code: Code,
    /// What a load reads now.
    stored: AtomicU64,
    /// What no later answer may be older than.
    invalidated: AtomicU64,
}

impl Row {
    /// Commits a new version.
    fn write(&self) -> u64 {
        self.stored.fetch_add(1, SeqCst) + 1
    }

    /// Notes that an invalidate has returned that began after `version` was committed.
    fn settle(&self, version: u64) {
        self.invalidated.fetch_max(version, SeqCst);
    }

    fn check(&self, entry: Option<&Entry>, oldest: u64, what: &str) {
        if let Some(entry) = entry {
            let version = entry.target.as_ref().map(version_of).expect("only targets were filled");
            assert!(
                oldest <= version,
                "{what} of {} answered version {version}; version {oldest} was invalidated before it began",
                self.code
            );
        }
    }
}

async fn pause(rng: &mut StdRng) {
    for _ in 0..rng.random_range(0..4) {
        tokio::task::yield_now().await;
    }
}

/// Looks a code up as the engine does: lease, load, fill.
async fn read(cache: &CacheHandle, row: &Row, rng: &mut StdRng) {
    let oldest = row.invalidated.load(SeqCst);
    row.check(cache.peek(row.code.as_str(), now()).as_ref(), oldest, "peek");
    let oldest = row.invalidated.load(SeqCst);
    let found = cache.get_one(&row.code, now()).await.unwrap();
    row.check(found.entry.as_ref(), oldest, "get");
    if let Some(lease) = found.lease {
        pause(rng).await;
        let version = row.stored.load(SeqCst);
        pause(rng).await;
        let now = now();
        // Fresh, or stale at once, so that leases stand beside entries too.
        let mut entry = living(Some(target(version)), now);
        if rng.random_bool(0.5) {
            entry = Entry::new(entry.target, now, entry.serve_until);
        }
        cache.fill_one(lease, entry, now).await.unwrap();
    }
}

/// Writers that commit and invalidate one code, several, or all of them by `clear`.
async fn write(cache: &CacheHandle, rows: &[Row], rng: &mut StdRng) {
    let some: Vec<_> = match rng.random_range(0..10) {
        0..7 => vec![&rows[rng.random_range(0..rows.len())]],
        _ => rows.iter().collect(),
    };
    let versions: Vec<_> = some.iter().map(|row| row.write()).collect();
    pause(rng).await;
    if some.len() > 1 && rng.random_bool(0.3) {
        cache.clear().await.unwrap();
    } else {
        cache.invalidate(&some.iter().map(|row| row.code.clone()).collect::<Vec<_>>()).await.unwrap();
    }
    for (row, version) in some.iter().zip(versions) {
        row.settle(version);
    }
}

async fn race(cache: &CacheHandle, seed: u64, codes: usize, writes: f64) {
    let rows: Vec<_> = (0..codes)
        .map(|n| Row { code: code(&format!("s{seed}-{n}")), stored: AtomicU64::new(1), invalidated: AtomicU64::new(1) })
        .collect();
    let rows = Arc::new(rows);
    at_once((0..8).map(|task| {
        let (cache, rows) = (cache.clone(), rows.clone());
        async move {
            let mut rng = seeded(seed * 100 + task);
            for _ in 0..400 {
                if rng.random_bool(writes) {
                    write(&cache, &rows, &mut rng).await;
                } else {
                    let row = &rows[rng.random_range(0..rows.len())];
                    read(&cache, row, &mut rng).await;
                }
            }
        }
    }))
    .await;
}

/// Eight tasks read and write one code.
pub async fn no_answer_is_older_than_the_last_invalidate_of_one_code(cache: &CacheHandle) {
    for seed in 0..4 {
        race(cache, seed, 1, 0.2).await;
    }
}

/// Eight tasks read and write a few codes.
pub async fn no_answer_is_older_than_the_last_invalidate_of_a_few_codes(cache: &CacheHandle) {
    for seed in 10..13 {
        race(cache, seed, 3, 0.05).await;
    }
}

/// Eight tasks read and write many codes.
pub async fn no_answer_is_older_than_the_last_invalidate_of_many_codes(cache: &CacheHandle) {
    race(cache, 20, 64, 0.3).await;
}
