//! [`Maintenance::changes`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use linkly_core::chrono::TimeDelta;
use linkly_core::{ChangeCursor, Code, Delete, LinkStoreExt, Maintenance, PurgeExpired, Use};
use rand::RngExt;

use crate::Handles;
use crate::asked::insert_all;
use crate::run::at_once;
use crate::samples::{click_of, code, codes_of, link, links, seeded, start};

/// How long a change may take to be reported: as long as other transactions run that began earlier.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the log is read with nothing in between but a turn for others.
const TURNS: usize = 100;

/// Lets others go on between two readings of the log. A store in this process reports what is committed
/// at once. A server may hold it back until older transactions have ended; when they do is its own
/// affair, which no case can inject, so here alone, beside a cache's server that counts lives, is time
/// waited for.
async fn pause(readings: &mut usize) {
    *readings += 1;
    if *readings <= TURNS {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Reads the log on and on, as a node does.
struct Poller {
    cursor: ChangeCursor,
    seen: BTreeSet<Code>,
}

impl Poller {
    async fn start(store: &(impl Maintenance + ?Sized)) -> Self {
        let changes = store.changes(None).await.expect("changes");
        assert_eq!((changes.codes.len(), changes.lost), (0, false), "without a cursor there is nothing to report");
        Self { cursor: changes.next, seen: BTreeSet::new() }
    }

    /// Reads what there is, and says how many codes it was.
    async fn poll(&mut self, store: &(impl Maintenance + ?Sized)) -> usize {
        let mut count = 0;
        loop {
            let changes = store.changes(Some(&self.cursor)).await.expect("changes");
            assert!(!changes.lost, "the log does not reach back to a cursor of a moment ago");
            count += changes.codes.len();
            self.seen.extend(changes.codes);
            self.cursor = changes.next;
            if !changes.more {
                return count;
            }
        }
    }

    /// Polls until all of `codes` were reported.
    async fn expect(&mut self, store: &(impl Maintenance + ?Sized), codes: &[Code], what: &str) {
        let (begun, mut readings) = (Instant::now(), 0);
        loop {
            self.poll(store).await;
            let Some(missed) = codes.iter().find(|code| !self.seen.contains(*code)) else {
                self.seen.clear();
                return;
            };
            assert!(begun.elapsed() < PATIENCE, "{what} of {missed} was not reported");
            pause(&mut readings).await;
        }
    }

    /// Polls until nothing is left to report.
    async fn settle(&mut self, store: &(impl Maintenance + ?Sized)) {
        let (begun, mut readings) = (Instant::now(), 0);
        while self.poll(store).await > 0 {
            assert!(begun.elapsed() < PATIENCE, "the same changes are reported again and again");
            pause(&mut readings).await;
        }
        self.seen.clear();
    }
}

/// Without a cursor no codes are reported, and the cursor stands behind all that was.
pub async fn without_a_cursor_there_are_no_codes(store: &Handles) {
    Poller::start(&**store).await;
    insert_all(&**store, &links("old", 30)).await;
    let mut poller = Poller::start(&**store).await;
    poller.settle(&**store).await;
    insert_all(&**store, &[link("new")]).await;
    poller.expect(&**store, &[code("new")], "an insert").await;
}

/// Each insert, update and delete is reported, by whichever handle it was made and read.
pub async fn every_insert_update_and_delete_is_reported(store: &Handles) {
    let mut all = links("n", 12);
    let codes = codes_of(&all);
    let mut poller = Poller::start(store.other()).await;
    insert_all(&**store, &all).await;
    poller.expect(store.other(), &codes, "an insert").await;
    poller.settle(store.other()).await;
    for link in &mut all {
        link.url.push('x');
    }
    store.update(&all).await.unwrap();
    poller.expect(store.other(), &codes, "an update").await;
    poller.settle(store.other()).await;
    let retire = |link: &linkly_core::Link| Delete::new(link.code.clone(), link.id);
    let deletes: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(n, link)| if n % 2 == 0 { retire(link) } else { retire(link).with_release() })
        .collect();
    store.delete(&deletes).await.unwrap();
    poller.expect(store.other(), &codes, "a delete").await;
    poller.settle(store.other()).await;
    let again: Vec<_> = codes.iter().skip(1).step_by(2).map(|code| link(code.as_str())).collect();
    insert_all(&**store, &again).await;
    poller.expect(store.other(), &codes_of(&again), "an insert of a released code").await;
}

/// Links that are purged because they expired are reported.
pub async fn purged_links_are_reported(store: &Handles) {
    let mut all = links("n", 6);
    for link in &mut all {
        link.expires_at = Some(start());
        link.active_from = None;
    }
    insert_all(&**store, &all).await;
    let mut poller = Poller::start(&**store).await;
    poller.settle(&**store).await;
    let query = PurgeExpired::new(start() + TimeDelta::days(1)).with_limit(3);
    let mut purged = store.purge_expired(&query).await.unwrap().codes;
    purged.extend(store.purge_expired(&query.with_release()).await.unwrap().codes);
    assert_eq!(purged.len(), 6);
    poller.expect(&**store, &purged, "a purge").await;
}

/// What is consumed, and what is clicked, is no change.
pub async fn consuming_and_clicking_is_no_change(store: &Handles) {
    let mut limited = link("a");
    limited.max_clicks = Some(100);
    insert_all(&**store, std::slice::from_ref(&limited)).await;
    let mut poller = Poller::start(&**store).await;
    poller.settle(&**store).await;
    for _ in 0..5 {
        store.consume(&[Use::new(limited.code.clone(), limited.id, 3)]).await.unwrap();
        store.record(&[click_of(&limited, start())]).await.unwrap();
        poller.poll(&**store).await;
    }
    // A change behind them is reported, so what came before it was read.
    insert_all(&**store, &[link("b")]).await;
    let (begun, mut readings) = (Instant::now(), 0);
    while !poller.seen.contains(&code("b")) {
        assert!(begun.elapsed() < PATIENCE, "an insert was not reported");
        pause(&mut readings).await;
        poller.poll(&**store).await;
    }
    assert_eq!(poller.seen, BTreeSet::from([code("b")]));
}

/// Readers that poll while many callers write, through both handles and in batches of all sizes, have
/// seen every changed code in the end.
pub async fn nothing_is_missed_while_many_write(store: &Handles) {
    let mut pollers = [Poller::start(&**store).await, Poller::start(store.other()).await];
    let writers = (0..8).map(|caller: usize| {
        let store = store.nth(caller);
        async move {
            let mut rng = seeded(caller as u64);
            let mut changed = Vec::new();
            for round in 0..12 {
                let mut batch = links(&format!("w{caller}-{round}-"), rng.random_range(1..20));
                store.insert(&batch).await.unwrap();
                changed.extend(codes_of(&batch));
                if rng.random_bool(0.5) {
                    batch[0].url.push('x');
                    store.update_one(&batch[0]).await.unwrap();
                }
                if rng.random_bool(0.3) {
                    store.delete_one(Delete::new(batch[0].code.clone(), batch[0].id)).await.unwrap();
                }
            }
            changed
        }
    });
    let writers = tokio::spawn(at_once(writers.collect::<Vec<_>>()));
    while !writers.is_finished() {
        for (n, poller) in pollers.iter_mut().enumerate() {
            poller.poll(&*store.nth(n)).await;
        }
        tokio::task::yield_now().await;
    }
    let changed = writers.await.expect("writers").concat();
    for (n, poller) in pollers.iter_mut().enumerate() {
        poller.expect(&*store.nth(n), &changed, "an insert while others wrote").await;
    }
}

/// Many changes of one call are read in bounded pieces, and all of them.
pub async fn many_changes_are_read_to_the_end(store: &Handles) {
    let mut poller = Poller::start(&**store).await;
    let all = links("n", 5_000);
    insert_all(&**store, &all).await;
    poller.expect(&**store, &codes_of(&all), "one of 5,000 inserts").await;
    poller.settle(&**store).await;
}

/// A cursor that the log does not reach back to is never answered as if nothing had changed: it is
/// lost, or an invalid input.
pub async fn a_cursor_that_no_store_wrote_is_lost_or_an_invalid_input(store: &Handles) {
    insert_all(&**store, &links("n", 3)).await;
    for text in ["", "x", "-1", "999999999999999", "99999999999999999999999999", "🦀", "' OR 1=1 --"] {
        match store.changes(Some(&ChangeCursor::new(text))).await {
            Ok(changes) => assert!(changes.lost, "{text:?} was taken for a cursor: {changes:?}"),
            Err(error) => assert!(error.is_invalid_input(), "{text:?}: another error: {error:?}"),
        }
    }
}
