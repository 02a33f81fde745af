//! What a shared cache counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use linkly_core::{Filled, Lookup, Result};

/// How a shared cache is doing, and what this process has asked of it since it was made. Codes are counted, not calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisCacheMetrics {
    /// Servers that are left out at the moment, since they did not answer: more than none is an open breaker.
    pub left_out: usize,
    /// Codes that were found.
    pub hits: u64,
    /// Codes that were not: missing, or on a server that did not answer.
    pub misses: u64,
    /// Codes that were filled.
    pub filled: u64,
    /// Codes that were not filled, since they were invalidated meanwhile, or on a server that did not answer.
    pub voided: u64,
    /// Codes that were invalidated.
    pub invalidated: u64,
    /// How often it was cleared from here.
    pub clears: u64,
    /// Calls that failed as a whole, those that were not made while the servers were left out among them.
    pub errors: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    filled: AtomicU64,
    voided: AtomicU64,
    invalidated: AtomicU64,
    clears: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    pub(super) fn looked_up(&self, lookups: &[Lookup]) {
        let hits = lookups.iter().filter(|lookup| lookup.entry.is_some()).count();
        self.hits.fetch_add(hits as u64, Relaxed);
        self.misses.fetch_add((lookups.len() - hits) as u64, Relaxed);
    }

    pub(super) fn filled(&self, answers: &[Filled]) {
        let filled = answers.iter().filter(|answer| **answer == Filled::Filled).count();
        self.filled.fetch_add(filled as u64, Relaxed);
        self.voided.fetch_add((answers.len() - filled) as u64, Relaxed);
    }

    pub(super) fn invalidated(&self, codes: usize) {
        self.invalidated.fetch_add(codes as u64, Relaxed);
    }

    pub(super) fn cleared(&self) {
        self.clears.fetch_add(1, Relaxed);
    }

    /// Passes the outcome of a call on.
    pub(super) fn watch<T>(&self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.errors.fetch_add(1, Relaxed);
        }
        outcome
    }

    pub(super) fn snapshot(&self, left_out: usize) -> RedisCacheMetrics {
        RedisCacheMetrics {
            left_out,
            hits: self.hits.load(Relaxed),
            misses: self.misses.load(Relaxed),
            filled: self.filled.load(Relaxed),
            voided: self.voided.load(Relaxed),
            invalidated: self.invalidated.load(Relaxed),
            clears: self.clears.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}
