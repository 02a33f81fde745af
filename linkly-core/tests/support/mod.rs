//! A store that does what a test tells it: waits, fails, panics.

#![allow(dead_code)] // Each test binary uses a part of it.

pub(crate) mod deaf_cache;
mod map_cache;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Bucket, ChangeCursor, Changes, Click, ClickSink, ClickStats, Code, Delete, Deleted, Error, Folding, Insert, Link,
    LinkStore, ListClicks, ListLinks, Maintenance, MemoryStore, Page, PurgeExpired, PurgedClicks, PurgedLinks,
    Reconciled, Resolution, Result, Series, Size, Target, TargetParts, TimeRange, Top, TopLink, Totals, Update, Use,
    Uuid,
};
use tokio::sync::Notify;

pub(crate) use map_cache::MapCache;

/// Where a resolve led; panics when it led nowhere.
#[track_caller]
pub(crate) fn url(resolution: Result<Resolution>) -> String {
    match resolution {
        Ok(Resolution::Found(target)) => target.url().to_owned(),
        other => panic!("not found: {other:?}"),
    }
}

/// Where calls of one kind wait until the test lets them go on.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    arrived: AtomicUsize,
    arrivals: Notify,
    opened: Notify,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.opened.notify_waiters();
    }

    /// Waits until so many calls have come to the gate, since the test began.
    pub(crate) async fn arrived(&self, calls: usize) {
        loop {
            let arrival = self.arrivals.notified();
            tokio::pin!(arrival);
            arrival.as_mut().enable();
            if self.arrived.load(Ordering::SeqCst) >= calls {
                return;
            }
            arrival.await;
        }
    }

    pub(crate) async fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.arrivals.notify_waiters();
        loop {
            let opened = self.opened.notified();
            tokio::pin!(opened);
            opened.as_mut().enable();
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            opened.await;
        }
    }
}

/// What a call does instead of its work, or after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Fails without doing anything; the same call may succeed later.
    Unavailable,
    /// Does its work and fails all the same: the answer is lost.
    AnswerLost,
    /// Fails for good.
    Broken,
    Panic,
}

#[derive(Debug, Default)]
pub(crate) struct Controls {
    /// `targets` waits here before it reads.
    pub(crate) before_read: Gate,
    /// `targets` waits here after it has read.
    pub(crate) after_read: Gate,
    /// `insert`, `update` and `delete` wait here before they write.
    pub(crate) before_write: Gate,
    /// `consume` waits here before it grants.
    pub(crate) before_consume: Gate,
    /// The codes of each call of `targets`.
    pub(crate) reads: Mutex<Vec<Vec<Code>>>,
    pub(crate) writes: AtomicUsize,
    pub(crate) consumes: AtomicUsize,
    pub(crate) polls: AtomicUsize,
    /// A code whose row another program wrote: its URL cannot be a header.
    pub(crate) unfit: Mutex<Option<Code>>,
    /// What the following reads do, the last one for ever.
    pub(crate) read_faults: Mutex<Vec<Fault>>,
    pub(crate) write_faults: Mutex<Vec<Fault>>,
    pub(crate) consume_faults: Mutex<Vec<Fault>>,
    pub(crate) poll_faults: Mutex<Vec<Fault>>,
}

#[derive(Clone, Debug)]
pub(crate) struct TestStore {
    pub(crate) inner: MemoryStore,
    pub(crate) controls: Arc<Controls>,
}

impl TestStore {
    pub(crate) fn new() -> Self {
        Self::over(MemoryStore::new())
    }

    pub(crate) fn over(inner: MemoryStore) -> Self {
        Self { inner, controls: Arc::default() }
    }

    /// How many calls of `targets` there were.
    pub(crate) fn reads(&self) -> usize {
        self.controls.reads.lock().unwrap().len()
    }

    pub(crate) fn fail_reads(&self, with: Option<Fault>) {
        *self.controls.read_faults.lock().unwrap() = with.into_iter().cycle().take(1_000).collect();
    }
}

fn next(faults: &Mutex<Vec<Fault>>) -> Option<Fault> {
    faults.lock().unwrap().pop()
}

fn before(fault: Option<Fault>) -> Result<()> {
    match fault {
        Some(Fault::Unavailable) => Err(Error::unavailable("test", "as told")),
        Some(Fault::Broken) => Err(Error::Backend { backend: "test", reason: "as told".into(), source: None }),
        Some(Fault::Panic) => panic!("as told"),
        Some(Fault::AnswerLost) | None => Ok(()),
    }
}

fn after<T>(fault: Option<Fault>, answer: T) -> Result<T> {
    match fault {
        Some(Fault::AnswerLost) => Err(Error::unavailable("test", "the answer is lost")),
        _ => Ok(answer),
    }
}

#[async_trait]
impl LinkStore for TestStore {
    fn folding(&self) -> Folding {
        self.inner.folding()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        self.controls.writes.fetch_add(1, Ordering::SeqCst);
        self.controls.before_write.pass().await;
        let fault = next(&self.controls.write_faults);
        before(fault)?;
        after(fault, self.inner.insert(links).await?)
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        self.controls.reads.lock().unwrap().push(codes.to_vec());
        self.controls.before_read.pass().await;
        let fault = next(&self.controls.read_faults);
        before(fault)?;
        let mut targets = self.inner.targets(codes).await?;
        let unfit = self.controls.unfit.lock().unwrap().clone();
        for (code, target) in codes.iter().zip(&mut targets) {
            if unfit.as_ref() == Some(code) {
                *target = Some(Target::new(TargetParts::new(Uuid::nil(), "javascript:alert(1)")));
            }
        }
        self.controls.after_read.pass().await;
        after(fault, targets)
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        self.inner.get(codes).await
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        self.controls.writes.fetch_add(1, Ordering::SeqCst);
        self.controls.before_write.pass().await;
        let fault = next(&self.controls.write_faults);
        before(fault)?;
        after(fault, self.inner.update(links).await?)
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        self.controls.writes.fetch_add(1, Ordering::SeqCst);
        self.controls.before_write.pass().await;
        let fault = next(&self.controls.write_faults);
        before(fault)?;
        after(fault, self.inner.delete(links).await?)
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        self.controls.consumes.fetch_add(1, Ordering::SeqCst);
        self.controls.before_consume.pass().await;
        let fault = next(&self.controls.consume_faults);
        before(fault)?;
        after(fault, self.inner.consume(uses).await?)
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        self.inner.list(query).await
    }
}

#[async_trait]
impl ClickSink for TestStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        self.inner.record(clicks).await
    }
}

#[async_trait]
impl ClickStats for TestStore {
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
impl Maintenance for TestStore {
    async fn changes(&self, after_cursor: Option<&ChangeCursor>) -> Result<Changes> {
        self.controls.polls.fetch_add(1, Ordering::SeqCst);
        before(next(&self.controls.poll_faults))?;
        self.inner.changes(after_cursor).await
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
