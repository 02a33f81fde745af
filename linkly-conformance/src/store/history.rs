//! A random history of links and clicks, with what is to be counted of it; and
//! [`Maintenance::reconcile`](linkly_core::Maintenance::reconcile), which counts again.

use std::collections::BTreeMap;

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Bucket, Click, Code, Delete, Link, LinkStoreExt, Series, Step, TimeRange, Totals, Uuid};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};

use crate::Handles;
use crate::asked::{all_rows, insert_all, totals};
use crate::samples::{code, seeded, start};

/// What is to be counted.
#[derive(Default)]
struct Model {
    rows: BTreeMap<Uuid, Click>,
    links: BTreeMap<Code, Link>,
}

impl Model {
    fn codes() -> Vec<Code> {
        (0..10).map(|n| code(&format!("code{n}"))).collect()
    }

    fn rows_of(&self, code: &Code) -> impl Iterator<Item = &Click> {
        self.rows.values().filter(move |click| click.code == *code)
    }

    fn totals(&self, code: &Code) -> Totals {
        let bots = self.rows_of(code).filter(|click| click.bot).count();
        let last = self.rows_of(code).map(|click| click.clicked_at).max();
        Totals::new(self.rows_of(code).count() as u64, bots as u64, last)
    }

    fn series(&self, code: &Code, step: Step) -> Vec<Bucket> {
        let mut buckets = BTreeMap::<DateTime<Utc>, (u64, u64)>::new();
        for click in self.rows_of(code) {
            let bucket = buckets.entry(step.floor(click.clicked_at)).or_default();
            *bucket = (bucket.0 + 1, bucket.1 + u64::from(click.bot));
        }
        buckets.into_iter().map(|(start, (clicks, bots))| Bucket::new(start, clicks, bots)).collect()
    }

    async fn check(&self, store: &Handles) {
        assert_eq!(all_rows(&**store).await, self.rows.values().cloned().collect::<Vec<_>>(), "rows");
        let codes = Self::codes();
        for (code, found) in codes.iter().zip(totals(&**store, &codes).await) {
            assert_eq!(found, self.totals(code), "totals of {code}");
            for step in [Step::Hour, Step::Day] {
                let found = store.series(&Series::new(code.clone(), TimeRange::all(), step)).await.unwrap();
                assert_eq!(found, self.series(code, step), "series of {code} by {step:?}");
            }
        }
    }

    /// One random step: links come and go, clicks arrive, come again, arrive late.
    async fn step(&mut self, store: &Handles, rng: &mut StdRng) {
        let code = Self::codes().choose(rng).unwrap().clone();
        match (rng.random_range(0..10), self.links.get(&code).cloned()) {
            (0, None) => {
                let link = Link::new(code.clone(), "https://example.com", start());
                insert_all(&**store, std::slice::from_ref(&link)).await;
                self.links.insert(code, link);
            }
            (0, Some(link)) => {
                // Released, since a retired code could not be used again in this history.
                store.delete_one(Delete::new(code.clone(), link.id).with_release()).await.unwrap();
                self.links.remove(&code);
                self.rows.retain(|_, click| click.code != code);
            }
            (1, _) => {
                let known: Vec<_> = self.rows.values().cloned().collect();
                let again: Vec<_> = known.sample(rng, 20).cloned().collect();
                store.record(&again).await.unwrap();
            }
            _ => {
                let mut batch: Vec<_> = (0..rng.random_range(1..40)).map(|_| self.click(rng)).collect();
                let twice = batch.choose(rng).unwrap().clone();
                batch.push(twice);
                batch.shuffle(rng);
                store.record(&batch).await.unwrap();
                self.rows.extend(batch.into_iter().map(|click| (click.id, click)));
            }
        }
    }

    fn click(&self, rng: &mut StdRng) -> Click {
        let code = Self::codes().choose(rng).unwrap().clone();
        let link_id = self.links.get(&code).map(|link| link.id);
        let mut click = Click::new(code, start() + TimeDelta::milliseconds(rng.random_range(0..5 * 86_400_000)));
        click.bot = rng.random_bool(0.3);
        click.link_id = link_id.filter(|_| rng.random_bool(0.8));
        click
    }
}

async fn random_history(store: &Handles, seed: u64, steps: usize) -> Model {
    let mut rng = seeded(seed);
    let mut model = Model::default();
    for _ in 0..steps {
        model.step(store, &mut rng).await;
    }
    model
}

/// Reconciles a range to its end, and gives the number of calls; no difference is expected.
async fn reconcile(store: &Handles, range: TimeRange) -> usize {
    let mut range = range;
    for calls in 1..100_000 {
        let answer = store.reconcile(range).await.unwrap();
        assert_eq!(answer.differences, [], "{range:?}");
        let Some(next) = answer.next else {
            return calls;
        };
        assert!(range.from < next && next < range.until, "{range:?} goes on at {next}");
        range.from = next;
    }
    panic!("the range does not end");
}

/// After a random history totals equal the rows equal the sums of the series, bots included.
pub async fn totals_equal_rows_equal_the_sum_of_the_series(store: &Handles) {
    let mut rng = seeded(11);
    let mut model = Model::default();
    for _ in 0..6 {
        for _ in 0..15 {
            model.step(store, &mut rng).await;
        }
        model.check(store).await;
    }
    assert!(model.rows.len() > 200, "a history of {} clicks says little", model.rows.len());
}

/// Counting again finds nothing to mend and changes nothing, in any range.
pub async fn reconcile_finds_no_difference_after_a_random_history(store: &Handles) {
    let model = random_history(store, 12, 40).await;
    reconcile(store, TimeRange::all()).await;
    let hours = |count: i64| start() + TimeDelta::minutes(count * 60 + 17);
    for (from, until) in [(0, 1), (3, 30), (24, 48), (-5, 200), (10, 10), (20, 10), (500, 600)] {
        reconcile(store, TimeRange::new(hours(from), hours(until))).await;
    }
    model.check(store).await;
}

/// Hours whose rows were purged are not counted again: they, and their part of the totals, stay.
pub async fn reconcile_never_counts_purged_hours(store: &Handles) {
    let model = random_history(store, 13, 30).await;
    let before = start() + TimeDelta::hours(50);
    while !store.purge_clicks(before, 100).await.unwrap().done {}
    reconcile(store, TimeRange::all()).await;
    reconcile(store, TimeRange::new(start(), before)).await;
    let codes = Model::codes();
    for (code, found) in codes.iter().zip(totals(&**store, &codes).await) {
        assert_eq!(found, model.totals(code), "totals of {code}");
        let series = store.series(&Series::new(code.clone(), TimeRange::all(), Step::Hour)).await.unwrap();
        assert_eq!(series, model.series(code, Step::Hour), "hours of {code}");
    }
}

/// A table without clicks has nothing to count.
pub async fn reconcile_of_nothing_is_done(store: &Handles) {
    assert_eq!(reconcile(store, TimeRange::all()).await, 1);
}
