//! A miss on SQLite, beside rusqlite's prepared select of the same columns on one thread.
//!
//! `raw` is what a program does that has the driver alone: one connection, one statement prepared once,
//! a code at a time. Ours is 64 tasks that resolve codes which no cache holds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Paired, Shape, resolve_on_tasks};
use linkly_core::{Config, Linkly, NewLink};
use linkly_store_sqlite::SqliteStore;
use rusqlite::Connection;

const LINKS: usize = 100_000;
const SEED: u64 = 1;
const TASKS: usize = 64;
/// Codes of one iteration.
const CODES: usize = 6_400;

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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
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

criterion_group!(benches, misses);
criterion_main!(benches);
