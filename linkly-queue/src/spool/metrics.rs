//! What a spool counted.

use std::time::Duration;

/// What a spool holds at the moment, and what it did since it was opened.
///
/// `recovered + accepted + replayed = delivered + dead + depth`, but for clicks of frames that cannot be
/// [read](Self::unreadable), and until a commit failed: its clicks were not accepted, and may be
/// [recovered](Self::recovered) all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolMetrics {
    /// Clicks in the spool that are not known to be in the store.
    pub depth: u64,
    /// Bytes of clicks and dead letters in the file and on their way there: what the limit is about.
    pub bytes: u64,
    /// How long the oldest of the clicks has been in the spool, by the wall clock; zero when there is none.
    pub oldest_age: Duration,
    /// Callers of `record` that wait for room.
    pub blocked: usize,
    /// Dead letters that are kept.
    pub dead_letters: u64,
    /// Clicks in frames that cannot be read: damaged, or written by a later release. They are kept.
    pub unreadable: u64,
    /// Whether the file takes nothing in, since a commit failed and no new file could be made yet.
    pub is_failing: bool,
    /// Clicks that were waiting in the file when it was opened, after a failed commit too.
    pub recovered: u64,
    /// Clicks that were acknowledged.
    pub accepted: u64,
    /// Clicks that the store has acknowledged.
    pub delivered: u64,
    /// Calls of the store that succeeded.
    pub batches: u64,
    /// Calls of the store that failed in a way that may pass and were made again.
    pub retried: u64,
    /// Clicks that the store refused for good.
    pub dead: u64,
    /// Dead letters that were put back among the clicks.
    pub replayed: u64,
    /// Clicks that were dropped at the limit ([`AtLimit::Drop`](crate::AtLimit::Drop)).
    pub dropped: u64,
    /// Clicks that were refused at the limit ([`AtLimit::Refuse`](crate::AtLimit::Refuse)).
    pub refused: u64,
    /// Commits: fsyncs of the file.
    pub commits: u64,
    /// Commits that failed. Each had its callers told, and the file replaced.
    pub failed_commits: u64,
}

/// What became of the clicks of a spool that was shut down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolReport {
    /// Clicks that the store has acknowledged since the spool was opened.
    pub delivered: u64,
    /// Clicks that the store refused for good.
    pub dead: u64,
    /// Clicks that are in the file still: they are delivered when it is opened again.
    pub waiting: u64,
    /// Clicks that were dropped at the limit.
    pub dropped: u64,
    /// Whether the file is closed. It is not when the disk has not answered in time.
    pub is_closed: bool,
}
