//! What a recorder counted.

use std::time::Duration;

use crate::Click;

/// What a recorder holds at the moment, and what it did since it was started.
///
/// At any moment `enqueued = written + spilled + dead + queued + in_flight`, until the recorder ended with
/// clicks that it could not write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderMetrics {
    /// Captures that wait to be written.
    pub queued: usize,
    /// Clicks of the batch that is being written, those of it that are settled not counted.
    pub in_flight: usize,
    /// How long the oldest capture that is not written yet has been waiting; zero when there is none.
    pub lag: Duration,
    /// Callers of `record` that wait for room in the queue.
    pub blocked: usize,
    /// Captures that were taken in.
    pub enqueued: u64,
    /// Clicks that the sink has acknowledged.
    pub written: u64,
    /// Clicks that the second sink has acknowledged ([`Overflow::Spill`](super::Overflow::Spill)).
    pub spilled: u64,
    /// Calls of either sink that succeeded.
    pub batches: u64,
    /// Calls of either sink that failed in a way that may pass and were made again.
    pub retried: u64,
    /// Captures that were not taken in because the queue was full.
    pub dropped: u64,
    /// Clicks that the sink refused for good.
    pub dead: u64,
    /// Dead letters that gave way to later ones and are not kept any more.
    pub dead_forgotten: u64,
}

/// What became of all clicks of a recorder that was shut down.
///
/// `written + spilled + dead + dropped + not_written` is the number of calls of `record` that did not fail for
/// another reason than a full queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderReport {
    /// Clicks that the sink has acknowledged.
    pub written: u64,
    /// Clicks that the second sink has acknowledged ([`Overflow::Spill`](super::Overflow::Spill)).
    pub spilled: u64,
    /// Clicks that are not known to be written: those that waited, and those of a call of the sink that
    /// had not answered by the deadline and may have happened.
    pub not_written: u64,
    /// Captures that were not taken in because the queue was full.
    pub dropped: u64,
    /// Clicks that the sink refused for good.
    pub dead: u64,
    /// The clicks that are not known to be written, in order. Recording them again counts none twice:
    /// they keep their ids.
    pub unwritten: Vec<Click>,
}
