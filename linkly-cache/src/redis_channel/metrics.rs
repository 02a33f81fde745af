//! What a channel counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// How a channel is doing, and what it did since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisChannelMetrics {
    /// Whether it hears and speaks.
    pub connected: bool,
    /// How many other nodes are heard.
    pub peers: usize,
    /// Messages that wait to be sent.
    pub waiting: usize,
    /// Messages about links that were sent; heartbeats are not counted.
    pub sent: u64,
    /// Messages that were not sent, since too many waited. The others learn that they have missed something.
    pub dropped: u64,
    /// Messages of other nodes that were heard, heartbeats included.
    pub received: u64,
    /// Codes that other nodes have announced.
    pub codes: u64,
    /// How often everything in this process's memory was dropped: with each connection, and for each of the following
    /// reasons.
    pub clears: u64,
    /// How often another node has said that any link may have been written.
    pub cleared_by_others: u64,
    /// How often a message of another node was missing.
    pub gaps: u64,
    /// Other nodes that were not heard any more and had not taken leave.
    pub silences: u64,
    /// Messages that were damaged.
    pub damaged: u64,
    /// Messages in a format that is not known, of another release or of strangers. They are left aside.
    pub foreign: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that were lost or could not be made.
    pub errors: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    peers: AtomicUsize,
    sent: AtomicU64,
    dropped: AtomicU64,
    received: AtomicU64,
    codes: AtomicU64,
    clears: AtomicU64,
    cleared_by_others: AtomicU64,
    gaps: AtomicU64,
    silences: AtomicU64,
    damaged: AtomicU64,
    foreign: AtomicU64,
    connections: AtomicU64,
    errors: AtomicU64,
}

impl Counters {
    pub(super) fn peers(&self, now: usize) {
        self.peers.store(now, Relaxed);
    }

    pub(super) fn sent(&self, count: usize) {
        self.sent.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Relaxed);
    }

    pub(super) fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub(super) fn codes(&self, count: usize) {
        self.codes.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn foreign(&self) {
        self.foreign.fetch_add(1, Relaxed);
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.errors.fetch_add(1, Relaxed);
    }

    pub(super) fn cleared(&self, why: Clear) {
        self.clears.fetch_add(1, Relaxed);
        match why {
            Clear::Connected => return,
            Clear::Told => &self.cleared_by_others,
            Clear::Gap => &self.gaps,
            Clear::Damaged => &self.damaged,
            Clear::Silence(nodes) => {
                self.silences.fetch_add(nodes as u64, Relaxed);
                return;
            }
        }
        .fetch_add(1, Relaxed);
    }

    pub(super) fn snapshot(&self, connected: bool, waiting: usize) -> RedisChannelMetrics {
        RedisChannelMetrics {
            connected,
            peers: self.peers.load(Relaxed),
            waiting,
            sent: self.sent.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            received: self.received.load(Relaxed),
            codes: self.codes.load(Relaxed),
            clears: self.clears.load(Relaxed),
            cleared_by_others: self.cleared_by_others.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            silences: self.silences.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
            foreign: self.foreign.load(Relaxed),
            connections: self.connections.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}

/// Why everything is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clear {
    Connected,
    Told,
    Gap,
    Damaged,
    /// So many nodes are not heard any more.
    Silence(usize),
}
