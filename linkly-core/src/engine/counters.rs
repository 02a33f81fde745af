//! Counters that many threads raise at once.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

const SHARDS: usize = 16;

/// A counter in shards, one cache line each: a shared one doubles the cost of a hit on two threads.
#[derive(Debug, Default)]
pub(crate) struct Counter([Shard; SHARDS]);

/// 128 bytes: two lines, which x86 fetches as a pair.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: usize = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
}

impl Counter {
    #[inline]
    pub(crate) fn add(&self, count: u64) {
        // A thread that is ending has no shard any more; the first will do.
        let shard = SHARD.try_with(|shard| *shard).unwrap_or(0);
        self.0[shard].0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.iter().map(|shard| shard.0.load(Ordering::Relaxed)).sum()
    }
}

/// What the engine counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) hits: Counter,
    pub(crate) stale: Counter,
    pub(crate) misses: Counter,
    pub(crate) joined: Counter,
    pub(crate) batches: Counter,
    pub(crate) found: Counter,
    pub(crate) loaded: Counter,
    pub(crate) load_errors: Counter,
    pub(crate) cache_errors: Counter,
    pub(crate) voided: Counter,
    pub(crate) invalidations: Counter,
    pub(crate) changes: Counter,
    pub(crate) heard: Counter,
    pub(crate) cleared: Counter,
    pub(crate) withheld: Counter,
    pub(crate) exhausted: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..1_000).for_each(|_| counter.add(1)));
            }
        });
        assert_eq!(counter.get(), 40_000);
    }
}
