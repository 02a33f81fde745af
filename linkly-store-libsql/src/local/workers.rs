//! Threads that own a connection each.
//!
//! What libsql does with a file is synchronous inside its async functions, and a connection is not to be used
//! by two tasks at once. So each connection lives on a thread, which runs what is sent to it to the end, whether
//! or not anybody still waits: a dropped call is done or never begun.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};

use super::session::Session;
use crate::connections::Result;
use crate::error::{self, Failure};

type Job = Box<dyn FnOnce(Result<&mut Session>) + Send>;
type Open = dyn Fn() -> Result<Session> + Send + Sync;

/// A pool of threads with a connection each, which start when they are needed.
pub(crate) struct Workers {
    name: &'static str,
    max: usize,
    acquire_timeout: Duration,
    /// As many as there are threads at the most, so the queue never holds more jobs than that.
    permits: Arc<Semaphore>,
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    shared: Arc<Shared>,
    /// Closed when the last thread has ended.
    ended: watch::Receiver<()>,
}

struct Shared {
    jobs: Mutex<mpsc::Receiver<Job>>,
    open: Box<Open>,
    /// Whether a connection that a panic left is given up for a new one. One in memory is the database.
    reopens: bool,
    started: AtomicUsize,
    /// Held by the pool and by every thread.
    alive: Mutex<Option<watch::Sender<()>>>,
}

impl Workers {
    /// A pool of at most `max` threads, each of which opens its connection by `open`.
    pub(crate) fn new(
        name: &'static str,
        max: u32,
        acquire_timeout: Duration,
        reopens: bool,
        open: impl Fn() -> Result<Session> + Send + Sync + 'static,
    ) -> Self {
        let max = usize::try_from(max.max(1)).unwrap_or(1).min(Semaphore::MAX_PERMITS);
        let (queue, jobs) = mpsc::channel();
        let (alive, ended) = watch::channel(());
        let shared = Shared {
            jobs: Mutex::new(jobs),
            open: Box::new(open),
            reopens,
            started: AtomicUsize::new(0),
            alive: Mutex::new(Some(alive)),
        };
        Self {
            name,
            max,
            acquire_timeout,
            permits: Arc::new(Semaphore::new(max)),
            queue: Mutex::new(Some(queue)),
            shared: Arc::new(shared),
            ended,
        }
    }

    /// Runs work on a connection, to its end once it has begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = match tokio::time::timeout(self.acquire_timeout, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(closed()),
            Err(_) => return Err(error::no_connection().into()),
        };
        let (answer, answered) = oneshot::channel();
        let job = move |session: Result<&mut Session>| {
            // What nobody waits for is not begun.
            if !answer.is_closed() {
                let _ = answer.send(session.and_then(work));
            }
            drop(permit);
        };
        self.send(Box::new(job))?;
        answered.await.map_err(|_| Failure::Ours(error::failed("the driver panicked: see the log", None)))?
    }

    fn send(&self, job: Job) -> Result<()> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = queue.as_ref() else {
            return Err(closed());
        };
        queue.send(job).map_err(|_| closed())?;
        // As many jobs as permits are out: a thread for each of them, until all have started.
        let wanted = self.max - self.permits.available_permits();
        let started = self.shared.started.load(Ordering::Relaxed);
        if started < wanted.max(1) && started < self.max {
            self.shared.started.store(started + 1, Ordering::Relaxed);
            self.start()?;
        }
        Ok(())
    }

    fn start(&self) -> Result<()> {
        let shared = self.shared.clone();
        let alive = shared.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let started = thread::Builder::new().name(self.name.to_owned()).spawn(move || {
            // Ends after the connection.
            let _alive = alive;
            work(&shared);
        });
        started.map(|_| ()).map_err(|found| {
            self.shared.started.fetch_sub(1, Ordering::Relaxed);
            error::unavailable(&format!("no thread could be started: {found}"), None).into()
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }

    /// Takes no more work, and waits until what has begun is done and the connections are closed.
    pub(crate) async fn close(&self) {
        self.permits.close();
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.shared.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
        // An error is that the last sender is gone, which is waited for.
        while self.ended.clone().changed().await.is_ok() {}
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("name", &self.name).field("max", &self.max).finish_non_exhaustive()
    }
}

/// A thread's life: until the pool is gone.
fn work(shared: &Shared) {
    let mut session = None;
    loop {
        // Released before the job runs.
        let job = shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        if session.is_none() {
            match (shared.open)() {
                Ok(opened) => session = Some(opened),
                Err(failure) => {
                    job(Err(failure));
                    continue;
                }
            }
        }
        let Some(open) = &mut session else {
            continue;
        };
        // libsql panics at a text that is not UTF-8, which the app's own SQL may ask for.
        let ran = catch_unwind(AssertUnwindSafe(|| job(Ok(open))));
        if ran.is_err() {
            if shared.reopens {
                session = None;
            } else {
                open.forget_statements();
            }
        }
    }
}

/// What a future of libsql's gives that only looks like one.
///
/// # Panics
///
/// When it waits for something, which none does that works on a file.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("libsql waits for nothing when it works on a file"),
    }
}

fn closed() -> Failure {
    error::unavailable("this store was closed", None).into()
}
