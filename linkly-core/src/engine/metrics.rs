//! A snapshot of what the engine counts.

use std::time::Duration;

use super::Linkly;
use crate::RecorderMetrics;

/// A snapshot of what the engine has counted since it started, for any exporter. Cheap: some dozen
/// loads.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// Resolves answered out of this process's memory.
    pub hits: u64,
    /// Answers past their freshness: served while they were refreshed, and loads that ended with one
    /// because the store failed.
    pub stale: u64,
    /// Resolves that had to wait for a load.
    pub misses: u64,
    /// Loads that found one on its way for the same code and joined it.
    pub joined: u64,
    /// Batches of loads.
    pub batches: u64,
    /// Codes that a load found in the cache: in one that nodes share, but for the few that came there since the
    /// resolve looked.
    pub found: u64,
    /// Codes read from the store.
    pub loaded: u64,
    /// Batches that the store failed.
    pub load_errors: u64,
    /// Calls that the cache failed.
    pub cache_errors: u64,
    /// Fills dropped because their codes were invalidated meanwhile.
    pub voided: u64,
    /// Codes invalidated, by writes and by the change log.
    pub invalidations: u64,
    /// Codes that the change log reported.
    pub changes: u64,
    /// How long ago the look at the change log began that was the last to read it to its end and to tell this process's
    /// memory of all that it reported; `None` before the first. More than
    /// [`poll_changes`](crate::Config::poll_changes) and what a look takes is a lag: so old an answer out of this
    /// process's memory can be.
    ///
    /// Whether a cache elsewhere could be told too does not count, since the memory does not wait for it:
    /// [`cache_errors`](Self::cache_errors) does, and `linkly_cache::Tiered::untold` says what is left to tell. `Tiered`
    /// does not look up in it what it was not told by this node.
    pub changes_lag: Option<Duration>,
    /// Codes that other nodes announced on the channel.
    pub heard: u64,
    /// How often this process's memory was cleared, since something that other nodes have written may have been
    /// missed: with each new connection of the channel, and when a message of it was lost.
    pub cleared: u64,
    /// Redirects of limited links that were withheld from bots and HEAD requests.
    pub withheld: u64,
    /// Redirects of limited links that were refused because none was left.
    pub exhausted: u64,
    /// Whether misses fail at once because the store failed several times in a row.
    pub breaker_open: bool,
    /// The recorder's: queue depth and lag, written, retried, dropped.
    pub clicks: RecorderMetrics,
}

impl Linkly {
    /// What was counted since the start, by all handles together.
    pub fn metrics(&self) -> Metrics {
        let counters = &self.0.engine.counters;
        Metrics {
            hits: counters.hits.get(),
            stale: counters.stale.get(),
            misses: counters.misses.get(),
            joined: counters.joined.get(),
            batches: counters.batches.get(),
            found: counters.found.get(),
            loaded: counters.loaded.get(),
            load_errors: counters.load_errors.get(),
            cache_errors: counters.cache_errors.get(),
            voided: counters.voided.get(),
            invalidations: counters.invalidations.get(),
            changes: counters.changes.get(),
            changes_lag: self.0.engine.changes.lag(),
            heard: counters.heard.get(),
            cleared: counters.cleared.get(),
            withheld: counters.withheld.get(),
            exhausted: counters.exhausted.get(),
            breaker_open: self.0.engine.loader.breaker.is_open(),
            clicks: self.0.engine.recorder.metrics(),
        }
    }
}
