//! One space: a quick_cache that weighs what it holds.

use std::num::NonZero;

use linkly_core::{Code, Entry, Target};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use smol_str::SmolStr;

use super::hasher::Hasher;
use super::spaces::Space;

/// What an entry costs beyond its text and its target: its slot and its part of the index, which grow by
/// doubling (88 bytes at best, 154 just after a step), and what the allocator adds.
const OVERHEAD_BYTES: usize = 144;

/// An entry's weight in bytes where nothing better is known: a code of 7, a URL of 60.
const TYPICAL_BYTES: u64 = 280;

/// How many bytes a shard has at least, so that the longest URL is a small part of one.
const SHARD_BYTES: u64 = 128 * 1024;

/// Ghosts (hashes of what was evicted) for each entry. They cost a slot; with 0.3 the tables of 100,000
/// entries still fit into 2^17 slots, where quick_cache's 0.5 takes 2^18.
const GHOSTS: f64 = 0.3;

/// What the capacity of a space counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Capacity {
    Entries(usize),
    Bytes(u64),
}

/// Codes of up to 23 bytes, as nearly all are, stand in the slot itself: where they would be elsewhere in memory, as
/// a [`Code`] is, comparing them waits for it once more: a loop of hits among a million links then took a quarter longer.
pub(crate) type QuickCache = Cache<SmolStr, Entry, Weigher, Hasher>;

/// Weighs an entry in the unit of the capacity.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Weigher {
    Entries,
    Bytes,
}

impl Weighter<SmolStr, Entry> for Weigher {
    fn weight(&self, code: &SmolStr, entry: &Entry) -> u64 {
        match self {
            Self::Entries => 1,
            Self::Bytes => {
                let target = entry.target.as_ref().map_or(0, Target::heap_bytes);
                (OVERHEAD_BYTES + code.len() + target) as u64
            }
        }
    }
}

pub(crate) fn build(capacity: Capacity, hasher: Hasher) -> QuickCache {
    let (weigher, weight, entries) = match capacity {
        Capacity::Entries(entries) => (Weigher::Entries, entries as u64, entries),
        Capacity::Bytes(bytes) => (Weigher::Bytes, bytes, usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX)),
    };
    let mut options = OptionsBuilder::new();
    options.ghost_allocation(GHOSTS).estimated_items_capacity(entries).weight_capacity(weight);
    if let Capacity::Bytes(bytes) = capacity {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        options.shards(usize::try_from(bytes / SHARD_BYTES).unwrap_or(usize::MAX).clamp(1, 4 * threads));
    }
    let options = options.build().expect("both capacities are set");
    Cache::with_options(options, weigher, hasher, DefaultLifecycle::default())
}

impl Space for QuickCache {
    #[inline]
    fn find(&self, code: &str) -> Option<Entry> {
        self.get(code)
    }

    fn put(&self, code: &Code, entry: Entry) {
        self.insert(code.as_str().into(), entry);
    }

    fn remove(&self, code: &str) {
        Cache::remove(self, code);
    }

    fn empty(&self) {
        self.clear();
    }
}
