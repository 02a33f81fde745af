//! The change log: how writes that bypassed this process become visible in it, and those of a process that ended
//! before it could say so.
//!
//! A cache that outlives processes keeps the place up to which it was told. An engine that starts goes on from there;
//! where there is no such place, nobody knows what the cache was not told, and it is cleared.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use super::loader::{Loader, timed_out};
use super::writes::{clear, invalidate};
use crate::{ChangeCursor, Changes, Listener, Result, Tick};

/// Reads the store's change log and invalidates what changed.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    loader: Arc<Loader>,
    place: Mutex<Place>,
    /// When a look began that read the log to its end and invalidated all of it: in milliseconds, and zero before.
    caught_up: AtomicU64,
}

#[derive(Debug, Default)]
struct Place {
    /// Where to go on; `None` before the log was first read.
    cursor: Option<ChangeCursor>,
    /// Whether that is where the cache's own position was, or behind it, and not merely where this engine began.
    joined: bool,
}

impl ChangeLog {
    pub(crate) fn new(loader: Arc<Loader>) -> Self {
        Self { loader, place: Mutex::default(), caught_up: AtomicU64::new(0) }
    }

    /// How long ago this process was told of all changes.
    pub(crate) fn lag(&self) -> Option<Duration> {
        let at = self.caught_up.load(Ordering::Relaxed);
        (at > 0).then(|| self.loader.clock.tick().since(Tick::from_millis(at)))
    }

    /// Invalidates all that changed since the last call; at first, since the cache was last told. What could not be
    /// invalidated is read again.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let mut place = self.place.lock().await;
        let begun = self.loader.clock.tick();
        // Before the log is read, so that what it is moved to is later.
        let mut position = self.position().await;
        if !place.joined {
            position = Ok(self.join(&mut place, position).await?);
        }
        let Some(mut cursor) = place.cursor.clone() else { return Ok(()) };
        loop {
            let changes = self.read(Some(&cursor)).await?;
            self.loader.counters.changes.add(changes.codes.len() as u64);
            if changes.lost {
                warn!("the change log no longer reaches back to the last look: the cache is cleared");
                clear(&self.loader).await?;
                position = Ok(None);
            }
            if !changes.codes.is_empty() {
                debug!(codes = changes.codes.len(), "links changed");
                invalidate(&self.loader, &changes.codes).await?;
            }
            cursor = changes.next;
            place.cursor = Some(cursor.clone());
            if !changes.more {
                break;
            }
        }
        self.caught_up.store(begun.as_millis().max(1), Ordering::Relaxed);
        match position {
            Ok(position) if place.joined => self.advance(position.as_ref(), &cursor).await,
            _ => Ok(()),
        }
    }

    /// Goes to where the cache's position is, and clears the cache where it has none. When it cannot be asked, what
    /// is in this process's memory is followed from here on all the same.
    async fn join(&self, place: &mut Place, position: Result<Option<ChangeCursor>>) -> Result<Option<ChangeCursor>> {
        let is_first = place.cursor.is_none();
        match position {
            Ok(Some(position)) => {
                // What was followed from elsewhere is not what lies behind the position.
                if !is_first {
                    self.loader.missed().await;
                }
                *place = Place { cursor: Some(position.clone()), joined: true };
                Ok(Some(position))
            }
            Ok(None) => {
                // Read first: what is loaded after the clear is no older than that.
                let next = self.read(None).await?.next;
                debug!("nobody knows what the cache was told of: it is cleared");
                clear(&self.loader).await?;
                *place = Place { cursor: Some(next), joined: true };
                Ok(None)
            }
            Err(error) => {
                debug!(%error, "the cache cannot say what it was told of; it is asked again");
                if is_first {
                    let next = self.read(None).await?.next;
                    self.loader.missed().await;
                    place.cursor = Some(next);
                }
                Ok(None)
            }
        }
    }

    /// Catches up every so often for as long as its engine lives, whatever fails on the way.
    pub(crate) async fn follow(this: Weak<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The engine has looked when it started.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let Some(log) = this.upgrade() else { return };
            // In a task of its own, so that a panic of the store or the cache ends one look and not all.
            let look = tokio::spawn(async move { log.catch_up().await });
            match look.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!(%error, "the change log could not be followed; tried again"),
                Err(error) => warn!(%error, "a look at the change log panicked; tried again"),
            }
        }
    }

    async fn read(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        self.loader.in_time(self.loader.store.changes(after)).await
    }

    async fn position(&self) -> Result<Option<ChangeCursor>> {
        self.in_time(self.loader.cache.position()).await
    }

    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        if from == Some(to) {
            return Ok(());
        }
        self.in_time(self.loader.cache.advance(from, to)).await
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let deadline = self.loader.config.cache_timeout;
        let outcome = timeout(deadline, call).await.unwrap_or_else(|_| Err(timed_out("the cache", deadline)));
        if outcome.is_err() {
            self.loader.counters.cache_errors.add(1);
        }
        outcome
    }
}
