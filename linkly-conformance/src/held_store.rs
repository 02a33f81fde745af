//! A store whose reads a case holds between the row and its way back, and which may stand behind a queue of clicks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Bucket, ChangeCursor, Changes, Click, ClickSink, ClickStats, Code, Delete, Deleted, Folding, Insert, Link,
    LinkStore, ListClicks, ListLinks, Maintenance, MemoryStore, Page, PurgeExpired, PurgedClicks, PurgedLinks,
    Reconciled, Result, Series, Size, Target, TimeRange, Top, TopLink, Totals, Update, Use,
};
use tokio::sync::Semaphore;

/// A memory store that answers `targets` late: what it answers may be old by then. Cloning shares the
/// data.
#[derive(Clone, Debug)]
pub(crate) struct HeldStore {
    inner: MemoryStore,
    /// Where clicks go first, if it is not the store.
    queue: Option<Arc<dyn ClickSink>>,
    hold: Arc<Hold>,
}

#[derive(Debug)]
struct Hold {
    next: AtomicBool,
    held: Semaphore,
    released: Semaphore,
    reads: AtomicUsize,
}

impl HeldStore {
    pub(crate) fn new() -> Self {
        let hold = Hold {
            next: AtomicBool::new(false),
            held: Semaphore::new(0),
            released: Semaphore::new(0),
            reads: AtomicUsize::new(0),
        };
        Self { inner: MemoryStore::new(), queue: None, hold: Arc::new(hold) }
    }

    /// `inner`, whose clicks come by way of a queue in front of it.
    pub(crate) fn behind(queue: Arc<dyn ClickSink>, inner: MemoryStore) -> Self {
        Self { inner, queue: Some(queue), ..Self::new() }
    }

    /// Holds the next read when it has its rows.
    pub(crate) fn hold_next_read(&self) {
        self.hold.next.store(true, SeqCst);
    }

    /// Waits until that read has them.
    pub(crate) async fn held(&self) {
        self.hold.held.acquire().await.expect("never closed").forget();
    }

    /// Lets it go on.
    pub(crate) fn release(&self) {
        self.hold.released.add_permits(1);
    }
}

#[async_trait]
impl LinkStore for HeldStore {
    fn folding(&self) -> Folding {
        self.inner.folding()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        self.inner.insert(links).await
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        let targets = self.inner.targets(codes).await?;
        if self.hold.next.swap(false, SeqCst) {
            self.hold.held.add_permits(1);
            self.hold.released.acquire().await.expect("never closed").forget();
        }
        // Others come between a row and its way back, sometimes many.
        for _ in 0..self.hold.reads.fetch_add(1, SeqCst) % 7 {
            tokio::task::yield_now().await;
        }
        Ok(targets)
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        self.inner.get(codes).await
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        self.inner.update(links).await
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        self.inner.delete(links).await
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        self.inner.consume(uses).await
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        self.inner.list(query).await
    }
}

#[async_trait]
impl ClickSink for HeldStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        match &self.queue {
            None => self.inner.record(clicks).await,
            Some(queue) => queue.record(clicks).await,
        }
    }
}

#[async_trait]
impl ClickStats for HeldStore {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        self.inner.totals(codes).await
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        self.inner.series(query).await
    }

    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        self.inner.clicks(query).await
    }

    async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
        self.inner.top(query).await
    }
}

#[async_trait]
impl Maintenance for HeldStore {
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        self.inner.changes(after).await
    }

    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        self.inner.purge_clicks(before, limit).await
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        self.inner.purge_expired(query).await
    }

    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
        self.inner.reconcile(range).await
    }

    async fn optimize(&self) -> Result<()> {
        self.inner.optimize().await
    }

    async fn size(&self) -> Result<Size> {
        self.inner.size().await
    }

    async fn ping(&self) -> Result<()> {
        self.inner.ping().await
    }
}
