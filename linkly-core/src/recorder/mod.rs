//! The click recorder: between a redirect, which must not wait, and a [`ClickSink`], which takes its
//! time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use crate::{ClickSink, DeadLetter, Error, Result};

mod bots;
mod capture;
mod config;
mod dead_letters;
mod enrich;
mod group;
mod ledger;
mod metrics;
mod pace;
mod queue;
mod referrer;
mod user_agent;
mod visitor;
mod writer;

#[cfg(test)]
mod tests;

pub use capture::Capture;
pub use config::{Acknowledge, Overflow, RecorderConfig};
pub use metrics::{RecorderMetrics, RecorderReport};
pub use user_agent::is_bot;
pub use visitor::VisitorHash;

pub(crate) use group::Ticket;
use queue::{Pushed, Shared};

/// The recorder's name in errors.
const NAME: &str = "the click recorder";

fn closed() -> Error {
    Error::Closed { what: NAME }
}

/// Records clicks behind the redirects: a bounded queue, and a task that writes what is in it to a
/// [`ClickSink`], in batches and in order, one call at a time.
///
/// Cloning gives another handle of the same recorder.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use linkly_core::{Capture, Code, MemoryStore, Recorder, RecorderConfig, chrono::Utc};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> linkly_core::Result<()> {
/// let runtime = tokio::runtime::Handle::current();
/// let recorder = Recorder::start(Arc::new(MemoryStore::new()), RecorderConfig::default(), &runtime)?;
/// recorder.record(Capture::new(Code::new("iii")?, Utc::now()).with_user_agent("curl/8.5.0")).await?;
/// let report = recorder.shutdown(Duration::from_secs(5)).await;
/// assert_eq!((report.written, report.not_written), (1, 0));
/// # Ok(())
/// # }
/// ```
///
/// # What becomes of a click
///
/// Each click that [`record`](Self::record) has taken in gets its id once, before the first call of the
/// sink, and is then written, or dead, or reported as not written:
///
/// - A sink that is unavailable, fails, hangs for longer than
///   [`write_timeout`](RecorderConfig::write_timeout) or panics gets the same clicks again, with the
///   same ids, after a pause (exponential backoff with full jitter), for as long as it takes. Nothing
///   is given up and nothing overtakes; the queue fills meanwhile.
/// - A batch that the sink refuses for a click's sake ([`Error::Refused`], or what
///   [`Click::check`](crate::Click::check) found) is halved until the click is alone. It goes to the
///   [dead letters](Self::dead_letters), all others are written.
/// - With [`Overflow::Spill`], what there is no time for goes to a second sink.
/// - [`shutdown`](Self::shutdown) writes what it can by its deadline and gives the rest back.
///
/// # When a batch is written
///
/// With [`Acknowledge::Enqueued`], once it is full or its first capture has waited for
/// [`flush_interval`](RecorderConfig::flush_interval); and at once while there were few batches
/// [lately](RecorderConfig::at_once), so that a click that comes alone does not wait. With [`Acknowledge::Durable`], at once when no
/// batch is in flight; what comes meanwhile makes up the next one. An idle recorder does nothing.
///
/// # Dropping
///
/// When the last handle is dropped without a shutdown, the task writes what it has, for at most
/// [`drain_timeout`](RecorderConfig::drain_timeout), and ends. What it could not write by then is lost,
/// and logged as a number. When the runtime ends under it, all that waits is lost at once.
#[derive(Clone)]
pub struct Recorder(Arc<Handles>);

/// Dropped with the last handle.
struct Handles {
    shared: Arc<Shared>,
    runtime: Handle,
    task: AbortHandle,
}

impl Recorder {
    /// Starts a recorder in front of `sink`: spawns its one task on `runtime`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the [configuration](RecorderConfig::check) cannot work, and for
    /// [`Overflow::Spill`]: [`start_with_spill`](Self::start_with_spill) says where to.
    ///
    /// # Panics
    ///
    /// When time is not enabled in `runtime`.
    pub fn start(sink: Arc<dyn ClickSink>, config: RecorderConfig, runtime: &Handle) -> Result<Self> {
        if config.overflow == Overflow::Spill {
            return Err(Error::invalid("recorder overflow", "there is nothing to spill to"));
        }
        Self::spawn(sink, None, config, runtime)
    }

    /// The same, with a second sink for when the first cannot keep up ([`Overflow::Spill`]): a durable queue
    /// on this machine, in front of the same store. What went to it comes to the store later than what
    /// was recorded after it, and may come twice, with the same ids.
    ///
    /// ```
    /// use std::{sync::Arc, time::Duration};
    /// use linkly_core::{MemoryStore, Overflow, Recorder, RecorderConfig};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> linkly_core::Result<()> {
    /// # let (store, spool) = (Arc::new(MemoryStore::new()), Arc::new(MemoryStore::new()));
    /// let config = RecorderConfig::default().with_overflow(Overflow::Spill);
    /// let runtime = tokio::runtime::Handle::current();
    /// let recorder = Recorder::start_with_spill(store, spool, config, &runtime)?;
    /// # recorder.shutdown(Duration::ZERO).await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and [`Error::InvalidInput`] with another overflow.
    ///
    /// # Panics
    ///
    /// When time is not enabled in `runtime`.
    pub fn start_with_spill(
        sink: Arc<dyn ClickSink>,
        spill: Arc<dyn ClickSink>,
        config: RecorderConfig,
        runtime: &Handle,
    ) -> Result<Self> {
        if config.overflow != Overflow::Spill {
            return Err(Error::invalid("recorder overflow", "it is not spill, and there is something to spill to"));
        }
        Self::spawn(sink, Some(spill), config, runtime)
    }

