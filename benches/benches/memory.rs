//! A hit, beside a look-up in the same quick_cache without anything around it.
//!
//! `raw` has the same types of key and value, the same hasher and the same number of links, and answers
//! with a clone of the entry as `peek` does. `resolve` is all that a redirect asks of Linkly. An iteration
//! is one look-up on each thread.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use linkly_benches::{Codes, Paired, Shape, time_on_threads};
use linkly_cache::{MemoryCache, Tiered};
use linkly_core::{
    Cache, CacheExt, Clock, Code, Config, Entry, Linkly, MemoryStore, Resolution, SystemClock, Target, TargetParts,
    Tick, Uuid,
};
use quick_cache::UnitWeighter;

const LINKS: usize = 100_000;
const SEED: u64 = 1;

type Raw = quick_cache::sync::Cache<Box<str>, Entry, UnitWeighter, SeedableRandomState>;

fn entry(code: &str) -> Entry {
    let target = Target::new(TargetParts::new(Uuid::nil(), format!("https://iii.dev/where/it/leads/{code}")));
    Entry::new(Some(target), Tick::MAX, Tick::MAX)
}

/// The links; both caches share their targets, so that neither has them better placed in memory.
fn links() -> Vec<(String, Entry)> {
    let link = |code: String| {
        let entry = entry(&code);
        (code, entry)
    };
    Codes::all(LINKS, SEED).into_iter().map(link).collect()
}

fn raw(links: &[(String, Entry)]) -> Raw {
    let hasher = SeedableRandomState::with_seed(SEED, SharedSeed::global_random());
    let raw = Raw::with(2 * LINKS, 2 * LINKS as u64, UnitWeighter, hasher, Default::default());
    for (code, entry) in links {
        raw.insert(code.as_str().into(), entry.clone());
    }
    raw
}

async fn cache(links: &[(String, Entry)]) -> MemoryCache {
    let (cache, now) = (MemoryCache::builder().capacity(2 * LINKS).build(), SystemClock.tick());
    for (code, entry) in links {
        let lease = cache.get_one(&Code::new(code).unwrap(), now).await.unwrap().lease.unwrap();
        cache.fill_one(lease, entry.clone(), now).await.unwrap();
    }
    cache
}

/// An engine with all links in its cache, and nothing in its store.
async fn linkly(links: &[(String, Entry)]) -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    Linkly::builder(MemoryStore::new()).cache(cache(links).await).config(config).start().await.unwrap()
}

/// Whether a resolve is a hit: it is ready without waiting.
#[inline]
fn resolves(linkly: &Linkly, code: &str) -> bool {
    let resolve = pin!(linkly.resolve(code));
    matches!(black_box(resolve.poll(&mut Context::from_waker(Waker::noop()))), Poll::Ready(Ok(Resolution::Found(_))))
}

/// Measures `hit`, which answers whether it was one.
fn measure(
    group: &mut BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    hit: impl Fn(&str) -> bool + Sync,
) {
    for shape in [Shape::Uniform, Shape::Zipf] {
        let codes = Codes::drawn(LINKS, shape, SEED);
        for threads in [1, 2] {
            group.throughput(Throughput::Elements(threads as u64));
            group.bench_function(BenchmarkId::new(format!("{name}/{shape}"), threads), |bencher| {
                bencher.iter_custom(|each| time_on_threads(threads, each, |i| assert!(hit(black_box(codes.get(i))))));
            });
        }
    }
}

fn hits(criterion: &mut Criterion) {
    let links = links();
    let raw = raw(&links);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (near, now) = (Arc::new(runtime.block_on(cache(&links))), SystemClock.tick());
    // On the very same cache in memory.
    let tiered: Arc<dyn Cache> = Arc::new(Tiered::new(near.clone(), MemoryCache::new()));
    let cache: Arc<dyn Cache> = near;
    let linkly = runtime.block_on(linkly(&links));
    let raw = |code: &str| black_box(raw.get(code)).is_some();
    let peek = |code: &str| black_box(cache.peek(code, now)).is_some();
    let tiered = |code: &str| black_box(tiered.peek(code, now)).is_some();
    let resolve = |code: &str| resolves(&linkly, code);

    let mut group = criterion.benchmark_group("hit");
    measure(&mut group, "raw", raw);
    measure(&mut group, "peek", peek);
    measure(&mut group, "tiered", tiered);
    measure(&mut group, "resolve", resolve);
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        ratios("peek", raw, peek);
        ratios("tiered beside peek", peek, tiered);
        ratios("resolve", raw, resolve);
    }
}

/// Prints what a look-up costs by turns with the raw one.
fn ratios(name: &str, raw: impl Fn(&str) -> bool + Sync, hit: impl Fn(&str) -> bool + Sync) {
    const SLICE: usize = 20_000;
    for shape in [Shape::Uniform, Shape::Zipf] {
        let codes = Codes::drawn(LINKS, shape, SEED);
        for threads in [1, 2] {
            let slice = |look_up: &(dyn Fn(&str) -> bool + Sync), n: usize| {
                let call = |i| assert!(look_up(black_box(codes.get(n * SLICE + i))));
                time_on_threads(threads, SLICE as u64, call)
            };
            // Neither looks up what the other has just brought into the processor's cache.
            let paired = Paired::measure(1_000, |n| slice(&raw, 2 * n), |n| slice(&hit, 2 * n + 1));
            println!("hit/{name}/{shape}/{threads}: {}", paired.per(SLICE as u64));
        }
    }
}

criterion_group!(benches, hits);
criterion_main!(benches);
