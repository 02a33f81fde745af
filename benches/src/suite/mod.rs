//! One suite for all backends.
//!
//! Each figure is a pair: ours and the driver alone take turns in slices of some milliseconds, so whatever else the
//! machine does slows both, and their ratio holds where their times do not. Criterion decides how often, and keeps
//! both entries with its own statistics.

mod caches;
mod figures;
mod list;
mod raw;
mod record;
mod resolve;
mod seed;
mod sizes;
mod stats;
mod visit;
mod write;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use linkly_core::{Config, Linkly, Store};
use tokio::runtime::Runtime;

use figures::{Figure, Slices};
pub use list::page_of;
pub use raw::{RawCache, RawStore};
pub use record::batch;
pub use sizes::Sizes;

/// Tasks that ask at once where there are many.
const TASKS: usize = 64;
const SEED: u64 = 1;

/// The suite, run for one backend.
pub struct Suite {
    criterion: Criterion,
    backend: &'static str,
    sizes: Sizes,
    runtime: Runtime,
    /// The next place in whatever is asked for or made: nobody gets one twice.
    next: Cell<usize>,
}

impl Suite {
    /// A suite whose figures carry the name of this backend, for its store. It reads criterion's arguments from the
    /// command line.
    ///
    /// All of ours and of the driver's runs on this thread, as in an Actix worker. With more of them, what is measured
    /// of a call that is made alone is how long it takes to wake another thread (10 to 50 µs, more than most calls).
    ///
    /// # Panics
    ///
    /// When there is no runtime to be had.
    pub fn of_store(backend: &'static str) -> Self {
        Self::on(backend, &mut tokio::runtime::Builder::new_current_thread())
    }

    /// The same for a cache, whose hits come from two threads.
    ///
    /// # Panics
    ///
    /// When there is no runtime to be had.
    pub fn of_cache(backend: &'static str) -> Self {
        Self::on(backend, tokio::runtime::Builder::new_multi_thread().worker_threads(2))
    }

    fn on(backend: &'static str, runtime: &mut tokio::runtime::Builder) -> Self {
        Self {
            criterion: Criterion::default().configure_from_args().nresamples(2_000),
            backend,
            sizes: Sizes::asked(),
            runtime: runtime.enable_all().build().expect("a runtime starts"),
            next: Cell::new(0),
        }
    }

    /// How much there is before anything is measured.
    pub fn sizes(&self) -> Sizes {
        self.sizes
    }

    /// Runs what a benchmark needs beside the suite.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Everything that is asked of a store.
    pub fn store(&mut self, store: impl Store, raw: &impl RawStore) {
        let store: Arc<dyn Store> = Arc::new(store);
        let linkly = self.block_on(engine(store.clone()));
        self.misses(&linkly, raw);
        self.writes(&linkly, raw);
        self.lists(&linkly, raw);
        self.stats(&linkly, raw);
        self.clicks(&store, raw);
        self.visits(&store, raw);
    }

    /// Measures a pair. Both are told which places are theirs, and answer how long they took for those; a place is
    /// worth so many elements.
    pub fn pair(
        &mut self,
        group: &str,
        case: &str,
        elements: u64,
        raw: impl AsyncFn(Range<usize>) -> Duration,
        ours: impl AsyncFn(Range<usize>) -> Duration,
    ) {
        let places = |count: usize| self.next.replace(self.next.get() + count)..self.next.get();
        // In this order, because a database that checkpoints with every second batch would otherwise do so on the
        // time of one of them.
        let slice = |count: usize| {
            let raw = || self.runtime.block_on(raw(places(count)));
            let ours = || self.runtime.block_on(ours(places(count)));
            let first = raw();
            let ours = ours() + ours();
            (first + raw(), ours)
        };
        // Twice, so that one slice which something else held up does not end it early.
        let is_long = |(raw, ours): (Duration, Duration)| {
            raw.min(ours) >= self.sizes.slice || raw.max(ours) >= 4 * self.sizes.slice
        };
        let mut count = 1;
        while !(is_long(slice(count)) && is_long(slice(count))) {
            count *= 2;
        }

        let slices = RefCell::new(Slices::default());
        let turn = || {
            let pair = slice(count);
            slices.borrow_mut().push(pair);
            pair
        };
        let mut entries = self.criterion.benchmark_group(format!("{}/{group}", self.backend));
        if !self.sizes.measured.is_zero() {
            entries.warm_up_time(self.sizes.measured / 2).measurement_time(self.sizes.measured);
        }
        entries.sample_size(10).sampling_mode(SamplingMode::Flat);
        let elements = elements * 2 * count as u64;
        entries.throughput(Throughput::Elements(elements));
        entries.bench_function(BenchmarkId::new("raw", case), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| turn().0).sum());
        });
        entries.bench_function(BenchmarkId::new("linkly", case), |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| turn().1).sum());
        });
        entries.finish();
        // A filter on the command line may have left it out, and a test measures nothing.
        if self.sizes != Sizes::TEST
            && let Some(median) = slices.into_inner().median(elements)
        {
            Figure { backend: self.backend, group, case, median }.publish();
        }
    }
}

/// An engine on a store without a cache: every resolve is a miss.
async fn engine(store: Arc<dyn Store>) -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    Linkly::builder(store).config(config).start().await.expect("the engine starts")
}

/// How long a future takes.
pub async fn timed(future: impl Future) -> Duration {
    let start = Instant::now();
    future.await;
    start.elapsed()
}
