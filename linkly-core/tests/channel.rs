//! What a node does about what it hears of others, and what it tells them.

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Channel, Code, Config, Error, LinkPatch, Linkly, Listener, NewLink, Resolution, Result};
use support::deaf_cache::DeafCache;
use support::{Fault, MapCache, TestStore, url};
use tokio::runtime::Handle;

const ONE: &str = "https://example.com/1";
const TWO: &str = "https://example.com/2";

/// One end of a wire: what is said on it is kept until the test carries it over.
#[derive(Debug, Default)]
struct Wire {
    said: Mutex<Vec<Option<Vec<Code>>>>,
    listener: Mutex<Option<Weak<dyn Listener>>>,
    closed: Mutex<bool>,
}

#[async_trait]
impl Channel for Wire {
    fn start(&self, listener: Weak<dyn Listener>, _runtime: &Handle) -> Result<()> {
        match self.listener.lock().unwrap().replace(listener) {
            None => Ok(()),
            Some(_) => Err(Error::Closed { what: "the wire" }),
        }
    }
    fn announce(&self, codes: &[Code]) {
        self.said.lock().unwrap().push(Some(codes.to_vec()));
    }
    fn announce_all(&self) {
        self.said.lock().unwrap().push(None);
    }
    async fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }
}

impl Wire {
    /// Tells this end's node what the other said.
    async fn carry(&self, from: &Wire) {
        let said: Vec<_> = from.said.lock().unwrap().drain(..).collect();
        let listener = self.listener.lock().unwrap().clone().unwrap().upgrade().unwrap();
        for codes in said {
            match codes {
                Some(codes) => listener.written(&codes).await,
                None => listener.missed().await,
            }
        }
    }

    fn said(&self) -> usize {
        self.said.lock().unwrap().len()
    }
}

/// The change log is read when the test says so.
async fn node(store: &TestStore, wire: &Arc<Wire>) -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    let builder = Linkly::builder(store.clone()).cache(MapCache::new()).channel(wire.clone()).config(config);
    builder.start().await.unwrap()
}

async fn two_nodes(store: &TestStore) -> ([Linkly; 2], [Arc<Wire>; 2]) {
    let wires = [Arc::new(Wire::default()), Arc::new(Wire::default())];
    let nodes = [node(store, &wires[0]).await, node(store, &wires[1]).await];
    nodes[0].create(NewLink::new(ONE).with_code("a")).await.unwrap();
    for node in &nodes {
        assert_eq!(url(node.resolve("a").await), ONE);
    }
    wires[0].said.lock().unwrap().clear();
    (nodes, wires)
}

#[tokio::test]
async fn each_write_is_announced_and_what_is_heard_is_forgotten() {
    let store = TestStore::new();
    let ([one, two], [says, hears]) = two_nodes(&store).await;
    one.update("a", LinkPatch::new().with_url(TWO)).await.unwrap();
    assert_eq!(url(two.resolve("a").await), ONE, "it was not told yet");
    hears.carry(&says).await;
    assert_eq!(url(two.resolve("a").await), TWO);
    one.delete("a").await.unwrap();
    hears.carry(&says).await;
    assert_eq!(two.resolve("a").await.unwrap(), Resolution::NotFound);
    one.create(NewLink::new(ONE).with_code("b")).await.unwrap();
    one.invalidate("b").await.unwrap();
    assert_eq!(says.said(), 2);
    one.invalidate_all().await.unwrap();
    hears.carry(&says).await;
    let metrics = two.metrics();
    assert_eq!((metrics.heard, metrics.cleared), (4, 1));
    assert_eq!(hears.said(), 0, "what is heard is not said again");
}

#[tokio::test]
async fn what_the_change_log_reports_is_not_announced() {
    let store = TestStore::new();
    let ([one, two], [says, hears]) = two_nodes(&store).await;
    two.catch_up().await.unwrap();
    one.update("a", LinkPatch::new().with_url(TWO)).await.unwrap();
    two.catch_up().await.unwrap();
    assert_eq!(url(two.resolve("a").await), TWO);
    assert_eq!((says.said(), hears.said()), (1, 0), "each node reads the log for itself");
}

