//! Codes that only Redis has, beside `MGET` of 64 of the same keys over one connection.
//!
//! `raw` is one `MGET` after the other, each of 64 keys, with the values as bytes. `get` is a call of the cache for
//! 64 codes; `64 tasks` is what an engine makes of 64 tasks that each ask for one code after the other.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Paired, Shape, resolve_on_tasks};
use linkly_cache::redis::{self, aio::MultiplexedConnection};
use linkly_cache::{RedisCache, RedisConfig};
use linkly_core::{Cache, Clock, Code, Config, Linkly, MemoryStore, NewLink, SystemClock};
use linkly_testkit::Redis;

const LINKS: usize = 20_000;
const SEED: u64 = 1;
const TASKS: usize = 64;
/// Codes of one iteration.
const CODES: usize = 6_400;

fn cache(redis: &Redis) -> RedisCache {
    let patient = RedisConfig::new().with_timeout(Duration::from_secs(10));
    RedisCache::open_with(redis.url(), patient).unwrap()
}

/// An engine whose cache is the Redis alone, which has all links.
async fn linkly(redis: &Redis) -> Linkly {
    let hour = Duration::from_secs(3_600);
    let config = Config::default().with_poll_changes(Duration::ZERO).with_freshness(hour, hour);
    let linkly = Linkly::builder(MemoryStore::new()).cache(cache(redis)).config(config).start().await.unwrap();
    for codes in Codes::all(LINKS, SEED).chunks(5_000) {
        let new = |code: &String| NewLink::new(format!("https://iii.dev/where/it/leads/{code}")).with_code(code);
        for made in linkly.create_many(codes.iter().map(new).collect()).await.unwrap() {
            made.unwrap();
        }
        for code in codes {
            linkly.resolve(code).await.unwrap();
        }
    }
    linkly
}

/// What a key begins with, up to the code in its braces.
async fn namespace(connection: &mut MultiplexedConnection) -> String {
    let keys: Vec<String> = redis::cmd("KEYS").arg("*{0000000}").query_async(connection).await.unwrap();
    keys[0].split_once('{').unwrap().0.to_owned()
}

async fn raw(connection: &mut MultiplexedConnection, namespace: &str, codes: &Codes, first: usize) -> Duration {
    let start = Instant::now();
    for batch in (first..first + CODES).step_by(TASKS) {
        let mut question = redis::cmd("MGET");
        for i in batch..batch + TASKS {
            question.arg(format!("{namespace}{{{}}}", codes.get(i)));
        }
        let values: Vec<Vec<u8>> = question.query_async(connection).await.unwrap();
        assert!(black_box(values).iter().all(|value| !value.is_empty()));
    }
    start.elapsed()
}

async fn get(cache: &RedisCache, codes: &Codes, first: usize) -> Duration {
    let start = Instant::now();
    for batch in (first..first + CODES).step_by(TASKS) {
        let codes: Vec<Code> = (batch..batch + TASKS).map(|i| Code::new(codes.get(i)).unwrap()).collect();
        let lookups = cache.get(&codes, SystemClock.tick()).await.unwrap();
        assert!(black_box(lookups).iter().all(|lookup| lookup.entry.is_some()));
    }
    start.elapsed()
}

fn hits(criterion: &mut Criterion) {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (linkly, cache, connection, namespace) = runtime.block_on(async {
        let linkly = linkly(&redis).await;
        let client = redis::Client::open(redis.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let namespace = namespace(&mut connection).await;
        (linkly, cache(&redis), connection, namespace)
    });
    let codes = Arc::new(Codes::drawn(LINKS, Shape::Uniform, SEED));
    let raw = |first: usize| runtime.block_on(raw(&mut connection.clone(), &namespace, &codes, first));
    let get = |first: usize| runtime.block_on(get(&cache, &codes, first));
    let tasks = |first: usize| runtime.block_on(resolve_on_tasks(&linkly, &codes, TASKS, first, CODES));

    let mut group = criterion.benchmark_group("shared");
    group.throughput(Throughput::Elements(CODES as u64));
    let named: [(&str, &dyn Fn(usize) -> Duration); 3] = [("raw", &raw), ("get", &get), ("64 tasks", &tasks)];
    for (name, slice) in named {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times as usize).map(|n| slice(n * CODES)).sum());
        });
    }
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        for (name, slice) in &named[1..] {
            let paired = Paired::measure(100, |n| raw(2 * n * CODES), |n| slice((2 * n + 1) * CODES));
            println!("shared/{name}: {}", paired.per(CODES as u64));
        }
    }
}

criterion_group!(benches, hits);
criterion_main!(benches);
