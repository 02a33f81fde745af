//! What the spool knows of itself, behind one lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_core::{Result, Uuid};
use tokio::sync::oneshot;

use super::file::Chunks;
use super::frame::Draft;
use super::group::Group;
use super::metrics::SpoolMetrics;
use super::recent::Recent;
use super::salvage::Salvage;
use crate::{DeadLetter, Letters};

/// How long the file may say that clicks are not settled which are. Longer means more of them are
/// delivered again after a crash; shorter, more commits that carry nothing else.
const SETTLE_AFTER: Duration = Duration::from_millis(50);

/// The shortest time between two log lines about dropped clicks.
const DROPS_LOGGED_EVERY: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct State {
    /// The group that is forming.
    pub(super) drafts: Vec<Draft>,
    pub(super) group: Arc<Group>,
    /// Whether the thread has a group in hand.
    pub(super) committing: bool,
    /// Bytes in the file, and of groups on their way there.
    pub(super) bytes: u64,
    pub(super) on_the_way: u64,
    /// Those of the group that is forming.
    pub(super) forming: u64,
    /// Number of the next click that the file will give out.
    pub(super) next: u64,
    /// Number of the first click that is not settled.
    pub(super) settled: u64,
    /// What that was when the spool was opened.
    pub(super) settled_at_start: u64,
    /// What came of the file when it was last found damaged.
    pub(super) salvage: Option<Salvage>,
    /// Since when the file does not know that.
    pub(super) settled_since: Option<Instant>,
    /// Refused for good, and not in the file yet.
    pub(super) dead: Vec<DeadLetter>,
    /// Frames in the file that cannot be read, and are to be moved out of the way.
    pub(super) unreadable: Vec<u64>,
    /// Frames that were just written and not yet delivered.
    pub(super) recent: Recent,
    pub(super) read: Option<Read>,
    pub(super) orders: VecDeque<Order>,
    /// The task delivers without waiting for more until this click is settled.
    pub(super) hurry: u64,
    /// Milliseconds since 1970 when the oldest click was taken in.
    pub(super) oldest_at: Option<u64>,
    pub(super) closed: bool,
    /// The task that delivers has come to its end.
    pub(super) delivery_ended: bool,
    /// The thread is to close the file.
    pub(super) finish: bool,
    /// It has.
    pub(super) file_closed: bool,
    pub(super) counts: SpoolMetrics,
    pub(super) dropped_unlogged: u64,
    pub(super) drops_logged: Option<Instant>,
}

/// The task asks for clicks.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) from: u64,
    pub(super) clicks: usize,
    pub(super) reply: oneshot::Sender<Result<Chunks>>,
}

/// Something about dead letters.
#[derive(Debug)]
pub(super) enum Order {
    List { after: Option<Uuid>, limit: usize, reply: oneshot::Sender<Result<Vec<DeadLetter>>> },
    Replay { which: Letters, reply: oneshot::Sender<Result<u64>> },
    Purge { which: Letters, reply: oneshot::Sender<Result<u64>> },
}

/// What the thread does next.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) drafts: Vec<Draft>,
    pub(super) group: Option<Arc<Group>>,
    /// What the group was counted with.
    pub(super) bytes: u64,
    pub(super) settled: u64,
    pub(super) dead: Vec<DeadLetter>,
    pub(super) unreadable: Vec<u64>,
    pub(super) read: Option<Read>,
    pub(super) order: Option<Order>,
    pub(super) finish: bool,
}

impl State {
    pub(super) fn has_work(&self) -> bool {
        !self.drafts.is_empty() || self.read.is_some() || !self.orders.is_empty() || self.finish
    }

    /// When a commit for the sake of what is settled is due.
    pub(super) fn settle_due(&self, limit: u64, blocked: usize) -> Option<Instant> {
        let since = self.settled_since?;
        // Where room is short, what is settled is room; not while the file fails, which is not tried all the time.
        let is_short = (blocked > 0 || self.bytes > limit / 2) && !self.counts.is_failing;
        Some(if is_short { since } else { since + SETTLE_AFTER })
    }

    pub(super) fn take_work(&mut self) -> Work {
        let drafts = std::mem::take(&mut self.drafts);
        let group = (!drafts.is_empty()).then(|| std::mem::take(&mut self.group));
        self.committing = group.is_some();
        self.settled_since = None;
        Work {
            drafts,
            group,
            bytes: std::mem::take(&mut self.forming),
            settled: self.settled,
            dead: std::mem::take(&mut self.dead),
            unreadable: std::mem::take(&mut self.unreadable),
            read: self.read.take(),
            order: self.orders.pop_front(),
            finish: self.finish,
        }
    }

    /// The commit of that work failed: what it would have said of settled clicks is still to be said.
    pub(super) fn put_back(&mut self, mut dead: Vec<DeadLetter>, mut unreadable: Vec<u64>) {
        dead.append(&mut self.dead);
        unreadable.append(&mut self.unreadable);
        (self.dead, self.unreadable) = (dead, unreadable);
        self.settled_since.get_or_insert_with(Instant::now);
    }

    /// What was counted with so many bytes is in the file now, or never will be; the file has so many.
    pub(super) fn landed(&mut self, group: u64, file: u64) {
        self.on_the_way -= group;
        self.bytes = file + self.on_the_way;
    }

    /// Bytes in the file, as far as is known.
    pub(super) fn in_file(&self) -> u64 {
        self.bytes - self.on_the_way
    }

    /// The file gives out this number next. What it has that was not accepted was in it when it was opened.
    pub(super) fn see_next(&mut self, next: u64) {
        self.next = self.next.max(next);
        let known = self.settled_at_start + self.counts.recovered + self.counts.accepted + self.counts.replayed;
        self.counts.recovered += self.next.saturating_sub(known);
    }

    /// The file was damaged while the spool was open: what could be read of it, all of which was counted before, has
    /// numbers of its own in the new one, which gives out this one next.
    pub(super) fn see_salvage(&mut self, salvage: Salvage, next: u64) {
        let known = self.settled_at_start + self.counts.recovered + self.counts.accepted + self.counts.replayed;
        self.settled_at_start += next.saturating_sub(known);
        self.salvage = Some(salvage);
    }

    /// The clicks before this number are settled; that one of them was refused for good.
    pub(super) fn settle(&mut self, until: u64, letter: Option<DeadLetter>) {
        self.settled = self.settled.max(until);
        self.dead.extend(letter);
        self.settled_since.get_or_insert_with(Instant::now);
    }

    /// Frames were passed over that cannot be read.
    pub(super) fn pass_over(&mut self, keys: Vec<u64>) {
        self.unreadable.extend(keys);
        self.settled_since.get_or_insert_with(Instant::now);
    }

    /// Whether clicks may still come that the task has not read, up to that number.
    pub(super) fn is_drained(&self, read: u64) -> bool {
        self.closed && !self.committing && self.drafts.is_empty() && self.next <= read
    }

    /// Counts dropped clicks; returns how many a log line is due for.
    pub(super) fn count_drop(&mut self, clicks: u64) -> Option<u64> {
        self.counts.dropped += clicks;
        self.dropped_unlogged += clicks;
        let now = Instant::now();
        let due = self.drops_logged.is_none_or(|last| now.duration_since(last) >= DROPS_LOGGED_EVERY);
        due.then(|| {
            self.drops_logged = Some(now);
            std::mem::take(&mut self.dropped_unlogged)
        })
    }
}
