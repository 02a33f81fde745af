//! A store that fails on request, and what it has.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, ClickStats, Error, ListClicks, MemoryStore, Result, TimeRange, Uuid};
use tokio::sync::watch;

/// What one call of the store comes to.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    None,
    Fails,
    /// It fails, and everything was written all the same.
    FailsAfterWriting,
    Hangs,
    Takes(Duration),
    Panics,
    /// It refuses for good whatever has a click whose code begins with `bad`.
    RefusesBad,
}

type Plan = dyn FnMut(usize, &[Click]) -> Fault + Send;

/// A store in memory; a plan says what the next call comes to.
pub(super) struct Store {
    pub(super) memory: MemoryStore,
    plan: Mutex<Box<Plan>>,
    calls: watch::Sender<usize>,
    /// The ids of each call that succeeded.
    pub(super) batches: Mutex<Vec<Vec<Uuid>>>,
}

impl Store {
    pub(super) fn new() -> Arc<Self> {
        Self::with_plan(|_, _| Fault::RefusesBad)
    }

    /// The plan gets the number of the call, from 0 on.
    pub(super) fn with_plan(plan: impl FnMut(usize, &[Click]) -> Fault + Send + 'static) -> Arc<Self> {
        Self::over(MemoryStore::new(), plan)
    }

    pub(super) fn over(memory: MemoryStore, plan: impl FnMut(usize, &[Click]) -> Fault + Send + 'static) -> Arc<Self> {
        let (plan, calls) = (Mutex::new(Box::new(plan) as Box<Plan>), watch::Sender::new(0));
        Arc::new(Self { memory, plan, calls, batches: Mutex::default() })
    }

    pub(super) fn plan(&self, plan: impl FnMut(usize, &[Click]) -> Fault + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }

    /// Waits until the store was called so many times.
    pub(super) async fn called(&self, times: usize) {
        self.calls.subscribe().wait_for(|calls| *calls >= times).await.unwrap();
    }

    pub(super) fn calls(&self) -> usize {
        *self.calls.borrow()
    }

    /// How often each click is in the store.
    pub(super) async fn rows(&self) -> HashMap<Uuid, u64> {
        rows(&self.memory).await
    }
}

/// How often each click is in the store, and counted: both are the same.
pub(super) async fn rows(memory: &MemoryStore) -> HashMap<Uuid, u64> {
    let mut rows = HashMap::new();
    let mut query = ListClicks::new(TimeRange::all());
    let mut counted = std::collections::BTreeMap::new();
    loop {
        let page = memory.clicks(&query).await.unwrap();
        for click in page.items {
            *rows.entry(click.id).or_default() += 1;
            *counted.entry(click.code).or_insert(0) += 1;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let (codes, counts): (Vec<_>, Vec<u64>) = counted.into_iter().unzip();
    let totals = memory.totals(&codes).await.unwrap();
    assert_eq!(totals.iter().map(|total| total.clicks).collect::<Vec<_>>(), counts);
    rows
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

#[async_trait]
impl ClickSink for Store {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        assert!(!clicks.is_empty(), "an empty batch");
        let fault = {
            let mut plan = self.plan.lock().unwrap();
            let fault = plan(*self.calls.borrow(), clicks);
            self.calls.send_modify(|calls| *calls += 1);
            fault
        };
        match fault {
            Fault::None => {}
            Fault::Fails => return Err(Error::unavailable("fake", "down")),
            Fault::FailsAfterWriting => {
                self.memory.record(clicks).await?;
                return Err(Error::unavailable("fake", "the answer was lost"));
            }
            Fault::Hangs => std::future::pending().await,
            Fault::Takes(time) => tokio::time::sleep(time).await,
            Fault::Panics => panic!("the store's own mistake"),
            Fault::RefusesBad => {
                if let Some(bad) = clicks.iter().find(|click| click.code.as_str().starts_with("bad")) {
                    return Err(Error::Refused { backend: "fake", reason: bad.code.to_string(), source: None });
                }
            }
        }
        self.memory.record(clicks).await?;
        self.batches.lock().unwrap().push(clicks.iter().map(|click| click.id).collect());
        Ok(())
    }
}
