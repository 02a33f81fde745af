//! What callers, the task that delivers and the thread that has the file share.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use linkly_core::chrono::Utc;
use linkly_core::{Click, Error, Result};
use tokio::sync::{Notify, oneshot};

use super::file::Chunks;
use super::frame::Draft;
use super::group::Group;
use super::metrics::SpoolMetrics;
use super::state::{Order, Read, State, Work};
use super::{BACKEND, SpoolConfig, closed};
use crate::AtLimit;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: SpoolConfig,
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes callers that wait for room.
    room: Notify,
    blocked: AtomicUsize,
    /// Wakes the task that delivers, when there is more to deliver or it is to end.
    pub(super) arrived: Notify,
    /// Wakes those who wait for a flush or for the end.
    pub(super) progress: Notify,
    #[cfg(test)]
    pub(super) sabotage: super::tests::Sabotage,
}

/// What a push came to.
enum Pushed {
    Queued(Arc<Group>),
    Full(Vec<Draft>),
    Dropped,
}

impl Shared {
    pub(super) fn new(config: SpoolConfig, #[cfg(test)] sabotage: super::tests::Sabotage) -> Self {
        Self {
            config,
            state: Mutex::default(),
            work: Condvar::new(),
            room: Notify::new(),
            blocked: AtomicUsize::new(0),
            arrived: Notify::new(),
            progress: Notify::new(),
            #[cfg(test)]
            sabotage,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock leaves the state by half, so a panic elsewhere does not matter.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes clicks in and waits until they are on the disk.
    pub(super) async fn record(&self, clicks: &[Click]) -> Result<()> {
        if clicks.is_empty() {
            return Ok(());
        }
        for click in clicks {
            click.check()?;
        }
        let drafts = Draft::of(clicks);
        let bytes = bytes_of(&drafts);
        if bytes > self.config.limit_bytes {
            // Not for what a click is, but a caller that halves the batch is helped.
            let reason = format!("{bytes} bytes of clicks at once, of at most {} in all", self.config.limit_bytes);
            return Err(Error::Refused { backend: BACKEND, reason, source: None });
        }
        let group = match self.push(drafts)? {
            Pushed::Queued(group) => group,
            Pushed::Full(drafts) => self.push_when_there_is_room(drafts).await?,
            Pushed::Dropped => return Ok(()),
        };
        group.wait().await
    }

    fn push(&self, drafts: Vec<Draft>) -> Result<Pushed> {
        let (bytes, clicks) = (bytes_of(&drafts), clicks_of(&drafts));
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.closed {
            return Err(closed());
        }
        if state.bytes + bytes > self.config.limit_bytes {
            // What is settled gives room, as soon as the file knows.
            self.work.notify_one();
            return match self.config.at_limit {
                AtLimit::Wait => Ok(Pushed::Full(drafts)),
                AtLimit::Refuse => {
                    state.counts.refused += clicks;
                    Err(Error::unavailable(BACKEND, format!("it is full: {} bytes", self.config.limit_bytes)))
                }
                AtLimit::Drop => {
                    let unlogged = state.count_drop(clicks);
                    drop(guard);
                    if let Some(clicks) = unlogged {
                        tracing::warn!(clicks, limit = self.config.limit_bytes, "dropped clicks: the spool is full");
                    }
                    Ok(Pushed::Dropped)
                }
            };
        }
        state.bytes += bytes;
        state.on_the_way += bytes;
        state.forming += bytes;
        let was_empty = state.drafts.is_empty();
        for draft in drafts {
            let rest = match state.drafts.last_mut() {
                Some(last) => last.append(draft),
                None => Some(draft),
            };
            state.drafts.extend(rest);
        }
        let group = Arc::clone(&state.group);
        drop(guard);
        if was_empty {
            self.work.notify_one();
        }
        Ok(Pushed::Queued(group))
    }

    async fn push_when_there_is_room(&self, mut drafts: Vec<Draft>) -> Result<Arc<Group>> {
        // Counted before the spool is found full, so that whoever makes room after that sees it.
        let _blocked = Blocked::count(&self.blocked);
        loop {
            let mut room = pin!(self.room.notified());
            room.as_mut().enable();
            match self.push(drafts)? {
                Pushed::Queued(group) => return Ok(group),
                Pushed::Full(back) => drafts = back,
                Pushed::Dropped => return Err(closed()),
            }
            room.await;
        }
    }

    /// Waits for work. Called by the thread alone.
    pub(super) fn next_work(&self) -> Work {
        let mut guard = self.lock();
        loop {
            let due = guard.settle_due(self.config.limit_bytes, self.blocked());
            let left = due.map(|due| due.saturating_duration_since(Instant::now()));
            if guard.has_work() || left.is_some_and(|left| left.is_zero()) {
                return guard.take_work();
            }
            guard = match left {
                None => self.work.wait(guard).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.work.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Wakes the thread: the state has something for it.
    pub(super) fn wake_thread(&self) {
        self.work.notify_one();
    }

    /// There may be room.
    pub(super) fn made_room(&self) {
        if self.blocked() > 0 {
            self.room.notify_waiters();
        }
    }

    fn blocked(&self) -> usize {
        self.blocked.load(Ordering::SeqCst)
    }

    /// The clicks from that number on: what was just written is still here, for the rest the thread is asked.
    pub(super) async fn read(&self, from: u64, clicks: usize) -> Result<Chunks> {
        let recent = self.lock().recent.take(from);
        match recent.and_then(|frame| Chunks::of_one(&frame.frame()?, from)) {
            Some(chunks) => Ok(chunks),
            None => self.read_file(from, clicks).await,
        }
    }

    /// Asks the thread for clicks.
    pub(super) async fn read_file(&self, from: u64, clicks: usize) -> Result<Chunks> {
        let (reply, answer) = oneshot::channel();
        self.lock().read = Some(Read { from, clicks, reply });
        self.work.notify_one();
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Has the thread do something about dead letters.
    pub(super) async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<Result<T>>) -> Order) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            if state.finish {
                return Err(closed());
            }
            state.orders.push_back(order(reply));
        }
        self.work.notify_one();
        answer.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Closes the intake; returns whether it was open.
    pub(super) fn close(&self) -> bool {
        let was_open = !std::mem::replace(&mut self.lock().closed, true);
        self.room.notify_waiters();
        self.arrived.notify_one();
        was_open
    }

    /// Has the thread write down what it has and close the file.
    pub(super) fn finish(&self) {
        {
            let mut state = self.lock();
            state.closed = true;
            state.finish = true;
        }
        self.room.notify_waiters();
        self.work.notify_one();
    }

    /// Waits until the state is so.
    pub(super) async fn until<T>(&self, is: impl Fn(&State) -> Option<T>) -> T {
        loop {
            // Made before the look at the state: it misses no notification from here on.
            let progress = self.progress.notified();
            if let Some(done) = is(&self.lock()) {
                return done;
            }
            progress.await;
        }
    }

    pub(super) fn metrics(&self) -> SpoolMetrics {
        let state = self.lock();
        let depth = state.next.saturating_sub(state.settled);
        let oldest_at = state.oldest_at.filter(|_| depth > 0).map(|at| now().saturating_sub(at));
        SpoolMetrics {
            depth,
            bytes: state.bytes,
            oldest_age: Duration::from_millis(oldest_at.unwrap_or(0)),
            blocked: self.blocked(),
            ..state.counts
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default()
}

/// What drafts can take at most in the file.
pub(super) fn bytes_of(drafts: &[Draft]) -> u64 {
    drafts.iter().map(|draft| draft.len() as u64).sum()
}

fn clicks_of(drafts: &[Draft]) -> u64 {
    drafts.iter().map(|draft| u64::from(draft.clicks)).sum()
}

/// Counts a caller that waits for room, for as long as it waits.
struct Blocked<'a>(&'a AtomicUsize);

impl<'a> Blocked<'a> {
    fn count(blocked: &'a AtomicUsize) -> Self {
        blocked.fetch_add(1, Ordering::SeqCst);
        Self(blocked)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
