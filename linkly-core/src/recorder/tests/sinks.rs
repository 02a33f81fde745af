//! A sink that counts by id, as stores do, and fails on request.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use crate::{Click, ClickSink, Error, Result};

/// What one call of the sink comes to.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// It writes.
    None,
    /// It fails, and nothing was written.
    Fails(Error),
    /// It fails, and everything was written all the same.
    FailsAfterWriting,
    /// It never answers.
    Hangs,
    /// It writes after this time.
    Takes(Duration),
    Panics,
    /// It blocks the thread until the other side of the channel is dropped.
    Blocks(Arc<Mutex<std::sync::mpsc::Receiver<()>>>),
}

impl Fault {
    pub(super) fn unavailable() -> Self {
        Self::Fails(Error::unavailable("fake", "busy"))
    }
}

#[derive(Debug, Default)]
pub(super) struct Rows {
    ids: HashSet<Uuid>,
    /// The codes of the rows, in the order they were written.
    pub(super) codes: Vec<String>,
    /// The ids of each call, whatever it came to.
    pub(super) calls: Vec<Vec<Uuid>>,
}

type Plan = dyn FnMut(usize, &[Click]) -> Fault + Send;

/// Refuses clicks whose code begins with `bad`; else a plan says what the next call comes to.
pub(super) struct FakeSink {
    rows: Mutex<Rows>,
    plan: Mutex<Box<Plan>>,
    calls: watch::Sender<usize>,
}

impl FakeSink {
    pub(super) fn new() -> Arc<Self> {
        Self::with_plan(|_, _| Fault::None)
    }

    /// The plan gets the number of the call, from 0 on.
    pub(super) fn with_plan(plan: impl FnMut(usize, &[Click]) -> Fault + Send + 'static) -> Arc<Self> {
        Arc::new(Self { rows: Mutex::default(), plan: Mutex::new(Box::new(plan)), calls: watch::Sender::new(0) })
    }

    /// The first calls come to these, all others write.
    pub(super) fn with_faults(faults: impl Into<Vec<Fault>>) -> Arc<Self> {
        let faults = faults.into();
        Self::with_plan(move |call, _| faults.get(call).cloned().unwrap_or(Fault::None))
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap()
    }

    pub(super) fn codes(&self) -> Vec<String> {
        self.rows().codes.clone()
    }

    /// How many clicks each call had.
    pub(super) fn batches(&self) -> Vec<usize> {
        self.rows().calls.iter().map(Vec::len).collect()
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.rows().codes.iter().any(|written| written == code)
    }

    /// Waits until the sink was called so many times.
    pub(super) async fn called(&self, times: usize) {
        self.calls.subscribe().wait_for(|calls| *calls >= times).await.unwrap();
    }

    fn write(&self, clicks: &[Click]) -> Result<()> {
        for click in clicks {
            click.check()?;
        }
        if let Some(bad) = clicks.iter().find(|click| click.code.as_str().starts_with("bad")) {
            return Err(Error::Refused { backend: "fake", reason: bad.code.to_string(), source: None });
        }
        let mut rows = self.rows();
        for click in clicks {
            if rows.ids.insert(click.id) {
                rows.codes.push(click.code.to_string());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for FakeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeSink").finish_non_exhaustive()
    }
}

#[async_trait]
impl ClickSink for FakeSink {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        assert!(!clicks.is_empty(), "an empty batch");
        self.rows().calls.push(clicks.iter().map(|click| click.id).collect());
        let fault = {
            let mut plan = self.plan.lock().unwrap();
            let call = *self.calls.borrow();
            let fault = plan(call, clicks);
            self.calls.send_modify(|calls| *calls += 1);
            fault
        };
        match fault {
            Fault::None => self.write(clicks),
            Fault::Fails(error) => Err(error),
            Fault::FailsAfterWriting => {
                self.write(clicks)?;
                Err(Error::unavailable("fake", "the answer was lost"))
            }
            Fault::Hangs => std::future::pending().await,
            Fault::Takes(time) => {
                tokio::time::sleep(time).await;
                self.write(clicks)
            }
            Fault::Panics => panic!("the sink's own mistake"),
            Fault::Blocks(until) => {
                _ = until.lock().unwrap().recv();
                self.write(clicks)
            }
        }
    }
}
