//! Misses and clicks on Postgres, beside the raw driver.
//!
//! A miss: `raw` asks for 64 codes at a time with one prepared `= ANY`, one call after the other, and reads the
//! same columns. Ours is 64 tasks that resolve codes which no cache holds.
//!
//! Clicks: `raw` sends the statement that the store sends, prepared once and with its arrays made before. Ours makes
//! them of a batch of clicks.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Paired, Shape};
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Click, ClickSink, Code, Config, Linkly, NewLink, Resolution, Uuid};
use linkly_store_postgres::PostgresStore;
use linkly_store_postgres::deadpool_postgres::tokio_postgres::{Client, NoTls, Statement, connect};
use linkly_testkit::Postgres;
use tokio::runtime::Runtime;

const LINKS: usize = 100_000;
const SEED: u64 = 1;
const TASKS: usize = 64;
/// Codes of one iteration.
const CODES: usize = 6_400;
/// Clicks of one batch.
const BATCH: usize = 1_000;

const SELECT: &str = "SELECT code, id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                      FROM links WHERE code = ANY ($1) AND retired_at IS NULL";
const RECORD: &str = "SELECT linkly_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

async fn fill(linkly: &Linkly) {
    for codes in Codes::all(LINKS, SEED).chunks(5_000) {
        let new = |code: &String| NewLink::new(format!("https://iii.dev/where/it/leads/{code}")).with_code(code);
        for made in linkly.create_many(codes.iter().map(new).collect()).await.unwrap() {
            made.unwrap();
        }
    }
}

/// The driver alone: a connection, and its statements prepared once.
struct Raw {
    client: Client,
    select: Statement,
    record: Statement,
}

impl Raw {
    async fn connect(url: &str) -> Self {
        let (client, connection) = connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let (select, record) = (client.prepare(SELECT).await.unwrap(), client.prepare(RECORD).await.unwrap());
        Self { client, select, record }
    }

    /// How long a series of codes takes.
    async fn miss(&self, codes: &Codes, first: usize) -> Duration {
        let start = Instant::now();
        for first in (first..first + CODES).step_by(TASKS) {
            let asked: Vec<&str> = (first..first + TASKS).map(|i| codes.get(i)).collect();
            for row in self.client.query(&self.select, &[&asked]).await.unwrap() {
                let texts: (&str, Uuid, &str) = (row.get(0), row.get(1), row.get(2));
                let options: (i16, bool, Option<i64>) = (row.get(3), row.get(4), row.get(5));
                let times: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = (row.get(6), row.get(7));
                black_box((texts, options, times, row.get::<_, Vec<String>>(8)));
            }
        }
        start.elapsed()
    }

    /// How long a batch of clicks takes, its columns made before.
    async fn record(&self, clicks: &[Click]) -> Duration {
        let ids: Vec<Uuid> = clicks.iter().map(|click| click.id).collect();
        let codes: Vec<&str> = clicks.iter().map(|click| click.code.as_str()).collect();
        let times: Vec<DateTime<Utc>> = clicks.iter().map(|click| click.clicked_at).collect();
        let links: Vec<Option<Uuid>> = clicks.iter().map(|click| click.link_id).collect();
        let (bots, visitors) = (vec![false; clicks.len()], vec![None::<i64>; clicks.len()]);
        let browsers: Vec<Option<&str>> = clicks.iter().map(|click| click.browser.as_deref()).collect();
        let none = vec![None::<&str>; clicks.len()];
        let oldest = times.iter().min().unwrap();
        let start = Instant::now();
        let params: [&(dyn linkly_store_postgres::deadpool_postgres::tokio_postgres::types::ToSql + Sync); 12] =
            [&ids, &codes, &times, &links, &bots, &visitors, &none, &browsers, &none, &none, &none, oldest];
        self.client.query(&self.record, &params).await.unwrap();
        start.elapsed()
    }
}

/// How long 64 tasks take for a series of codes, each asking for one after the other.
async fn miss(linkly: &Linkly, codes: &Arc<Codes>, first: usize) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (linkly, codes) = (linkly.clone(), codes.clone());
            tokio::spawn(async move {
                for i in (first + task..first + CODES).step_by(TASKS) {
                    let found = linkly.resolve(codes.get(i)).await.unwrap();
                    assert!(matches!(found, Resolution::Found(_)), "{}", codes.get(i));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

/// How long the store takes for a batch of clicks.
async fn record(store: &PostgresStore, clicks: &[Click]) -> Duration {
    let start = Instant::now();
    store.record(clicks).await.unwrap();
    start.elapsed()
}

/// The n-th batch: hot and cold codes, a millisecond after each other.
fn batch(codes: &Codes, n: usize) -> Vec<Click> {
    let start: DateTime<Utc> = "2026-01-11T10:00:00Z".parse().unwrap();
    let click = |i: usize| {
        let mut click = Click::new(Code::new(codes.get(i)).unwrap(), start + TimeDelta::milliseconds(i as i64));
        click.browser = Some("Firefox".into());
        click
    };
    (n * BATCH..(n + 1) * BATCH).map(click).collect()
}

fn benches(criterion: &mut Criterion) {
    let server = Postgres::start();
    let url = server.new_database();
    let runtime = Runtime::new().unwrap();
    let (linkly, store, raw) = runtime.block_on(async {
        let store = PostgresStore::connect(&url).await.unwrap();
        let config = Config::default().with_poll_changes(Duration::ZERO);
        // Without a cache every resolve is a miss.
        let linkly = Linkly::builder(store.clone()).config(config).start().await.unwrap();
        fill(&linkly).await;
        store.pool().get().await.unwrap().batch_execute("VACUUM ANALYZE").await.unwrap();
        (linkly, store, Raw::connect(&url).await)
    });
    let codes = Arc::new(Codes::drawn(LINKS, Shape::Uniform, SEED));
    let clicked = Codes::drawn(LINKS, Shape::Zipf, SEED);

    let mut next = 0..;
    let mut group = criterion.benchmark_group("miss");
    group.throughput(Throughput::Elements(CODES as u64));
    let mut first = || next.next().unwrap_or(0) * CODES;
    group.bench_function("raw", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(raw.miss(&codes, first()))).sum());
    });
    group.bench_function("64 tasks", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(miss(&linkly, &codes, first()))).sum());
    });
    group.finish();

    let mut next = 0..;
    let mut group = criterion.benchmark_group("clicks");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut clicks = || batch(&clicked, next.next().unwrap_or(0));
    group.bench_function("raw", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(raw.record(&clicks()))).sum());
    });
    group.bench_function("store", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| runtime.block_on(record(&store, &clicks()))).sum());
    });
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        let paired = Paired::measure(
            60,
            |n| runtime.block_on(raw.miss(&codes, 2 * n * CODES)),
            |n| runtime.block_on(miss(&linkly, &codes, (2 * n + 1) * CODES)),
        );
        println!("miss/64 tasks: {}", paired.per(CODES as u64));
        let paired = Paired::measure(
            100,
            |n| runtime.block_on(raw.record(&batch(&clicked, 100_000 + 2 * n))),
            |n| runtime.block_on(record(&store, &batch(&clicked, 100_001 + 2 * n))),
        );
        println!("clicks/store: {}", paired.per(BATCH as u64));
    }
}

criterion_group!(all, benches);
criterion_main!(all);
