//! Misses and clicks on SQLite, beside rusqlite on one thread.
//!
//! For misses `raw` is what a program does that has the driver alone: one connection, one statement of the same
//! columns prepared once, a code at a time. Ours is 64 tasks that resolve codes which no cache holds. For clicks
//! `raw` runs the very statement that the store makes of a batch, on a file of its own with the same pragmas.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Paired, Shape, resolve_on_tasks, statement_of};
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Click, ClickSink, Code, Config, Linkly, NewLink};
use linkly_sql::Value;
use linkly_store_sqlite::SqliteStore;
use rusqlite::{Connection, params_from_iter, types};
use tokio::runtime::Runtime;

const LINKS: usize = 100_000;
const SEED: u64 = 1;
const TASKS: usize = 64;
/// Codes of one iteration.
const CODES: usize = 6_400;

/// Clicks of one batch, of how many codes.
const BATCH: usize = 1_000;
const CLICKED: usize = 100;

const SELECT: &str = "SELECT id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                      FROM links WHERE code = ?1 AND retired_at IS NULL";

async fn fill(linkly: &Linkly) {
    for codes in Codes::all(LINKS, SEED).chunks(5_000) {
        let new = |code: &String| NewLink::new(format!("https://iii.dev/where/it/leads/{code}")).with_code(code);
        for made in linkly.create_many(codes.iter().map(new).collect()).await.unwrap() {
            made.unwrap();
        }
    }
}

/// How long rusqlite takes for a series of codes.
fn raw(connection: &Connection, codes: &Codes, first: usize) -> Duration {
    let mut select = connection.prepare_cached(SELECT).unwrap();
    let start = Instant::now();
    for i in first..first + CODES {
        let row = select.query_row([codes.get(i)], |row| {
            let id: [u8; 16] = row.get(0)?;
            let url: String = row.get(1)?;
            let options: (u16, bool, Option<u32>) = (row.get(2)?, row.get(3)?, row.get(4)?);
            let times: (Option<String>, Option<String>) = (row.get(5)?, row.get(6)?);
            let tags: Option<String> = row.get(7)?;
            Ok((id, url, options, times, tags))
        });
        black_box(row.unwrap());
    }
    start.elapsed()
}

fn misses(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linkly.db");
    let runtime = runtime();
    let linkly = runtime.block_on(async {
        let store = SqliteStore::connect(&format!("sqlite:{}", file.display())).await.unwrap();
        let config = Config::default().with_poll_changes(Duration::ZERO);
        // Without a cache every resolve is a miss.
        let linkly = Linkly::builder(store).config(config).start().await.unwrap();
        fill(&linkly).await;
        linkly
    });
    let connection = Connection::open(&file).unwrap();
    let codes = Arc::new(Codes::drawn(LINKS, Shape::Uniform, SEED));
    let ours = |first| runtime.block_on(resolve_on_tasks(&linkly, &codes, TASKS, first, CODES));

    let mut group = criterion.benchmark_group("miss");
    group.throughput(Throughput::Elements(CODES as u64));
    let mut first = 0;
    group.bench_function("raw", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    first += CODES;
                    raw(&connection, &codes, first)
                })
                .sum()
        });
    });
    group.bench_function("64 tasks", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    first += CODES;
                    ours(first)
                })
                .sum()
        });
    });
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        let paired = Paired::measure(100, |n| raw(&connection, &codes, 2 * n * CODES), |n| ours((2 * n + 1) * CODES));
        println!("miss/64 tasks: {}", paired.per(CODES as u64));
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The n-th batch, a click each millisecond.
fn batch(n: usize) -> Vec<Click> {
    let start: DateTime<Utc> = "2026-01-11T10:00:00Z".parse().unwrap();
    let click = |i: usize| {
        let code = Code::new(&format!("c{}", i % CLICKED)).unwrap();
        Click::new(code, start + TimeDelta::milliseconds((n * BATCH + i) as i64))
    };
    (0..BATCH).map(click).collect()
}

fn value(value: Value) -> types::Value {
    match value {
        Value::Null => types::Value::Null,
        Value::Integer(value) => types::Value::Integer(value),
        Value::Real(value) => types::Value::Real(value),
        Value::Text(value) => types::Value::Text(value),
        Value::Blob(value) => types::Value::Blob(value),
    }
}

fn clicks(criterion: &mut Criterion) {
    let (folder, runtime) = (tempfile::tempdir().unwrap(), runtime());
    let open = |name: &str| {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        runtime.block_on(SqliteStore::connect(&url)).unwrap()
    };
    // The schema is the store's.
    runtime.block_on(open("raw.db").close());
    let connection = Connection::open(folder.path().join("raw.db")).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").unwrap();
    let raw = |n: usize| {
        let statement = runtime.block_on(statement_of(&batch(n)));
        let mut prepared = connection.prepare_cached(&statement.sql).unwrap();
        let start = Instant::now();
        prepared.execute(params_from_iter(statement.parameters.into_iter().map(value))).unwrap();
        start.elapsed()
    };
    let store = open("ours.db");
    let ours = |n: usize| {
        let batch = batch(n);
        let start = Instant::now();
        runtime.block_on(store.record(&batch)).unwrap();
        start.elapsed()
    };

    let mut group = criterion.benchmark_group("clicks");
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut number = 0;
    let mut next = move || {
        number += 1;
        number
    };
    group.bench_function("raw", |b| b.iter_custom(|times| (0..times).map(|_| raw(next())).sum()));
    group.bench_function("a batch of 1,000", |b| b.iter_custom(|times| (0..times).map(|_| ours(next())).sum()));
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        // Behind those of criterion's: a batch that is sent again is no longer new.
        let first = 1_000_000;
        let paired = Paired::measure(300, |n| raw(first + n), |n| ours(first + n));
        println!("clicks/a batch of 1,000: {}", paired.per(BATCH as u64));
    }
}

criterion_group!(benches, misses, clicks);
criterion_main!(benches);
