//! The recorder's task: one batch after the other, until it is settled.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::enrich::Enricher;
use super::ledger::Ended;
use super::queue::Shared;
use crate::{Backoff, Click, ClickSink, Delivered, Delivery, Result};

/// The longest pause between retries once the recorder is to end: its deadline may be near.
const MOST_CLOSING_BACKOFF: Duration = Duration::from_millis(250);

/// Runs until the queue is closed and empty, or the recorder was ended.
pub(super) async fn run(shared: Arc<Shared>, sink: Arc<dyn ClickSink>) {
    // Also when the runtime is shut down under this task: nobody may wait for it then.
    let _end = EndOnDrop(&shared);
    let mut enricher = Enricher::new(shared.config.visitor_hash.clone());
    // Used again for every batch: at 200 KB it is more than an allocator keeps at hand.
    let mut spare = Vec::new();
    while let Some(chunk) = shared.next().await {
        enricher.append(&chunk, &mut spare);
        let clicks = Arc::new(std::mem::take(&mut spare));
        let delivered = match shared.enriched(&clicks, chunk) {
            Ok(()) => deliver(&shared, &*sink, &clicks).await,
            ended => ended,
        };
        if let Err(Ended) = delivered {
            return;
        }
        if let Some(settled) = Arc::into_inner(clicks) {
            spare = settled;
            spare.clear();
        }
    }
}

struct EndOnDrop<'a>(&'a Shared);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Settles every click of a batch.
async fn deliver(shared: &Shared, sink: &dyn ClickSink, clicks: &[Click]) -> Result<(), Ended> {
    let started = Instant::now();
    let config = &shared.config;
    let mut backoff = Backoff::new(config.first_backoff, config.most_backoff);
    let mut delivery = Delivery::new(sink, clicks, config.write_timeout);
    while let Some(delivered) = delivery.next().await {
        match delivered {
            Delivered::Written(count) => {
                shared.written(count)?;
                backoff.reset();
            }
            Delivered::Dead(letter) => shared.dead(*letter)?,
            Delivered::Failed(_) => {
                shared.retried();
                let limit = if shared.lock().closed { MOST_CLOSING_BACKOFF } else { Duration::MAX };
                // Elapsed, or the recorder is to end and there may be no time to wait.
                _ = timeout(backoff.pause_within(limit), shared.closing.notified()).await;
            }
        }
    }
    tracing::debug!(clicks = clicks.len(), took = ?started.elapsed(), "wrote a batch of clicks");
    Ok(())
}
