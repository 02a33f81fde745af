//! Those who wait for one group commit.

use std::sync::OnceLock;

use linkly_core::{Error, Result};
use tokio::sync::Notify;

/// Shared by the callers whose clicks one commit takes in.
#[derive(Debug, Default)]
pub(super) struct Group {
    outcome: OnceLock<Result<()>>,
    done: Notify,
}

impl Group {
    /// Tells all who wait. What was told once stays.
    pub(super) fn resolve(&self, outcome: Result<()>) {
        if self.outcome.set(outcome).is_ok() {
            self.done.notify_waiters();
        }
    }

    /// Waits until the commit has come to its end.
    pub(super) async fn wait(&self) -> Result<()> {
        // Made before the look at the outcome, so that none is missed: `notify_waiters` reaches every
        // future that exists, polled or not.
        let done = self.done.notified();
        if self.outcome.get().is_none() {
            done.await;
        }
        let ended = || Err(Error::unavailable(super::BACKEND, "it ended before the clicks were known to be kept"));
        self.outcome.get().cloned().unwrap_or_else(ended)
    }
}
