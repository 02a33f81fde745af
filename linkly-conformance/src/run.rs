//! Runs one case: on a runtime of its own, within a time limit.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, MemoryStore, Result};
use tokio::task::JoinError;

use crate::held_store::HeldStore;
use crate::{CacheFixture, CacheHandle, Handles, QueueFixture, StoreFixture};

/// A case, begun.
pub type CaseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a case of the store suite on a database of its own.
///
/// # Panics
///
/// When the case does, or is not done within [`StoreFixture::LIMIT`].
pub fn run_store_case<F: StoreFixture>(case: fn(Handles) -> CaseFuture) {
    within(F::LIMIT, async move {
        let fixture = F::open().await;
        let handles = Handles::new(fixture.handle().await, fixture.handle().await);
        let outcome = tokio::spawn(case(handles)).await;
        fixture.close().await;
        outcome
    });
}

/// Runs a case of the queue suite: one of the store suite that records clicks, with the queue in front of a store in
/// memory. A click is looked for when it was delivered.
///
/// # Panics
///
/// When the case does, or is not done within [`QueueFixture::LIMIT`].
pub fn run_queue_case<F: QueueFixture>(case: fn(Handles) -> CaseFuture) {
    within(F::LIMIT, async move {
        let store = MemoryStore::new();
        let queue = Arc::new(Delivered(F::open(Arc::new(store.clone())).await));
        let handle = || HeldStore::behind(queue.clone(), store.clone());
        tokio::spawn(case(Handles::new(handle(), handle()))).await
    });
}

/// Records clicks, and waits until they are delivered.
struct Delivered<F>(F);

impl<F> std::fmt::Debug for Delivered<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivered").finish_non_exhaustive()
    }
}

#[async_trait]
impl<F: QueueFixture> ClickSink for Delivered<F> {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        self.0.queue().record(clicks).await?;
        self.0.flush().await;
        Ok(())
    }
}

/// Runs a case of the migration suite on an empty database of its own.
///
/// # Panics
///
/// When the case does, or is not done within [`StoreFixture::LIMIT`].
pub fn run_migration_case<F: StoreFixture>(case: fn(Arc<F>) -> CaseFuture) {
    within(F::LIMIT, async move {
        let fixture = Arc::new(F::open().await);
        let outcome = tokio::spawn(case(fixture.clone())).await;
        if let Some(fixture) = Arc::into_inner(fixture) {
            fixture.close().await;
        }
        outcome
    });
}

/// Runs a case of the cache suite on an empty cache.
///
/// # Panics
///
/// When the case does, or is not done within [`CacheFixture::LIMIT`].
pub fn run_cache_case<F: CacheFixture>(case: fn(CacheHandle) -> CaseFuture) {
    within(F::LIMIT, async move {
        let fixture = Arc::new(F::open().await);
        // Weak, so that a task that the case left behind does not keep the fixture from its end.
        let weak = Arc::downgrade(&fixture);
        let expire_leases = move || -> CaseFuture {
            let fixture = weak.upgrade();
            Box::pin(async move {
                if let Some(fixture) = fixture {
                    fixture.expire_leases().await;
                }
            })
        };
        let cache = CacheHandle::new(fixture.cache().await).with_slack(F::SLACK).with_expire_leases(expire_leases);
        let outcome = tokio::spawn(case(cache)).await;
        if let Some(fixture) = Arc::into_inner(fixture) {
            fixture.close().await;
        }
        outcome
    });
}

/// Runs `work` in a thread, so that also a case that blocks its thread for good is a failure and not
/// a test run that hangs.
fn within(limit: Duration, work: impl Future<Output = std::result::Result<(), JoinError>> + Send + 'static) {
    let (sender, receiver) = channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let outcome = runtime.block_on(work);
        runtime.shutdown_background();
        // The receiver is gone when the limit has passed.
        let _ = sender.send(outcome);
    });
    match receiver.recv_timeout(limit) {
        Ok(Ok(())) => {}
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => panic!("the case was not run to its end: {error}"),
        },
        Err(RecvTimeoutError::Timeout) => panic!("the case is not done after {limit:?}: it is stuck, or very slow"),
        Err(RecvTimeoutError::Disconnected) => match thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => panic!("the case ended without an outcome"),
        },
    }
}

/// Runs `tasks` at once, each spawned, and gives their results in order.
pub(crate) async fn at_once<T: Send + 'static>(
    tasks: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(tasks.len());
    for task in tasks {
        match task.await {
            Ok(result) => results.push(result),
            Err(error) => resume_unwind(error.into_panic()),
        }
    }
    results
}
