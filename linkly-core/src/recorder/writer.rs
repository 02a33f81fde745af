//! The recorder's task: one batch after the other, until it is settled.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::enrich::Enricher;
use super::ledger::Ended;
use super::queue::Shared;
use crate::{Backoff, Click, ClickSink, Delivered, Delivery, Result};

/// The longest pause between retries once the recorder is to end: its deadline may be near.
const MOST_CLOSING_BACKOFF: Duration = Duration::from_millis(250);

/// Runs until the queue is closed and empty, or the recorder was ended.
pub(super) fn run(
    shared: Arc<Shared>,
    sink: Arc<dyn ClickSink>,
    spill: Option<Arc<dyn ClickSink>>,
) -> impl Future<Output = ()> + Send {
    // Also when the runtime is shut down under this task, or before it: nobody may wait for it then.
    let end = EndOnDrop(shared);
    async move {
        let shared = &*end.0;
        let mut enricher = Enricher::new(shared.config.visitor_hash.clone());
        // Used again for every batch: at 200 KB it is more than an allocator keeps at hand.
        let mut spare = Vec::new();
        while let Some(chunk) = shared.next().await {
            enricher.append(&chunk, &mut spare);
            let clicks = Arc::new(std::mem::take(&mut spare));
            let delivered = match shared.enriched(&clicks, chunk) {
                Ok(()) => deliver(shared, &*sink, spill.as_deref(), &clicks).await,
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
}

struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Settles every click of a batch.
async fn deliver(
    shared: &Shared,
    sink: &dyn ClickSink,
    spill: Option<&dyn ClickSink>,
    clicks: &[Click],
) -> Result<(), Ended> {
    let started = Instant::now();
    let backoff = Backoff::new(shared.config.first_backoff, shared.config.most_backoff);
    let mut batch = Batch { shared, left: clicks, backoff };
    match spill {
        None => batch.bring(To::Sink(sink), Patience::Endless).await?,
        Some(spill) => {
            while !batch.left.is_empty() {
                if !shared.is_pressed() {
                    batch.bring(To::Sink(sink), Patience::UntilPressed).await?;
                }
                batch.bring(To::Spill(spill), Patience::OneFailure).await?;
                // The second sink is not well either: the first has its full time for a call.
                batch.bring(To::Sink(sink), Patience::OneFailure).await?;
            }
        }
    }
    tracing::debug!(clicks = clicks.len(), took = ?started.elapsed(), "wrote a batch of clicks");
    Ok(())
}

#[derive(Clone, Copy)]
enum To<'a> {
    Sink(&'a dyn ClickSink),
    Spill(&'a dyn ClickSink),
}

/// How long a sink is tried.
#[derive(Clone, Copy)]
enum Patience {
    Endless,
    /// Until the queue has no time for it.
    UntilPressed,
    OneFailure,
}

/// A batch on its way.
struct Batch<'a> {
    shared: &'a Shared,
    /// What is not settled.
    left: &'a [Click],
    backoff: Backoff,
}

impl Batch<'_> {
    /// Brings what is left to a sink, for as long as there is patience with it.
    async fn bring(&mut self, to: To<'_>, patience: Patience) -> Result<(), Ended> {
        let (To::Sink(sink) | To::Spill(sink)) = to;
        let shared = self.shared;
        let mut delivery = Delivery::new(sink, self.left, shared.config.write_timeout);
        while !self.left.is_empty() {
            let delivered = match patience {
                Patience::UntilPressed => unless_pressed(shared, delivery.next()).await.flatten(),
                Patience::Endless | Patience::OneFailure => delivery.next().await,
            };
            match delivered {
                Some(Delivered::Written(count)) => {
                    match to {
                        To::Sink(_) => shared.written(count)?,
                        To::Spill(_) => shared.spilled(count)?,
                    }
                    self.left = &self.left[count..];
                    self.backoff.reset();
                }
                Some(Delivered::Dead(letter)) => {
                    shared.dead(*letter)?;
                    self.left = &self.left[1..];
                }
                Some(Delivered::Failed(_)) => {
                    shared.retried();
                    self.pause(patience).await;
                    match patience {
                        Patience::Endless => {}
                        Patience::UntilPressed if !shared.is_pressed() => {}
                        Patience::UntilPressed | Patience::OneFailure => return Ok(()),
                    }
                }
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Waits before a retry. Ends early when the recorder is to end and there may be no time to wait.
    async fn pause(&mut self, patience: Patience) {
        let limit = if self.shared.lock().closed { MOST_CLOSING_BACKOFF } else { Duration::MAX };
        let pause = self.backoff.pause_within(limit);
        _ = match patience {
            Patience::UntilPressed => timeout(pause, self.shared.pressed()).await,
            Patience::Endless | Patience::OneFailure => timeout(pause, self.shared.closing.notified()).await,
        };
    }
}

/// What the call comes to; `None` when the queue has no time for it.
async fn unless_pressed<T>(shared: &Shared, call: impl Future<Output = T>) -> Option<T> {
    let (mut call, mut pressed) = (pin!(call), pin!(shared.pressed()));
    poll_fn(|context| match call.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => pressed.as_mut().poll(context).map(|()| None),
    })
    .await
}
