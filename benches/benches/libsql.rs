//! Misses and clicks on a libSQL server (sqld), beside the libsql crate.
//!
//! For misses `raw` is what a program does that has the crate alone: one connection, a query of the same columns
//! for one code at a time. Ours is 64 tasks that resolve codes which no cache holds. For clicks `raw` sends the
//! very statement that the store makes of a batch.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Paired, Shape, statement_of};
use linkly_core::chrono::Utc;
use linkly_core::{Click, ClickSink, Code, Config, Linkly, NewLink, Resolution};
use linkly_sql::{Statement, Value};
use linkly_store_libsql::LibsqlStore;
use linkly_store_libsql::libsql::{self, Builder, Connection};
use linkly_testkit::Sqld;
use tokio::runtime::Runtime;

const LINKS: usize = 20_000;
const SEED: u64 = 1;
const TASKS: usize = 64;
/// Codes of one slice.
const RAW_CODES: usize = 20;
const CODES: usize = 640;
/// Clicks of one batch, of how many codes.
const BATCH: usize = 1_000;
const CLICKED: usize = 100;

const SELECT: &str = "SELECT id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                      FROM links WHERE code = ?1 AND retired_at IS NULL";

/// A server with links, the engine on it, and a connection of the crate's own.
struct Bench {
    runtime: Runtime,
    linkly: Linkly,
    store: LibsqlStore,
    connection: Connection,
    codes: Arc<Codes>,
    _sqld: Sqld,
}

impl Bench {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let sqld = Sqld::start();
        let (linkly, store, connection) = runtime.block_on(async {
            let store = LibsqlStore::connect(sqld.url()).await.unwrap();
            let config = Config::default().with_poll_changes(Duration::ZERO);
            // Without a cache every resolve is a miss.
            let linkly = Linkly::builder(store.clone()).config(config).start().await.unwrap();
            for codes in Codes::all(LINKS, SEED).chunks(5_000) {
                let new =
                    |code: &String| NewLink::new(format!("https://iii.dev/where/it/leads/{code}")).with_code(code);
                for made in linkly.create_many(codes.iter().map(new).collect()).await.unwrap() {
                    made.unwrap();
                }
            }
            let database = Builder::new_remote(sqld.url().to_owned(), String::new()).build().await.unwrap();
            (linkly, store, database.connect().unwrap())
        });
        let codes = Arc::new(Codes::drawn(LINKS, Shape::Uniform, SEED));
        Self { runtime, linkly, store, connection, codes, _sqld: sqld }
    }

    /// How long the crate takes for a series of codes.
    fn raw_misses(&self, first: usize) -> Duration {
        self.runtime.block_on(async {
            let start = Instant::now();
            for i in first..first + RAW_CODES {
                let mut rows = self.connection.query(SELECT, [self.codes.get(i)]).await.unwrap();
                black_box(rows.next().await.unwrap().unwrap().get::<String>(1).unwrap());
                while rows.next().await.unwrap().is_some() {}
            }
            start.elapsed()
        })
    }

    /// How long 64 tasks take for theirs, each asking for one after the other.
    fn misses(&self, first: usize) -> Duration {
        self.runtime.block_on(async {
            let start = Instant::now();
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| {
                    let (linkly, codes) = (self.linkly.clone(), self.codes.clone());
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
        })
    }

    fn batch(&self, number: usize) -> Vec<Click> {
        let code = |i: usize| Code::new(self.codes.get(number * CLICKED + i % CLICKED)).unwrap();
        (0..BATCH).map(|i| Click::new(code(i), Utc::now())).collect()
    }

    /// The statement that a store makes of a batch.
    fn statement(&self, number: usize) -> Statement {
        self.runtime.block_on(statement_of(&self.batch(number)))
    }

    /// How long the crate takes to send it.
    fn raw_clicks(&self, number: usize) -> Duration {
        let statement = self.statement(number);
        self.runtime.block_on(async {
            let start = Instant::now();
            let values: Vec<_> = statement.parameters.into_iter().map(value).collect();
            self.connection.execute(&statement.sql, values).await.unwrap();
            start.elapsed()
        })
    }

    fn clicks(&self, number: usize) -> Duration {
        let batch = self.batch(number);
        self.runtime.block_on(async {
            let start = Instant::now();
            self.store.record(&batch).await.unwrap();
            start.elapsed()
        })
    }
}

fn value(value: Value) -> libsql::Value {
    match value {
        Value::Null => libsql::Value::Null,
        Value::Integer(value) => libsql::Value::Integer(value),
        Value::Real(value) => libsql::Value::Real(value),
        Value::Text(value) => libsql::Value::Text(value),
        Value::Blob(value) => libsql::Value::Blob(value),
    }
}

fn on_a_server(criterion: &mut Criterion) {
    let bench = Bench::start();
    let mut group = criterion.benchmark_group("libsql server");
    group.sample_size(10);
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    group.throughput(Throughput::Elements(RAW_CODES as u64));
    group.bench_function("misses, raw", |b| b.iter_custom(|n| (0..n).map(|_| bench.raw_misses(next() * CODES)).sum()));
    group.throughput(Throughput::Elements(CODES as u64));
    group.bench_function("misses, 64 tasks", |b| b.iter_custom(|n| (0..n).map(|_| bench.misses(next() * CODES)).sum()));
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("clicks, raw", |b| b.iter_custom(|n| (0..n).map(|_| bench.raw_clicks(next())).sum()));
    group.bench_function("clicks", |b| b.iter_custom(|n| (0..n).map(|_| bench.clicks(next())).sum()));
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        let per = |slice: Duration, calls: usize| slice.div_f64(calls as f64);
        let misses = Paired::measure(
            60,
            |n| per(bench.raw_misses(2 * n * CODES), RAW_CODES),
            |n| per(bench.misses((2 * n + 1) * CODES), CODES),
        );
        println!("libsql server, misses/64 tasks: {misses}");
        let clicks = Paired::measure(60, |n| bench.raw_clicks(2 * n), |n| bench.clicks(2 * n + 1));
        println!("libsql server, clicks of a batch of 1,000: {}", clicks.per(BATCH as u64));
    }
}

criterion_group!(benches, on_a_server);
criterion_main!(benches);
