//! A queue in a file of this machine.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, Cursor, Error, MAX_PAGE, Page, Result};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout, timeout_at};

mod config;
mod deliver;
mod error;
mod file;
mod frame;
mod group;
mod letters;
mod medium;
mod metrics;
mod overlay;
mod queue;
mod recent;
mod recovery;
mod salvage;
mod state;
#[cfg(test)]
mod tests;
mod writer;

pub use config::SpoolConfig;
pub use metrics::{SpoolMetrics, SpoolReport};
pub use salvage::Salvage;

use medium::{Folder, Medium};
use queue::Shared;
use state::Order;

use crate::{DeadLetter, Letters};

/// The name in this queue's errors.
const BACKEND: &str = "spool";

/// The longest pause between retries once the spool is to end: its deadline may be near.
const MOST_CLOSING_BACKOFF: Duration = Duration::from_millis(250);

/// How long a shutdown waits for the disk beyond its deadline.
const CLOSED_WITHIN: Duration = Duration::from_secs(5);

/// What the cursors of dead letters begin with.
const CURSOR: &str = "spool/dead/";

fn closed() -> Error {
    Error::Closed { what: "the spool" }
}

/// A durable queue of clicks in a file of this machine, in front of a store.
///
/// [`record`](ClickSink::record) answers once the clicks are on the disk: callers that come at the same
/// time share one commit and its fsync. A task delivers them to the store behind, in order and in batches,
/// for as long as it takes and across restarts of the process. A click leaves the file after the store has
/// acknowledged it. What was delivered and not yet known to be when the process ended is delivered again,
/// and counts once: clicks have ids.
///
/// Cloning gives another handle of the same spool.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use linkly_core::{Click, ClickSinkExt, ClickStatsExt, Code, MemoryStore, chrono::Utc};
/// use linkly_queue::{Spool, SpoolConfig};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clicks.spool");
/// let store = MemoryStore::new();
/// let spool = Spool::open(path, Arc::new(store.clone()), SpoolConfig::default()).await?;
/// spool.record_one(&Click::new(Code::new("iii")?, Utc::now())).await?;
/// // On the disk. Soon after, in the store:
/// spool.flush().await?;
/// assert_eq!(store.total(&Code::new("iii")?).await?.clicks, 1);
///
/// let report = spool.shutdown(Duration::from_secs(5)).await;
/// assert_eq!((report.delivered, report.waiting), (1, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Faults
///
/// - **The store** is unavailable, fails, hangs or panics: the same batch goes again, with exponential
///   backoff and full jitter, without end; the spool fills meanwhile. What it refuses for good becomes a
///   [dead letter](Self::dead_letters), durably, and holds nothing up.
/// - **A commit fails** (the disk is full, or broken): its callers are told, and what it would have written
///   is not tried again. The file is closed, read through redb's recovery, and everything in it that is not
///   delivered moves to a new file: after a failed fsync nobody knows what the disk has of the old one.
///   While no new file can be made, `record` fails and what is there is delivered.
/// - **The file is damaged**: what can be read of it is delivered, the rest is [counted](Self::salvage), the
///   file is renamed and never deleted, and a new one begun.
/// - **The process is killed, the machine loses power**: what was acknowledged is in the file. Both on top of a
///   commit that failed are one fault too many: a process that is killed before the new file is made leaves the old
///   one, which the next reads as the kernel has it, and what the disk did not take is gone with the power.
///
/// # Dropping
///
/// When the last handle is dropped without a shutdown, the thread writes down what it has and closes the
/// file, soon after. What was not delivered is delivered when the spool is opened again. When the
/// runtime ends, deliveries end, and `record` still works.
#[derive(Clone)]
pub struct Spool(Arc<Handles>);

/// Dropped with the last handle.
struct Handles {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Spool {
    /// Opens the spool at that path, and creates file and folder where there are none. Starts a thread that
    /// has the file, and spawns the task that delivers to `sink` on the runtime that this is called in.
    ///
    /// Opening reads the whole file, to find damage: some 0.7 s for a gigabyte. What was in it is
    /// delivered.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] when the [configuration](SpoolConfig::check) cannot work.
    /// - [`Error::Unavailable`] when another process has the spool, or the file cannot be read or written.
    /// - [`Error::Schema`] when there is another file at that path. It is left as it is.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Safe: the file is closed again.
    pub async fn open(path: impl AsRef<Path>, sink: Arc<dyn ClickSink>, config: SpoolConfig) -> Result<Self> {
        config.check()?;
        let path = path.as_ref();
        let folder = Folder::create(path).map_err(|failed| error::Fault::from(failed).into_error(path))?;
        let shared = Shared::new(
            config,
            #[cfg(test)]
            tests::Sabotage::None,
        );
        Self::start(Box::new(folder), sink, shared).await
    }

    async fn start(medium: Box<dyn Medium>, sink: Arc<dyn ClickSink>, shared: Shared) -> Result<Self> {
        let runtime = Handle::current();
        // The task could only panic, later.
        drop(tokio::time::sleep(Duration::ZERO));
        let shared = Arc::new(shared);
        let (opened, answer) = oneshot::channel();
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("linkly-spool".into())
            .spawn(move || writer::run(&of_thread, medium, opened))
            .map_err(|failed| Error::Unavailable {
                backend: BACKEND,
                reason: "its thread cannot be started".into(),
                source: Some(Arc::new(failed)),
            })?;
        answer.await.unwrap_or_else(|_| Err(closed()))?;
        let task = runtime.spawn(deliver::run(Arc::clone(&shared), sink)).abort_handle();
        Ok(Self(Arc::new(Handles { shared, task })))
    }

