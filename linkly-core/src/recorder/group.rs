//! Those who wait for one group commit.

use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;

use crate::{Error, Result};

/// Shared by the captures of one batch whose callers wait until it is durable.
#[derive(Debug, Default)]
pub(super) struct Group {
    outcome: OnceLock<Outcome>,
    done: Notify,
}

/// What became of a batch.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How many captures, from the first on, were written or became dead letters.
    pub(super) settled: usize,
    /// Those of them that became dead letters, in order, and why.
    pub(super) dead: Vec<(usize, Error)>,
}

impl Group {
    /// Tells all who wait.
    pub(super) fn resolve(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_ok() {
            self.done.notify_waiters();
        }
    }
}

/// One capture's place in its group.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(super) group: Arc<Group>,
    pub(super) index: usize,
}

impl Ticket {
    /// Waits until it is known what became of the capture.
    pub(crate) async fn wait(self) -> Result<()> {
        // Made before the look at the outcome, so that none is missed: `notify_waiters` reaches every
        // future that exists, polled or not.
        let done = self.group.done.notified();
        if self.group.outcome.get().is_none() {
            done.await;
        }
        match self.group.outcome.get() {
            Some(outcome) if self.index < outcome.settled => {
                match outcome.dead.binary_search_by_key(&self.index, |(index, _)| *index) {
                    Ok(found) => Err(outcome.dead[found].1.clone()),
                    Err(_) => Ok(()),
                }
            }
            _ => Err(Error::unavailable(super::NAME, "it ended before the click was known to be written")),
        }
    }
}
