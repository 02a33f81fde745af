//! One stream of clicks into two sinks, of which one matters.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, Delivered, Delivery, Error, Result};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How long one call of the feed may take.
const FEED_TIMEOUT: Duration = Duration::from_secs(10);

/// The most clicks of one call of the feed.
const FEED_BATCH: usize = 1_000;

/// A sink that hands clicks to a store, and those that the store has to a live feed as well.
///
/// The feed never holds up the store. It gets its clicks from a bounded buffer, by a task of its own; what
/// does not fit in is [missed](TeeMetrics::missed), and so is what a call of it that failed had. It
/// gets clicks in the order in which the store acknowledged them, and a click that a queue in front delivers
/// twice comes twice, with the same id.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use linkly_core::{Click, ClickSinkExt, ClickStatsExt, Code, MemoryStore, chrono::Utc};
/// use linkly_queue::{Spool, SpoolConfig, Tee};
///
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clicks.spool");
/// # let (store, feed) = (MemoryStore::new(), MemoryStore::new());
/// let tee = Tee::start(Arc::new(store.clone()), Arc::new(feed), 10_000, &tokio::runtime::Handle::current())?;
/// // One queue in front of both.
/// let spool = Spool::open(path, Arc::new(tee.clone()), SpoolConfig::default()).await?;
/// spool.record_one(&Click::new(Code::new("iii")?, Utc::now())).await?;
/// spool.flush().await?;
/// assert_eq!(store.total(&Code::new("iii")?).await?.clicks, 1);
/// # spool.shutdown(Duration::from_secs(5)).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Tee(Arc<Handles>);

/// Dropped with the last handle.
struct Handles {
    store: Arc<dyn ClickSink>,
    buffer: mpsc::Sender<Click>,
    counts: Arc<Counts>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Counts {
    fed: AtomicU64,
    missed: AtomicU64,
}

/// What a feed got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TeeMetrics {
    /// Clicks that the feed has acknowledged.
    pub fed: u64,
    /// Clicks that it did not get: the buffer was full, or its call failed.
    pub missed: u64,
    /// Clicks in the buffer.
    pub waiting: usize,
}

impl Tee {
    /// Starts a tee whose buffer in front of the feed has room for so many clicks: spawns its one task on
    /// `runtime`. The task ends with the last handle.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when `buffer` is zero.
    pub fn start(store: Arc<dyn ClickSink>, feed: Arc<dyn ClickSink>, buffer: usize, runtime: &Handle) -> Result<Self> {
        if buffer == 0 {
            return Err(Error::invalid("tee buffer", "it is zero"));
        }
        let (buffer, waiting) = mpsc::channel(buffer);
        let counts = Arc::new(Counts::default());
        let task = runtime.spawn(supply(waiting, feed, Arc::clone(&counts))).abort_handle();
        Ok(Self(Arc::new(Handles { store, buffer, counts, task })))
    }

    /// What the feed got.
    pub fn metrics(&self) -> TeeMetrics {
        let Handles { buffer, counts, .. } = &*self.0;
        TeeMetrics {
            fed: counts.fed.load(Ordering::Relaxed),
            missed: counts.missed.load(Ordering::Relaxed),
            waiting: buffer.max_capacity() - buffer.capacity(),
        }
    }
}

/// Brings to the feed what is in the buffer.
async fn supply(mut waiting: mpsc::Receiver<Click>, feed: Arc<dyn ClickSink>, counts: Arc<Counts>) {
    let mut clicks = Vec::new();
    while waiting.recv_many(&mut clicks, FEED_BATCH).await > 0 {
        let mut left = clicks.len() as u64;
        let mut delivery = Delivery::new(&*feed, &clicks, FEED_TIMEOUT);
        while let Some(delivered) = delivery.next().await {
            match delivered {
                Delivered::Written(count) => {
                    counts.fed.fetch_add(count as u64, Ordering::Relaxed);
                    left -= count as u64;
                }
                Delivered::Dead(_) => {
                    counts.missed.fetch_add(1, Ordering::Relaxed);
                    left -= 1;
                }
                // What is not live is of no use to a live feed.
                _ => break,
            }
        }
        counts.missed.fetch_add(left, Ordering::Relaxed);
        clicks.clear();
    }
}

