//! The change log: how writes that bypassed this process become visible in it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, warn};

use super::loader::Loader;
use super::writes::{clear, invalidate};
use crate::{ChangeCursor, Changes, Result};

/// Reads the store's change log and invalidates what changed.
#[derive(Debug)]
pub(crate) struct ChangeLog {
    loader: Arc<Loader>,
    /// Where to go on; `None` before the log was first read.
    cursor: Mutex<Option<ChangeCursor>>,
}

impl ChangeLog {
    pub(crate) fn new(loader: Arc<Loader>) -> Self {
        Self { loader, cursor: Mutex::default() }
    }

    /// Notes where the log ends now, before anything is cached.
    pub(crate) async fn begin(&self) -> Result<()> {
        let next = self.read(None).await?.next;
        *self.cursor.lock().await = Some(next);
        Ok(())
    }

    /// Invalidates all that changed since the last call. What could not be invalidated is read again.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        let mut cursor = self.cursor.lock().await;
        if cursor.is_none() {
            // What was cached before there was a cursor may have changed unseen.
            let next = self.read(None).await?.next;
            clear(&self.loader).await?;
            *cursor = Some(next);
        }
        loop {
            let changes = self.read(cursor.as_ref()).await?;
            self.loader.counters.changes.add(changes.codes.len() as u64);
            if changes.lost {
                warn!("the change log no longer reaches back to the last look: the cache is cleared");
                clear(&self.loader).await?;
            }
            if !changes.codes.is_empty() {
                debug!(codes = changes.codes.len(), "links changed");
                invalidate(&self.loader, &changes.codes).await?;
            }
            *cursor = Some(changes.next);
            if !changes.more {
                return Ok(());
            }
        }
    }

    /// Catches up every so often for as long as its engine lives, whatever fails on the way.
    pub(crate) async fn follow(this: Weak<Self>, every: Duration) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
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
}
