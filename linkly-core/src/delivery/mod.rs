//! Bringing a batch of clicks to a sink that may fail in every way: shared by the recorder and by the
//! queues that stand in front of a store.

use std::any::Any;
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::time::timeout;

use crate::{Click, ClickSink, Error, Result};

mod backoff;
mod bisect;

pub use backoff::Backoff;

use bisect::Bisection;

/// A click that a sink refused for good, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The click. Recording it again is safe.
    pub click: Click,
    /// What the sink said.
    pub error: Error,
    /// How many calls of the sink held it.
    pub tries: u32,
}

/// What one call of the sink, or several that only halved a refused batch, came to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Delivered {
    /// The next so many clicks were acknowledged.
    Written(usize),
    /// The next click was refused for good.
    Dead(Box<DeadLetter>),
    /// A call failed in a way that may pass. Nothing is settled by it: pause
    /// ([`Backoff`]), and ask again.
    Failed(Error),
}

/// One batch on its way to a sink, in order, until each of its clicks is written or refused for good.
///
/// Each [`next`](Self::next) calls the sink and tells what that came to; what is done about it, the
/// pause after a failure included, is the caller's. By its contract a sink refuses a click with
/// [`Error::Refused`] or with what [`Click::check`] found: only then is a batch halved, until the click
/// is alone and a dead letter. A sink that is unavailable, fails, hangs or panics says nothing about a
/// click, and the same part comes again, however often.
///
/// ```
/// use std::time::Duration;
/// use linkly_core::{Click, Code, Delivered, Delivery, MemoryStore, chrono::Utc};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let clicks = [Click::new(Code::new("iii")?, Utc::now())];
/// let mut delivery = Delivery::new(&store, &clicks, Duration::from_secs(10));
/// assert!(matches!(delivery.next().await, Some(Delivered::Written(1))));
/// assert!(delivery.next().await.is_none());
/// # Ok::<(), linkly_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Delivery<'a> {
    sink: &'a dyn ClickSink,
    clicks: &'a [Click],
    limit: Duration,
    bisection: Bisection,
}

impl<'a> Delivery<'a> {
    /// Brings `clicks` to `sink`, each call of which may take as long as `limit`.
    pub fn new(sink: &'a dyn ClickSink, clicks: &'a [Click], limit: Duration) -> Self {
        Self { sink, clicks, limit, bisection: Bisection::new(clicks.len()) }
    }

    /// Calls the sink until there is something to tell; `None` when every click is settled.
    ///
    /// # Cancel safety
    ///
    /// The call may or may not have happened, and the next one repeats it: the delivery goes on with the
    /// first click that was not told of.
    pub async fn next(&mut self) -> Option<Delivered> {
        loop {
            let part = self.bisection.next()?;
            match write(self.sink, &self.clicks[part.range.clone()], self.limit).await {
                Ok(()) => {
                    self.bisection.settle();
                    return Some(Delivered::Written(part.range.len()));
                }
                Err(error) if is_of_the_sink(&error) => {
                    log_failure(&error, part.range.len(), part.tries);
                    return Some(Delivered::Failed(error));
                }
                Err(error) => {
                    let Some(single) = self.bisection.halve() else { continue };
                    let click = self.clicks[single.range.start].clone();
                    log_dead(&click, &error, single.tries);
                    let letter = DeadLetter { click, error, tries: single.tries };
                    return Some(Delivered::Dead(Box::new(letter)));
                }
            }
        }
    }
}

impl fmt::Debug for Delivery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("clicks", &self.clicks.len()).finish_non_exhaustive()
    }
}

/// Whether the error says nothing about the clicks themselves. A failed backend or a missing table is no
/// reason to give up a single click, however long it lasts.
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

fn log_failure(error: &Error, clicks: usize, tries: u32) {
    let source = error as &(dyn std::error::Error + 'static);
    if error.is_transient() {
        tracing::warn!(error = source, clicks, tries, "could not write clicks, will try again");
    } else {
        tracing::error!(error = source, clicks, tries, "cannot write clicks, will try again");
    }
}

fn log_dead(click: &Click, error: &Error, tries: u32) {
    let source = error as &(dyn std::error::Error + 'static);
    tracing::warn!(error = source, id = %click.id, code = %click.code, tries, "a click was refused for good");
}