/// `Ok` once the store has the clicks, whatever becomes of the feed; the store's errors.
///
/// # Cancel safety
///
/// The store's. Dropped after the store had the clicks, the feed may not have got them.
#[async_trait]
impl ClickSink for Tee {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        let Handles { store, buffer, counts, .. } = &*self.0;
        store.record(clicks).await?;
        let fit = clicks.iter().take_while(|click| buffer.try_send((*click).clone()).is_ok()).count();
        counts.missed.fetch_add((clicks.len() - fit) as u64, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Tee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tee").field("store", &self.0.store).field("metrics", &self.metrics()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use linkly_core::chrono::Utc;
    use linkly_core::{ClickStatsExt, Code, MemoryStore};
    use tokio::sync::watch;

    use super::*;

    /// A feed that answers to order, and the ids that it got.
    #[derive(Debug)]
    struct Feed {
        answers: fn() -> Result<()>,
        hangs: bool,
        got: Mutex<Vec<linkly_core::Uuid>>,
        calls: watch::Sender<usize>,
    }

    impl Feed {
        fn new(hangs: bool, answers: fn() -> Result<()>) -> Arc<Self> {
            Arc::new(Self { answers, hangs, got: Mutex::default(), calls: watch::Sender::new(0) })
        }

        async fn called(&self) {
            self.calls.subscribe().wait_for(|calls| *calls > 0).await.unwrap();
        }
    }

    #[async_trait]
    impl ClickSink for Feed {
        async fn record(&self, clicks: &[Click]) -> Result<()> {
            self.calls.send_modify(|calls| *calls += 1);
            if self.hangs {
                std::future::pending::<()>().await;
            }
            (self.answers)()?;
            self.got.lock().unwrap().extend(clicks.iter().map(|click| click.id));
            Ok(())
        }
    }

    fn code() -> Code {
        Code::new("a").unwrap()
    }

    fn clicks(count: usize) -> Vec<Click> {
        (0..count).map(|_| Click::new(code(), Utc::now())).collect()
    }

    fn tee(store: &MemoryStore, feed: &Arc<Feed>, buffer: usize) -> Tee {
        Tee::start(Arc::new(store.clone()), feed.clone(), buffer, &Handle::current()).unwrap()
    }

    async fn until(tee: &Tee, is: impl Fn(TeeMetrics) -> bool) {
        let reached = async {
            while !is(tee.metrics()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap();
    }

    #[tokio::test]
    async fn store_and_feed_get_every_click_in_order() {
        let (store, feed) = (MemoryStore::new(), Feed::new(false, || Ok(())));
        let tee = tee(&store, &feed, 5_000);
        let clicks = clicks(3_000);
        for some in clicks.chunks(70) {
            tee.record(some).await.unwrap();
        }
        until(&tee, |metrics| metrics.fed == 3_000).await;
        assert_eq!(*feed.got.lock().unwrap(), clicks.iter().map(|click| click.id).collect::<Vec<_>>());
        assert_eq!((store.total(&code()).await.unwrap().clicks, tee.metrics().missed), (3_000, 0));
    }

    #[tokio::test]
    async fn a_feed_that_hangs_holds_up_no_store_and_misses_what_does_not_fit() {
        let (store, feed) = (MemoryStore::new(), Feed::new(true, || Ok(())));
        let tee = tee(&store, &feed, 100);
        tee.record(&clicks(1)).await.unwrap();
        feed.called().await;
        tee.record(&clicks(500)).await.unwrap();
        assert_eq!(store.total(&code()).await.unwrap().clicks, 501);
        assert_eq!(tee.metrics(), TeeMetrics { fed: 0, missed: 400, waiting: 100 });
    }

    #[tokio::test]
    async fn a_feed_that_fails_or_panics_misses_its_clicks_and_gets_the_next() {
        let answers: [fn() -> Result<()>; 2] =
            [|| Err(Error::unavailable("feed", "away")), || panic!("the feed's own mistake")];
        for answer in answers {
            let (store, feed) = (MemoryStore::new(), Feed::new(false, answer));
            let tee = tee(&store, &feed, 100);
            tee.record(&clicks(5)).await.unwrap();
            until(&tee, |metrics| metrics.missed == 5).await;
            tee.record(&clicks(2)).await.unwrap();
            until(&tee, |metrics| metrics.missed == 7).await;
            assert_eq!(store.total(&code()).await.unwrap().clicks, 7);
        }
    }

    #[tokio::test]
    async fn what_the_store_refused_is_not_fed() {
        let (store, feed) = (MemoryStore::new(), Feed::new(false, || Ok(())));
        let tee = tee(&store, &feed, 100);
        let mut bad = clicks(1);
        bad[0].referrer = Some("a\0b".into());
        tee.record(&bad).await.unwrap_err();
        tee.record(&clicks(1)).await.unwrap();
        until(&tee, |metrics| metrics.fed == 1).await;
        assert_eq!(tee.metrics().missed, 0);
    }
}
