//! What a visit costs beside a resolve of the same link, with referrer and user agent taken down, and what it
//! costs more while somebody listens to events.
//!
//! The recorder works on a thread of its own meanwhile, and is empty again before the next slice; its sink
//! takes everything.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Nowhere, Paired};
use linkly_cache::MemoryCache;
use linkly_core::{Config, Linkly, MemoryStore, NewLink, Resolution, Visit, VisitContext};
use tokio::runtime::Runtime;

/// Of one slice: fewer than the recorder's queue holds.
const VISITS: usize = 4_000;
const PAIRS: usize = 400;
const REFERRER: &str = "https://news.ycombinator.com/item?id=1";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

async fn engine() -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    let builder = Linkly::builder(MemoryStore::new()).cache(MemoryCache::new()).clicks(Nowhere).config(config);
    let linkly = builder.start().await.unwrap();
    linkly.create(NewLink::new("https://iii.dev").with_code("iii")).await.unwrap();
    linkly.resolve("iii").await.unwrap();
    linkly
}

/// What a future answers that does not wait.
#[inline]
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("a hit waited"),
    }
}

fn resolves(linkly: &Linkly) -> Duration {
    let start = Instant::now();
    for _ in 0..VISITS {
        let resolved = at_once(linkly.resolve(black_box("iii")));
        assert!(matches!(black_box(resolved), Ok(Resolution::Found(_))));
    }
    start.elapsed()
}

fn visits(linkly: &Linkly, runtime: &Runtime) -> Duration {
    let context = VisitContext::new().with_referrer(Some(REFERRER)).with_user_agent(Some(USER_AGENT));
    let start = Instant::now();
    for _ in 0..VISITS {
        let visited = at_once(linkly.visit(black_box("iii"), &context));
        assert!(matches!(black_box(visited), Ok(Visit::Redirect { .. })));
    }
    let elapsed = start.elapsed();
    runtime.block_on(linkly.flush()).unwrap();
    elapsed
}

fn visit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (linkly, heard) = (runtime.block_on(engine()), runtime.block_on(engine()));
    // It is as slow as can be: it does not listen at all.
    let events = Arc::new(heard.events());

    let mut group = criterion.benchmark_group("visit");
    group.throughput(Throughput::Elements(VISITS as u64));
    group.bench_function("resolve", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| resolves(&linkly)).sum());
    });
    group.bench_function("visit", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| visits(&linkly, &runtime)).sum());
    });
    group.bench_function("visit, heard", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| visits(&heard, &runtime)).sum());
    });
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        let per = |paired: Paired| paired.per(VISITS as u64);
        let over_resolve = Paired::measure(PAIRS, |_| resolves(&linkly), |_| visits(&linkly, &runtime));
        println!("visit beside resolve: {}", per(over_resolve));
        let while_heard = Paired::measure(PAIRS, |_| visits(&linkly, &runtime), |_| visits(&heard, &runtime));
        println!("visit while somebody listens, beside nobody: {}", per(while_heard));
    }
    drop(events);
}

criterion_group!(benches, visit);
criterion_main!(benches);
