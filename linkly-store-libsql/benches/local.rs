//! Clicks in a file of libSQL, beside the libsql crate running the very statement that the store makes of a
//! batch, on a file of its own with the same pragmas.
//!
//! Here and not with the other benchmarks, whose package links the SQLite of sqlx.

use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Paired, statement_of};
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Click, ClickSink, Code};
use linkly_store_libsql::libsql::{self, Builder};
use linkly_store_libsql::{LibsqlStore, Value};

/// Clicks of one batch, of how many codes.
const BATCH: usize = 1_000;
const CLICKED: usize = 100;

/// The n-th batch, a click each millisecond.
fn batch(n: usize) -> Vec<Click> {
    let start: DateTime<Utc> = "2026-01-11T10:00:00Z".parse().unwrap();
    let click = |i: usize| {
        let code = Code::new(&format!("c{}", i % CLICKED)).unwrap();
        Click::new(code, start + TimeDelta::milliseconds((n * BATCH + i) as i64))
    };
    (0..BATCH).map(click).collect()
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

fn clicks(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let open = |name: &str| {
        let url = format!("file:{}", folder.path().join(name).display());
        runtime.block_on(LibsqlStore::connect(&url)).unwrap()
    };
    // The schema is the store's.
    runtime.block_on(open("raw.db").close());
    let connection = runtime.block_on(async {
        let database = Builder::new_local(folder.path().join("raw.db")).build().await.unwrap();
        let connection = database.connect().unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").await.unwrap();
        connection
    });
    let sql = runtime.block_on(statement_of(&batch(0))).sql;
    let prepared = runtime.block_on(connection.prepare(&sql)).unwrap();
    let raw = |n: usize| {
        let statement = runtime.block_on(statement_of(&batch(n)));
        let values: Vec<_> = statement.parameters.into_iter().map(value).collect();
        let start = Instant::now();
        runtime.block_on(prepared.execute(values)).unwrap();
        prepared.reset();
        start.elapsed()
    };
    let store = open("ours.db");
    let ours = |n: usize| {
        let batch = batch(n);
        let start = Instant::now();
        runtime.block_on(store.record(&batch)).unwrap();
        start.elapsed()
    };

    let mut group = criterion.benchmark_group("clicks in a file of libSQL");
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
        println!("clicks in a file of libSQL/a batch of 1,000: {}", paired.per(BATCH as u64));
    }
}

criterion_group!(benches, clicks);
criterion_main!(benches);