    fn spawn(
        sink: Arc<dyn ClickSink>,
        spill: Option<Arc<dyn ClickSink>>,
        config: RecorderConfig,
        runtime: &Handle,
    ) -> Result<Self> {
        config.check()?;
        {
            // The task could only panic, later.
            let _inside = runtime.enter();
            drop(tokio::time::sleep(Duration::ZERO));
        }
        let shared = Arc::new(Shared::new(config));
        let task = runtime.spawn(writer::run(Arc::clone(&shared), sink, spill)).abort_handle();
        Ok(Self(Arc::new(Handles { shared, runtime: runtime.clone(), task })))
    }

    /// Records a click.
    ///
    /// With [`Acknowledge::Enqueued`] this does not wait, but for room in a full queue where the
    /// overflow is not [`Overflow::DropNewest`]. With [`Acknowledge::Durable`] it waits until the click is
    /// written, and for as long as the sink is unavailable: set a timeout where that is too long.
    ///
    /// # Errors
    ///
    /// - [`Error::Closed`] once the recorder was shut down: the click is not recorded.
    /// - [`Error::Unavailable`] with `Durable`: the queue is full and the click was dropped
    ///   ([`Overflow::DropNewest`]), or the recorder ended before the click was known to be written.
    ///   With `Enqueued` a dropped click is no error, only [counted](RecorderMetrics::dropped).
    /// - With `Durable` the sink's error, if the click was refused for good and is a dead letter now.
    ///
    /// # Cancel safety
    ///
    /// The click is taken in by the first poll that finds room. Dropping the future later does not take
    /// it back: it will be written. Dropped while it waits for room, it has recorded nothing.
    pub async fn record(&self, capture: Capture<'_>) -> Result<()> {
        let shared = &self.0.shared;
        let ticket = match shared.push(capture) {
            Pushed::Queued(ticket) => ticket,
            Pushed::Full(capture) => shared.push_when_there_is_room(capture).await?,
            Pushed::Dropped => {
                return match shared.config.acknowledge {
                    Acknowledge::Enqueued => Ok(()),
                    Acknowledge::Durable => Err(Error::unavailable(NAME, "its queue is full")),
                };
            }
            Pushed::Closed => return Err(closed()),
        };
        match ticket {
            None => Ok(()),
            Some(ticket) => ticket.wait().await,
        }
    }

    /// Records a click where that needs no waiting: the ticket is for those who wait until it is durable.
    /// `None`, and nothing has happened, where it does.
    pub(crate) fn record_at_once(&self, capture: &Capture<'_>) -> Option<Option<Ticket>> {
        self.0.shared.push_if_room(capture)
    }

    /// Whether clicks are taken in.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.0.shared.lock().closed { Err(closed()) } else { Ok(()) }
    }

    /// Waits until every click that was taken in before this call is written or is a dead letter. The
    /// task starts on them at once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the recorder ended before.
    ///
    /// # Cancel safety
    ///
    /// Safe: the clicks are written in any case.
    pub async fn flush(&self) -> Result<()> {
        let enqueued = self.0.shared.hurry();
        self.0.shared.settled(enqueued).await
    }

    /// Takes no more clicks in, writes what it has and ends, at the latest when `deadline` has passed.
    ///
    /// A sink that is unavailable is tried again until then, with pauses of at most 250 ms. A call that
    /// has not answered by then is dropped, and its clicks, which may have been written, are among the
    /// [unwritten](RecorderReport::unwritten). A queue that could not be written takes about a
    /// microsecond a click to be turned into the report, on top of the deadline. Later calls return the
    /// same report.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Safe: the recorder ends by the deadline all the same, and another call returns its report.
    pub async fn shutdown(&self, deadline: Duration) -> RecorderReport {
        let Handles { shared, .. } = &*self.0;
        shared.close();
        let report = match Instant::now().checked_add(deadline) {
            None => shared.ended().await,
            Some(deadline) => {
                self.0.end_at(deadline);
                // A runtime that a sink has blocked would not come to its own timer.
                if let Ok(report) = timeout_at(deadline, shared.ended()).await {
                    report
                } else {
                    self.0.end();
                    shared.ended().await
                }
            }
        };
        RecorderReport::clone(&report)
    }

    /// What the recorder holds and what it did. Takes the queue's lock for a moment.
    pub fn metrics(&self) -> RecorderMetrics {
        self.0.shared.metrics()
    }

    /// The clicks that the sink refused for good: the last
    /// [so many](RecorderConfig::dead_letters), the oldest first.
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.0.shared.lock().dead_letters.to_vec()
    }

    /// The same, and they are kept no more: for those who look after them.
    pub fn take_dead_letters(&self) -> Vec<DeadLetter> {
        self.0.shared.lock().dead_letters.take()
    }
}

impl Handles {
    /// Ends the recorder now.
    fn end(&self) {
        self.shared.end();
        self.task.abort();
    }

    /// Ends the recorder at that time, unless it has ended by then.
    fn end_at(&self, deadline: Instant) {
        let (shared, task) = (Arc::clone(&self.shared), self.task.clone());
        self.runtime.spawn(async move {
            if timeout_at(deadline, shared.ended()).await.is_err() {
                shared.end();
                task.abort();
            }
        });
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        let was_open = self.shared.close();
        if let Some(deadline) = Instant::now().checked_add(self.shared.config.drain_timeout)
            && was_open
        {
            self.end_at(deadline);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("config", &self.0.shared.config)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
