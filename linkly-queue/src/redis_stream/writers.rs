//! The writers of this process, and their end.

use std::sync::Arc;
use std::time::Duration;

use linkly_core::chrono::Utc;
use linkly_core::{ClickSink, new_id};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::metrics::StreamReport;
use super::writer::{self, Writer};

/// How long a shutdown takes at most to give back what was not finished.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(1);

/// Writers that bring the clicks of a [`RedisStream`](super::RedisStream) to a store.
///
/// Dropped, they end where they are, and what they had in hand goes to others after
/// [`claim_after`](super::StreamConfig::claim_after); [`shutdown`](Self::shutdown) finishes it or gives it back.
#[must_use = "writers end when this is dropped"]
pub struct StreamWriters {
    shared: Arc<Shared>,
    closing: watch::Sender<bool>,
    tasks: Vec<(String, JoinHandle<()>)>,
}

impl StreamWriters {
    pub(super) fn start(shared: &Arc<Shared>, sink: Arc<dyn ClickSink>, runtime: &Handle) -> Self {
        let closing = watch::Sender::new(false);
        let start = |_| {
            // Drawn at each start: what an earlier process had in hand is taken over, and not mistaken for its own.
            let name = new_id(Utc::now()).to_string();
            let writer = Writer::new(shared.clone(), sink.clone(), name.clone(), closing.subscribe());
            (name, runtime.spawn(writer.run()))
        };
        let tasks = (0..shared.config.concurrency).map(start).collect();
        drop(sink);
        Self { shared: shared.clone(), closing, tasks }
    }

    /// Takes no more clicks from the stream, and waits until those in hand are delivered, or the deadline has passed:
    /// what is left then goes back for others to take, for which this waits 1 s beyond the deadline at most.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returned, the writers end where they are.
    pub async fn shutdown(mut self, deadline: Duration) -> StreamReport {
        self.closing.send_replace(true);
        let deadline = Instant::now().checked_add(deadline);
        let mut late = Vec::new();
        for (name, task) in &mut self.tasks {
            let ended = match deadline {
                None => (&mut *task).await.is_ok(),
                Some(deadline) => timeout_at(deadline, &mut *task).await.is_ok_and(|ended| ended.is_ok()),
            };
            if !ended {
                task.abort();
                late.push(&**name);
            }
        }
        let is_finished = late.is_empty();
        // All of them together: while Redis is down, not a second for each.
        let give_back = async {
            let mut are_back = true;
            for name in late {
                are_back &= writer::give_back(&self.shared, name).await.is_ok();
            }
            are_back
        };
        if !matches!(timeout(GIVE_BACK_WITHIN, give_back).await, Ok(true)) {
            let after = self.shared.config.claim_after;
            tracing::warn!(?after, "clicks in hand could not be given back: others take them when they are due");
        }
        let metrics = self.shared.counters.snapshot();
        StreamReport { delivered: metrics.delivered, dead: metrics.dead, is_finished }
    }
}

impl std::fmt::Debug for StreamWriters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriters").field("writers", &self.tasks.len()).finish_non_exhaustive()
    }
}

impl Drop for StreamWriters {
    fn drop(&mut self) {
        for (_, task) in &self.tasks {
            task.abort();
        }
    }
}
