//! Writes: each runs in a task of its own and always ends in an invalidation.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::RngExt;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{Instrument, debug_span, warn};

use super::invalidation::{Scope, again, first};
use super::loader::{Loader, timed_out};
use crate::{Code, Error, Result};

/// How often a write is tried, while it is the store that is unavailable.
const TRIES: u32 = 4;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Writes {
    loader: Arc<Loader>,
    runtime: Handle,
    /// Held by every write; gone once this is shut down.
    open: Mutex<Option<mpsc::Sender<()>>>,
    ended: tokio::sync::Mutex<mpsc::Receiver<()>>,
}

impl Writes {
    pub(crate) fn new(loader: Arc<Loader>, runtime: Handle) -> Self {
        let (open, ended) = mpsc::channel(1);
        Self { loader, runtime, open: Mutex::new(Some(open)), ended: tokio::sync::Mutex::new(ended) }
    }

    /// Runs a write to its end, whether or not the caller waits for it, and invalidates `codes`.
    ///
    /// The caller waits no longer than the write timeout, and for one try to invalidate: while a cache elsewhere is
    /// away the others would take 150 ms of each write, and what is in this process's memory is gone with the first.
    /// The write itself is never dropped: it may still happen then, and the codes are invalidated once more when it
    /// has. `written` is told of a write that happened, after the first try.
    pub(crate) async fn run<T, W>(
        &self,
        name: &'static str,
        codes: Vec<Code>,
        write: W,
        written: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let guard = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let guard = guard.ok_or(Error::Closed { what: "linkly" })?;
        let deadline = self.loader.config.write_timeout;
        let span = debug_span!("linkly.write", name, codes = codes.len());
        // A task inside a task, so that a store that panics still ends in an invalidation.
        let mut write = self.runtime.spawn(write.instrument(span));
        let (answer, answered) = oneshot::channel();
        let loader = self.loader.clone();
        self.runtime.spawn(async move {
            let _guard = guard;
            if let Ok(ended) = timeout(deadline, &mut write).await {
                let result = ended.unwrap_or_else(|panic| Err(panicked(&panic)));
                let tell = || {
                    if let Ok(done) = &result {
                        written(done);
                    }
                    let _ = answer.send(result);
                };
                invalidate(&loader, &codes, tell).await;
            } else {
                let tell = || drop(answer.send(Err(timed_out("the store", deadline))));
                invalidate(&loader, &codes, tell).await;
                let late = write.await;
                let tell = move || {
                    if let Ok(Ok(done)) = late {
                        written(&done);
                    }
                };
                invalidate(&loader, &codes, tell).await;
            }
        });
        answered.await.unwrap_or_else(|_| Err(Error::unavailable("linkly", "the runtime is shutting down")))
    }

    /// Runs something to its end, whether or not the caller waits for it.
    pub(crate) async fn finish<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.runtime.spawn(task).await.unwrap_or_else(|panic| Err(panicked(&panic)))
    }

    /// Refuses further writes.
    pub(crate) fn close(&self) {
        drop(self.open.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Once closed, waits for the writes on their way; false when the deadline passed first.
    pub(crate) async fn ended(&self, deadline: Duration) -> bool {
        timeout(deadline, async { self.ended.lock().await.recv().await }).await.is_ok()
    }
}

/// Invalidates and warms; between the first try and the others, `tell` says that it is so. Failures are logged, and the
/// change log takes them up: the write itself has happened.
async fn invalidate(loader: &Arc<Loader>, codes: &[Code], tell: impl FnOnce()) {
    let warm = || {
        if let [code] = codes {
            loader.refresh(code.clone());
        }
    };
    let invalidated = first(loader, Scope::These(codes)).await;
    warm();
    tell();
    if invalidated.is_err() {
        let _ = again(loader, Scope::These(codes)).await;
        warm();
    }
}

/// Sends a write again while the store is unavailable: writes carry ids, so one that did happen
/// answers as if it were the first.
pub(crate) async fn with_retries<T, F, W>(mut write: F) -> Result<T>
where
    F: FnMut() -> W,
    W: Future<Output = Result<T>>,
{
    let mut tries = 1;
    loop {
        match write().await {
            Err(error) if error.is_transient() && tries < TRIES => {
                let longest = FIRST_BACKOFF * 2_u32.pow(tries - 1);
                let pause = longest.mul_f64(rand::rng().random_range(0.5..1.0));
                warn!(%error, tries, "a write is tried again");
                tokio::time::sleep(pause).await;
                tries += 1;
            }
            result => return result,
        }
    }
}

fn panicked(panic: &tokio::task::JoinError) -> Error {
    if panic.is_cancelled() {
        return Error::unavailable("linkly", "the runtime is shutting down");
    }
    Error::Backend { backend: "the store", reason: "the call panicked".into(), source: None }
}
