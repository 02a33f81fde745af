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

use super::invalidation::{Scope, once};
use super::loader::{Loader, timed_out};
use crate::{ChangeCursor, Changes, Result, Tick};

/// Reads the store's change log and invalidates what changed.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    loader: Arc<Loader>,
    place: Mutex<Place>,
    /// When the last look began that read the log to its end and told this process's memory, whatever became of a
    /// cache elsewhere: in milliseconds, and zero before.
    caught_up: AtomicU64,
}

#[derive(Debug, Default)]
struct Place {
    /// Up to where this process's memory was told; `None` before the log was first read.
    cursor: Option<ChangeCursor>,
    /// Whether something may have been loaded by now: not while the engine starts, with the look that it takes then.
    may_have_loaded: bool,
    elsewhere: Elsewhere,
}

/// Up to where the cache was told that outlives this process.
#[derive(Debug, Default)]
enum Elsewhere {
    /// It could not be asked yet.
    #[default]
    Unknown,
    /// Up to here, and not of all that lies behind it.
    Behind(ChangeCursor),
    /// Up to the cursor.
    Told,
}

/// What the cache says of where it was told.
type Position = Result<Option<ChangeCursor>>;

impl ChangeLog {
    pub(crate) fn new(loader: Arc<Loader>) -> Self {
        let may_have_loaded = loader.config.poll_changes.is_zero();
        let place = Mutex::new(Place { may_have_loaded, ..Place::default() });
        Self { loader, place, caught_up: AtomicU64::new(0) }
    }

    /// How long ago this process's memory was told of all changes.
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
        let joined = match place.elsewhere {
            Elsewhere::Unknown => self.join(&mut place, &position).await?,
            _ => Ok(()),
        };
        let followed = self.follow_to_the_end(&mut place, &mut position).await?;
        self.caught_up.store(begun.as_millis().max(1), Ordering::Relaxed);
        joined.and(followed)?;
        self.tell_elsewhere(&mut place, &mut position).await?;
        match (position, &place.elsewhere, &place.cursor) {
            (Ok(position), Elsewhere::Told, Some(cursor)) => self.advance(position.as_ref(), cursor).await,
            _ => Ok(()),
        }
    }

    /// Finds out where the cache's position is, and clears the cache where it has none. The inner result is the cache's:
    /// when it cannot be asked or cleared, this process's memory is told of what changes from now on all the same.
    async fn join(&self, place: &mut Place, position: &Position) -> Result<Result<()>> {
        let may_have_loaded = std::mem::replace(&mut place.may_have_loaded, true);
        // Whether what was loaded may have changed before the place from which on the log is followed.
        let mut unseen = place.cursor.is_none() && may_have_loaded;
        let mut outcome = Ok(());
        let (cursor, elsewhere) = match (position, place.cursor.clone()) {
            (Ok(Some(position)), None) => (position.clone(), Elsewhere::Told),
            (Ok(Some(position)), Some(cursor)) => {
                // Another engine may have moved the position past a change of what was loaded from there until now.
                unseen = true;
                (cursor, Elsewhere::Behind(position.clone()))
            }
            (Ok(None), cursor) => {
                // Read first: what is loaded after the clear is no older than that.
                let next = self.read(None).await?.next;
                debug!("nobody knows what the cache was told of: it is cleared");
                outcome = once(&self.loader, Scope::All).await;
                if outcome.is_ok() {
                    unseen = false;
                    (next, Elsewhere::Told)
                } else {
                    (cursor.unwrap_or(next), Elsewhere::Unknown)
                }
            }
            (Err(error), cursor) => {
                outcome = Err(error.clone());
                let cursor = match cursor {
                    Some(cursor) => cursor,
                    None => self.read(None).await?.next,
                };
                (cursor, Elsewhere::Unknown)
            }
        };
        if unseen {
            self.loader.forget_all().await;
        }
        // At last, so that a look that is dropped on its way is taken from the beginning.
        (place.cursor, place.elsewhere) = (Some(cursor), elsewhere);
        Ok(outcome)
    }

    /// Invalidates what is new, to the end of the log; the inner result is the cache's. A cache elsewhere that cannot
    /// be told holds up nothing: this process's memory is told of every page, however long that one is away.
    async fn follow_to_the_end(&self, place: &mut Place, position: &mut Position) -> Result<Result<()>> {
        let mut outcome = Ok(());
        while let Some(cursor) = place.cursor.clone() {
            let changes = self.read(Some(&cursor)).await?;
            if let Err(error) = self.tell(&changes, position).await {
                if let Elsewhere::Told = place.elsewhere {
                    place.elsewhere = Elsewhere::Behind(cursor);
                }
                outcome = outcome.and(Err(error));
            }
            place.cursor = Some(changes.next);
            if !changes.more {
                break;
            }
        }
        Ok(outcome)
    }

    /// Invalidates again from where the cache elsewhere is behind.
    async fn tell_elsewhere(&self, place: &mut Place, position: &mut Position) -> Result<()> {
        while let Elsewhere::Behind(behind) = &place.elsewhere {
            let changes = self.read(Some(behind)).await?;
            self.tell(&changes, position).await?;
            if changes.more {
                place.elsewhere = Elsewhere::Behind(changes.next);
            } else {
                (place.cursor, place.elsewhere) = (Some(changes.next), Elsewhere::Told);
            }
        }
        Ok(())
    }

    async fn tell(&self, changes: &Changes, position: &mut Position) -> Result<()> {
        if changes.lost {
            warn!("the change log no longer reaches back to the last look: the cache is cleared");
            once(&self.loader, Scope::All).await?;
            *position = Ok(None);
        }
        if !changes.codes.is_empty() {
            debug!(codes = changes.codes.len(), "links changed");
            self.loader.counters.invalidations.add(changes.codes.len() as u64);
            // Once, since what fails is read again: a cache that is away must not hold up the next page.
            once(&self.loader, Scope::These(&changes.codes)).await?;
        }
        Ok(())
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
        let changes = self.loader.in_time(self.loader.store.changes(after)).await?;
        self.loader.counters.changes.add(changes.codes.len() as u64);
        Ok(changes)
    }

    async fn position(&self) -> Position {
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
