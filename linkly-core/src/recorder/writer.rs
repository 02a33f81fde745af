//! The recorder's task: one batch after the other, until it is settled.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::bisect::Bisection;
use super::enrich::Enricher;
use super::ledger::Ended;
use super::queue::Shared;
use super::{DeadLetter, RecorderConfig};
use crate::{Click, ClickSink, Error, Result};

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
    let mut backoff = Backoff::new(&shared.config);
    let mut bisection = Bisection::new(clicks.len());
    while let Some(part) = bisection.next() {
        match write(sink, &clicks[part.range.clone()], shared.config.write_timeout).await {
            Ok(()) => {
                shared.written(part.range.len())?;
                backoff.reset();
            }
            Err(error) if is_of_the_sink(&error) => {
                shared.retried();
                let pause = backoff.next(shared.lock().closed);
                log_retry(&error, part.range.len(), part.tries, pause);
                bisection.again(part);
                // Elapsed, or the recorder is to end and there may be no time to wait.
                _ = timeout(pause, shared.closing.notified()).await;
            }
            Err(error) => {
                let Some(single) = bisection.halve(part) else { continue };
                let click = clicks[single.range.start].clone();
                log_dead(&click, &error, single.tries);
                shared.dead(DeadLetter { click, error, tries: single.tries })?;
            }
        }
    }
    tracing::debug!(clicks = clicks.len(), took = ?started.elapsed(), "wrote a batch of clicks");
    Ok(())
}

/// Whether the error says nothing about the clicks themselves. By its contract a sink refuses a click
/// with `Refused` or with what [`Click::check`] found; a failed backend or a missing table is no reason
/// to give up a single click, however long it lasts.
fn is_of_the_sink(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::Backend { .. } | Error::Schema { .. } | Error::Closed { .. })
}

/// One call of the sink, which may fail, hang or panic.
async fn write(sink: &dyn ClickSink, clicks: &[Click], limit: Duration) -> Result<()> {
    let panicked = |panic: Box<dyn Any + Send>| Err(Error::unavailable("the click sink", panic_reason(&*panic)));
    let call = async {
        // Also a sink that is written without `async_trait` and panics before there is a future.
        let mut call = match catch_unwind(AssertUnwindSafe(|| sink.record(clicks))) {
            Ok(call) => call,
            Err(panic) => return panicked(panic),
        };
        poll_fn(|context| {
            catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)))
                .unwrap_or_else(|panic| panicked(panic).into())
        })
        .await
    };
    let late = |_| Err(Error::unavailable("the click sink", format!("no answer within {limit:?}")));
    timeout(limit, call).await.unwrap_or_else(late)
}

fn panic_reason(panic: &(dyn Any + Send)) -> String {
    let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", message.unwrap_or("without a message"))
}

fn log_retry(error: &Error, clicks: usize, tries: u32, pause: Duration) {
    let source = error as &(dyn std::error::Error + 'static);
    if error.is_transient() {
        tracing::warn!(error = source, clicks, tries, ?pause, "could not write clicks, will try again");
    } else {
        tracing::error!(error = source, clicks, tries, ?pause, "cannot write clicks, will try again");
    }
}

fn log_dead(click: &Click, error: &Error, tries: u32) {
    let source = error as &(dyn std::error::Error + 'static);
    tracing::warn!(error = source, id = %click.id, code = %click.code, tries, "a click was refused for good");
}

/// Exponential backoff with full jitter
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>).
struct Backoff {
    first: Duration,
    most: Duration,
    ceiling: Duration,
}

impl Backoff {
    fn new(config: &RecorderConfig) -> Self {
        Self { first: config.first_backoff, most: config.most_backoff, ceiling: config.first_backoff }
    }

    fn next(&mut self, closing: bool) -> Duration {
        let most = if closing { self.most.min(MOST_CLOSING_BACKOFF) } else { self.most };
        let ceiling = self.ceiling.min(most);
        self.ceiling = ceiling.saturating_mul(2);
        ceiling.mul_f64(rand::random::<f64>())
    }

    fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_random_below_it() {
        let config = RecorderConfig::default();
        for (tries, ceiling) in [(1, 50), (2, 100), (5, 800), (8, 5_000), (60, 5_000)] {
            let mut longest = Duration::ZERO;
            for _ in 0..200 {
                let mut backoff = Backoff::new(&config);
                longest = longest.max((0..tries).map(|_| backoff.next(false)).last().unwrap());
            }
            let ceiling = Duration::from_millis(ceiling);
            assert!(longest <= ceiling && longest > ceiling / 2, "try {tries}: {longest:?}");
        }
        let mut backoff = Backoff::new(&config);
        assert!((0..100).all(|_| backoff.next(true) <= MOST_CLOSING_BACKOFF));
        backoff.reset();
        assert!(backoff.next(false) <= config.first_backoff);
    }
}