#[tokio::test]
async fn a_write_that_fails_or_whose_answer_is_lost_is_announced_too() {
    let store = TestStore::new();
    let ([one, two], [says, hears]) = two_nodes(&store).await;
    // The last is the first: the write happens, and when it is tried again the store says something else.
    store.controls.write_faults.lock().unwrap().extend([Fault::Broken, Fault::AnswerLost]);
    one.update("a", LinkPatch::new().with_url(TWO)).await.unwrap_err();
    hears.carry(&says).await;
    assert_eq!(url(two.resolve("a").await), TWO);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_happens_after_its_caller_gave_up_is_announced_when_it_has() {
    let store = TestStore::new();
    let ([one, two], [says, hears]) = two_nodes(&store).await;
    let writes = store.controls.writes.load(Ordering::SeqCst);
    store.controls.before_write.close();
    one.update("a", LinkPatch::new().with_url(TWO)).await.unwrap_err();
    assert_eq!(store.controls.writes.load(Ordering::SeqCst), writes + 1);
    hears.carry(&says).await;
    assert_eq!(url(two.resolve("a").await), ONE, "it has not happened yet");
    store.controls.before_write.open();
    while says.said() == 0 {
        tokio::task::yield_now().await;
    }
    hears.carry(&says).await;
    assert_eq!(url(two.resolve("a").await), TWO);
    assert_eq!(url(one.resolve("a").await), TWO);
}

/// What the others load between the first try and the last may come from a cache that was not told.
#[tokio::test(start_paused = true)]
async fn a_write_is_announced_again_when_a_later_try_has_told_the_cache() {
    for (deaf, said) in [(0, 1), (1, 2), (2, 2), (3, 1)] {
        let (store, wire, cache) = (TestStore::new(), Arc::new(Wire::default()), Arc::new(DeafCache::default()));
        let config = Config::default().with_poll_changes(Duration::ZERO);
        let builder = Linkly::builder(store).cache(cache.clone()).channel(wire.clone()).config(config);
        let linkly = builder.start().await.unwrap();
        cache.set_deaf(deaf);
        linkly.create(NewLink::new(ONE).with_code("a")).await.unwrap();
        assert_eq!(wire.said(), 1, "their own memory is theirs to drop");
        linkly.shutdown(Duration::from_secs(10)).await;
        assert_eq!(wire.said(), said, "after {deaf} tries in vain");
    }
}

#[tokio::test]
async fn a_load_of_before_is_not_joined_by_a_resolve_after_a_message() {
    for everything in [false, true] {
        let store = TestStore::new();
        let ([one, two], [says, hears]) = two_nodes(&store).await;
        two.invalidate("a").await.unwrap();
        let reads = store.reads();
        store.controls.after_read.close();
        let before = tokio::spawn({
            let two = two.clone();
            async move { two.resolve("a").await }
        });
        // It has read the old row, and is on its way.
        store.controls.after_read.arrived(reads + 1).await;
        let writing = tokio::spawn(async move {
            let updated = one.update("a", LinkPatch::new().with_url(TWO)).await;
            (one, updated)
        });
        while says.said() == 0 {
            tokio::task::yield_now().await;
        }
        if everything {
            says.said.lock().unwrap().clear();
            says.announce_all();
        }
        hears.carry(&says).await;
        let after = tokio::spawn({
            let two = two.clone();
            async move { two.resolve("a").await }
        });
        while two.metrics().misses < 3 {
            tokio::task::yield_now().await;
        }
        store.controls.after_read.open();
        assert_eq!(url(before.await.unwrap()), ONE);
        assert_eq!(url(after.await.unwrap()), TWO, "everything: {everything}");
        assert_eq!(url(two.resolve("a").await), TWO, "and the old row was not kept");
        writing.await.unwrap().1.unwrap();
    }
}

#[tokio::test]
async fn a_channel_is_started_once_and_closed_with_the_engine() {
    let (store, wire) = (TestStore::new(), Arc::new(Wire::default()));
    let linkly = node(&store, &wire).await;
    let twice = Linkly::builder(store.clone()).channel(wire.clone()).start().await;
    assert!(matches!(twice, Err(Error::Closed { .. })));
    linkly.shutdown(Duration::from_secs(5)).await;
    assert!(*wire.closed.lock().unwrap());
    let listener = wire.listener.lock().unwrap().clone().unwrap();
    drop(linkly);
    while listener.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}