    /// Waits until every click that was acknowledged before this call is in the store or is a dead
    /// letter. The task starts on them at once.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the spool ended before: the clicks are in the file.
    ///
    /// # Cancel safety
    ///
    /// Safe: the clicks are delivered in any case.
    pub async fn flush(&self) -> Result<()> {
        let shared = &self.0.shared;
        let target = {
            let mut state = shared.lock();
            state.hurry = state.next;
            state.next
        };
        shared.arrived.notify_one();
        let delivered = shared.until(|state| match state.settled >= target {
            true => Some(true),
            false => state.delivery_ended.then_some(false),
        });
        match delivered.await {
            true => Ok(()),
            false => {
                Err(Error::unavailable(BACKEND, "it ended before all clicks were delivered: they are in its file"))
            }
        }
    }

    /// Takes no more clicks in, delivers what it has until `deadline` has passed, and closes the file.
    ///
    /// A store that is unavailable is tried again until then, with pauses of at most 250 ms. A call of it
    /// that has not answered by then is dropped. What is not delivered stays in the file and is delivered
    /// when the spool is opened again. For the last commit and the close this waits 5 s beyond the
    /// deadline at most. Later calls return a report of the same.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Dropped before the deadline, the spool is closed to callers and goes on delivering until another
    /// call of this ends it, or its last handle is dropped.
    pub async fn shutdown(&self, deadline: Duration) -> SpoolReport {
        let Handles { shared, task, .. } = &*self.0;
        shared.close();
        let delivered = shared.until(|state| state.delivery_ended.then_some(()));
        match Instant::now().checked_add(deadline) {
            None => delivered.await,
            Some(deadline) => _ = timeout_at(deadline, delivered).await,
        }
        task.abort();
        shared.finish();
        _ = timeout(CLOSED_WITHIN, shared.until(|state| state.file_closed.then_some(()))).await;
        let SpoolMetrics { delivered, dead, depth, dropped, .. } = shared.metrics();
        let is_closed = shared.lock().file_closed;
        if depth > 0 {
            tracing::info!(clicks = depth, "the spool was shut down with clicks in its file");
        }
        SpoolReport { delivered, dead, waiting: depth, dropped, is_closed }
    }

    /// What the spool holds and what it did. Takes a lock for a moment, and reads no file.
    pub fn metrics(&self) -> SpoolMetrics {
        self.0.shared.metrics()
    }

    /// What came of the file when it was last found damaged: when it was opened, or since. Each time is also logged.
    pub fn salvage(&self) -> Option<Salvage> {
        self.0.shared.lock().salvage.clone()
    }

    /// A page of the clicks that the store refused for good, the earliest clicks first; at most 1,000.
    /// Those that were written by a later release are left out.
    ///
    /// # Errors
    ///
    /// - [`Error::InvalidInput`] for a cursor of something else.
    /// - [`Error::Unavailable`] when the file cannot be read, [`Error::Closed`] after a shutdown.
    pub async fn dead_letters(&self, limit: u32, after: Option<&Cursor>) -> Result<Page<DeadLetter>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|cursor| {
            let id = cursor.as_str().strip_prefix(CURSOR).and_then(|id| id.parse().ok());
            id.ok_or_else(|| Error::invalid("cursor", "it is not one of a spool's dead letters"))
        });
        let after = after.transpose()?;
        let letters = self.0.shared.order(|reply| Order::List { after, limit: limit as usize + 1, reply }).await?;
        Ok(Page::from_one_more(letters, limit, |letter| format!("{CURSOR}{}", letter.click.id)))
    }

    /// Puts dead letters back among the clicks: they are delivered behind those that wait. Returns how
    /// many. For when what the store minded is mended.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the file cannot be written, [`Error::Closed`] after a shutdown. Some may
    /// have been put back then; calling again is safe.
    ///
    /// # Cancel safety
    ///
    /// Dropped once polled, it is done all the same.
    pub async fn replay(&self, which: Letters) -> Result<u64> {
        self.0.shared.order(|reply| Order::Replay { which, reply }).await
    }

    /// Deletes dead letters, and with them their clicks. Returns how many.
    ///
    /// # Errors
    ///
    /// As [`replay`](Self::replay).
    ///
    /// # Cancel safety
    ///
    /// Dropped once polled, it is done all the same.
    pub async fn purge(&self, which: Letters) -> Result<u64> {
        self.0.shared.order(|reply| Order::Purge { which, reply }).await
    }
}

/// `Ok` once the clicks are in the file, on the disk.
///
/// # Errors
///
/// - [`Error::InvalidInput`] for a click that no store would take ([`Click::check`]), before anything
///   is written.
/// - [`Error::Unavailable`] at the limit ([`AtLimit::Refuse`](crate::AtLimit::Refuse)), and when the commit failed. It may have
///   happened all the same; recording again is safe.
/// - [`Error::Refused`] for clicks that together are larger than the limit.
/// - [`Error::Closed`] after a shutdown.
///
/// # Cancel safety
///
/// The clicks are taken in by the first poll that finds room. Dropping the future later does not take
/// them back. Dropped while it waits for room, it has recorded nothing.
#[async_trait]
impl ClickSink for Spool {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        self.0.shared.record(clicks).await
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.finish();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("config", &self.0.shared.config)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
