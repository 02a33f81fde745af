//! What a stream counted, and what is in it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What this process did since the stream was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamMetrics {
    /// Clicks that were acknowledged: Redis has them.
    pub accepted: u64,
    /// Callers of `record` that wait for room.
    pub blocked: usize,
    /// Clicks that were refused at the limit ([`AtLimit::Refuse`](crate::AtLimit::Refuse)).
    pub refused: u64,
    /// Clicks that were dropped at the limit ([`AtLimit::Drop`](crate::AtLimit::Drop)).
    pub dropped: u64,
    /// Clicks that the store has acknowledged.
    pub delivered: u64,
    /// Calls of the store that succeeded.
    pub batches: u64,
    /// Calls of the store that failed in a way that may pass and were made again.
    pub retried: u64,
    /// Clicks that were taken over from writers that had ended or had lost their connection.
    pub claimed: u64,
    /// Clicks that became dead letters.
    pub dead: u64,
    /// Entries that were put aside because they cannot be read here.
    pub unreadable: u64,
    /// Calls of Redis by writers that failed, after which they connected again.
    pub failed_calls: u64,
}

/// What is in Redis at the moment, of all producers and writers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStatus {
    /// Clicks that are not known to be in the store.
    pub depth: u64,
    /// Those of them that a writer has in hand.
    pub pending: u64,
    /// How long the oldest has been there, by this machine's clock and the server's; zero when there is none.
    pub oldest_age: Duration,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Entries that were put aside because the writer that had them could not read them: damaged, or of a later
    /// release. They are kept, and come back to the stream with writers that can read them.
    pub unreadable: u64,
}

/// What became of clicks with the writers of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// Clicks that the store has acknowledged.
    pub delivered: u64,
    /// Clicks that became dead letters.
    pub dead: u64,
    /// Whether every writer had finished what it had in hand. What it had not is still in the stream, for others.
    pub is_finished: bool,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) blocked: AtomicUsize,
    pub(super) refused: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) claimed: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) unreadable: AtomicU64,
    pub(super) failed_calls: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> StreamMetrics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StreamMetrics {
            accepted: get(&self.accepted),
            blocked: self.blocked.load(Ordering::Relaxed),
            refused: get(&self.refused),
            dropped: get(&self.dropped),
            delivered: get(&self.delivered),
            batches: get(&self.batches),
            retried: get(&self.retried),
            claimed: get(&self.claimed),
            dead: get(&self.dead),
            unreadable: get(&self.unreadable),
            failed_calls: get(&self.failed_calls),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
