//! A spool beside redb alone: commits of the same clicks, each synced to the disk.
//!
//! `raw` is one value of as many bytes as our clicks take, in one commit, by one thread. Ours is 64 tasks
//! that visit a link and wait until their click is in the spool, and one that records batches of 1,000; behind
//! the spool is a sink that takes everything, so its deliveries and deletions are in the figures.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::Paired;
use linkly_cache::MemoryCache;
use linkly_core::chrono::Utc;
use linkly_core::{
    Acknowledge, Click, ClickSink, Code, Linkly, MemoryStore, NewLink, RecorderConfig, Result, VisitContext,
};
use linkly_queue::{Spool, SpoolConfig};
use redb::{Database, ReadableTable, TableDefinition};
use tokio::runtime::Runtime;

const CLICKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("clicks");
const TASKS: usize = 64;
const BATCH: usize = 1_000;
/// Of one slice.
const VISITS_OF_A_TASK: usize = 60;
const BATCHES: usize = 30;
const PAIRS: usize = 15;
/// What a click of these benches takes in a spool.
const CLICK_BYTES: usize = 75;

const REFERRER: &str = "https://news.ycombinator.com/item?id=1";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Takes everything.
#[derive(Debug)]
struct Nowhere;

#[async_trait]
impl ClickSink for Nowhere {
    async fn record(&self, _: &[Click]) -> Result<()> {
        Ok(())
    }
}

/// How long redb takes for so many commits of so many clicks.
fn raw(database: &Database, commits: usize, clicks: usize) -> Duration {
    let value = vec![7; clicks * CLICK_BYTES];
    let start = Instant::now();
    for _ in 0..commits {
        let write = database.begin_write().unwrap();
        let mut table = write.open_table(CLICKS).unwrap();
        let key = table.last().unwrap().map_or(0, |(key, _)| key.value() + 1);
        table.insert(key, &*value).unwrap();
        drop(table);
        write.commit().unwrap();
    }
    start.elapsed()
}

async fn visits(linkly: &Linkly) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let linkly = linkly.clone();
            tokio::spawn(async move {
                let context = VisitContext::new().with_referrer(Some(REFERRER)).with_user_agent(Some(USER_AGENT));
                for _ in 0..VISITS_OF_A_TASK {
                    linkly.visit("iii", &context).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

async fn batches(spool: &Spool) -> Duration {
    let new = || {
        let mut click = Click::new(Code::new("iii").unwrap(), Utc::now());
        click.referrer = Some("news.ycombinator.com".into());
        click.browser = Some("Firefox".into());
        click.os = Some("Linux".into());
        click
    };
    let batches: Vec<Vec<_>> = (0..BATCHES).map(|_| (0..BATCH).map(|_| new()).collect()).collect();
    let start = Instant::now();
    for batch in &batches {
        spool.record(batch).await.unwrap();
    }
    start.elapsed()
}

async fn spool(folder: &Path) -> Spool {
    Spool::open(folder.join("clicks.spool"), Arc::new(Nowhere), SpoolConfig::default()).await.unwrap()
}

async fn engine(spool: Spool) -> Linkly {
    let recorder = RecorderConfig::default().with_acknowledge(Acknowledge::Durable);
    let builder = Linkly::builder(MemoryStore::new()).cache(MemoryCache::new()).clicks(spool).recorder(recorder);
    let linkly = builder.start().await.unwrap();
    linkly.create(NewLink::new("https://iii.dev").with_code("iii")).await.unwrap();
    linkly
}

fn spooled(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path().join("raw.redb")).unwrap();
    let setup = database.begin_write().unwrap();
    setup.open_table(CLICKS).unwrap();
    setup.commit().unwrap();
    let runtime = Runtime::new().unwrap();
    let spool = runtime.block_on(spool(folder.path()));
    let linkly = runtime.block_on(engine(spool.clone()));

    let mut group = criterion.benchmark_group("spool");
    group.sample_size(10);
    group.throughput(Throughput::Elements((TASKS * VISITS_OF_A_TASK) as u64));
    group.bench_function("raw, commits of 64", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| raw(&database, VISITS_OF_A_TASK, TASKS)).sum());
    });
    group.bench_function("64 durable visits", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(visits(&linkly))).sum());
    });
    group.throughput(Throughput::Elements((BATCHES * BATCH) as u64));
    group.bench_function("raw, commits of 1,000", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| raw(&database, BATCHES, BATCH)).sum());
    });
    group.bench_function("batches of 1,000", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(batches(&spool))).sum());
    });
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        let before = spool.metrics();
        let of_64 =
            Paired::measure(PAIRS, |_| raw(&database, VISITS_OF_A_TASK, TASKS), |_| runtime.block_on(visits(&linkly)));
        let after = spool.metrics();
        let a_commit = (after.accepted - before.accepted) as f64 / (after.commits - before.commits) as f64;
        println!(
            "64 durable visits, a click: {}; {a_commit:.0} clicks a commit",
            of_64.per((TASKS * VISITS_OF_A_TASK) as u64)
        );
        let of_1_000 =
            Paired::measure(PAIRS, |_| raw(&database, BATCHES, BATCH), |_| runtime.block_on(batches(&spool)));
        println!("batches of 1,000, a click: {}", of_1_000.per((BATCHES * BATCH) as u64));
    }
    runtime.block_on(spool.shutdown(Duration::from_secs(5)));
}

criterion_group!(benches, spooled);
criterion_main!(benches);
