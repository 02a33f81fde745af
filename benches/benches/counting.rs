//! Four ways to count the clicks of redirects in Postgres: an update of a counter for each click, counters in Redis
//! that are flushed, a row for each click that is aggregated, and Linkly's rows and totals in one statement.
//!
//! 64 tasks make clicks as fast as each way takes them; an iteration ends when all of them are counted in Postgres.
//! None has the caller wait for Postgres; how many clicks are behind when the callers have made all is printed. Every
//! way has the same pool of connections, and each is compared on one hot link and on many.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use linkly_benches::{Codes, Shape};
use linkly_cache::redis::aio::MultiplexedConnection;
use linkly_cache::redis::{self, AsyncCommands};
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Code, Config, Linkly};
use linkly_store_postgres::PostgresStore;
use linkly_store_postgres::deadpool_postgres::Pool;
use linkly_testkit::{Postgres, Redis};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const TASKS: usize = 64;
/// Of one iteration.
const CLICKS: usize = 12_800;
const LINKS: usize = 1_000;
const SEED: u64 = 1;
const ROUNDS: usize = 5;
/// How often counters are flushed and rows aggregated.
const EVERY: Duration = Duration::from_secs(1);

const TABLES: &str = "
    CREATE TABLE counters (code text PRIMARY KEY, clicks bigint NOT NULL, last_clicked_at timestamptz);
    CREATE TABLE events (
        id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, code text NOT NULL, clicked_at timestamptz NOT NULL
    );
    CREATE TABLE aggregated (up_to bigint NOT NULL);
    INSERT INTO aggregated VALUES (0);";
const UPDATE: &str = "UPDATE counters SET clicks = clicks + 1, last_clicked_at = $2 WHERE code = $1";
const ADD: &str = "UPDATE counters SET clicks = counters.clicks + more.clicks \
                   FROM unnest($1::text[], $2::bigint[]) AS more (code, clicks) WHERE counters.code = more.code";
const APPEND: &str = "INSERT INTO events (code, clicked_at) VALUES ($1, $2)";
/// One job does it, so that nothing is counted twice. A row whose transaction ends after one with a higher number
/// would be passed over: here the job runs when all have ended, and elsewhere it has to wait for that.
const AGGREGATE: &str = "
    WITH old AS (SELECT up_to FROM aggregated FOR UPDATE),
         new AS (
             SELECT code, count(*) AS clicks, max(id) AS last FROM events WHERE id > (SELECT up_to FROM old) GROUP BY code
         ),
         added AS (UPDATE counters SET clicks = counters.clicks + new.clicks FROM new WHERE counters.code = new.code)
    UPDATE aggregated SET up_to = greatest(up_to, coalesce((SELECT max(last) FROM new), 0))";

/// What the ways have in common.
struct Setting {
    pool: Pool,
    redis: MultiplexedConnection,
    linkly: Linkly,
}

/// How an iteration went.
#[derive(Clone, Copy, Default)]
struct Outcome {
    /// Until the callers had made all clicks.
    made: Duration,
    /// Until all were counted.
    counted: Duration,
    /// Clicks that were not counted in Postgres when the callers had made all.
    behind: u64,
}

#[derive(Clone, Copy)]
enum Way {
    Update,
    Redis,
    Append,
    Linkly,
}

impl Way {
    const ALL: [(Self, &'static str); 4] = [
        (Self::Update, "an update each"),
        (Self::Redis, "counters in Redis, flushed"),
        (Self::Append, "a row each, aggregated"),
        (Self::Linkly, "Linkly"),
    ];

    async fn run(self, setting: &Setting, codes: &Arc<Codes>) -> Outcome {
        match self {
            Self::Update => each(setting, codes, UPDATE, false).await,
            Self::Append => each(setting, codes, APPEND, true).await,
            Self::Redis => in_redis(setting, codes).await,
            Self::Linkly => in_linkly(setting, codes).await,
        }
    }
}

/// Has 64 tasks make the clicks.
async fn make<C>(codes: &Arc<Codes>, click: impl Fn(Code, DateTime<Utc>) -> C + Clone + Send + 'static)
where
    C: Future<Output = ()> + Send,
{
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (codes, click) = (codes.clone(), click.clone());
        tasks.spawn(async move {
            for i in (task..CLICKS).step_by(TASKS) {
                click(Code::new(codes.get(i)).unwrap(), Utc::now()).await;
            }
        });
    }
    while let Some(made) = tasks.join_next().await {
        made.unwrap();
    }
}

/// A task and a statement for each click, as the redirect goes on.
async fn each(setting: &Setting, codes: &Arc<Codes>, sql: &'static str, aggregate: bool) -> Outcome {
    let start = Instant::now();
    let (pool, done) = (setting.pool.clone(), Arc::new(AtomicU64::new(0)));
    let counted = done.clone();
    let click = move |code: Code, at: DateTime<Utc>| {
        let (pool, done) = (pool.clone(), done.clone());
        async move {
            tokio::spawn(async move {
                let client = pool.get().await.unwrap();
                let statement = client.prepare_cached(sql).await.unwrap();
                client.execute(&statement, &[&code.as_str(), &at]).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
    };
    make(codes, click).await;
    let (made, behind) = (start.elapsed(), CLICKS as u64 - counted.load(Ordering::Relaxed));
    while counted.load(Ordering::Relaxed) < CLICKS as u64 {
        tokio::task::yield_now().await;
    }
    if aggregate {
        setting.pool.get().await.unwrap().execute(AGGREGATE, &[]).await.unwrap();
    }
    Outcome { made, counted: start.elapsed(), behind: if aggregate { CLICKS as u64 } else { behind } }
}

/// `HINCRBY` for each click, and what has gathered goes to Postgres once a second.
async fn in_redis(setting: &Setting, codes: &Arc<Codes>) -> Outcome {
    let start = Instant::now();
    let redis = setting.redis.clone();
    let click = move |code: Code, _| {
        let mut redis = redis.clone();
        async move { redis.hincr("clicks", code.as_str(), 1).await.unwrap() }
    };
    make(codes, click).await;
    let made = start.elapsed();
    // The flush of that second: the counters are taken, and lost if this process ends before Postgres has them.
    let mut redis = setting.redis.clone();
    let taken: (Vec<(String, i64)>, i64) =
        redis::pipe().atomic().hgetall("clicks").del("clicks").query_async(&mut redis).await.unwrap();
    let (codes, clicks): (Vec<String>, Vec<i64>) = taken.0.into_iter().unzip();
    let client = setting.pool.get().await.unwrap();
    client.execute(ADD, &[&codes, &clicks]).await.unwrap();
    Outcome { made, counted: start.elapsed(), behind: CLICKS as u64 }
}

async fn in_linkly(setting: &Setting, codes: &Arc<Codes>) -> Outcome {
    let start = Instant::now();
    let linkly = setting.linkly.clone();
    let before = linkly.recorder().metrics().written;
    let click = move |code: Code, at| {
        let linkly = linkly.clone();
        async move { linkly.record_click(code.as_str(), at).await.unwrap() }
    };
    make(codes, click).await;
    let made = start.elapsed();
    let behind = CLICKS as u64 - (setting.linkly.recorder().metrics().written - before);
    setting.linkly.flush().await.unwrap();
    Outcome { made, counted: start.elapsed(), behind }
}

async fn setting(url: &str, redis: &str) -> Setting {
    let store = PostgresStore::connect(url).await.unwrap();
    let client = store.pool().get().await.unwrap();
    client.batch_execute(TABLES).await.unwrap();
    for code in Codes::all(LINKS, SEED) {
        client.execute("INSERT INTO counters VALUES ($1, 0, NULL)", &[&code]).await.unwrap();
    }
    let redis = redis::Client::open(redis).unwrap().get_multiplexed_async_connection().await.unwrap();
    let config = Config::default().with_poll_changes(Duration::ZERO);
    let linkly = Linkly::builder(store.clone()).config(config).start().await.unwrap();
    Setting { pool: store.pool().clone(), redis, linkly }
}

fn counting(criterion: &mut Criterion) {
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let url = postgres.new_database();
    let runtime = Runtime::new().unwrap();
    let setting = runtime.block_on(setting(&url, redis.url()));
    let links = [
        ("one link", Arc::new(Codes::drawn(1, Shape::Uniform, SEED))),
        ("many links", Arc::new(Codes::drawn(LINKS, Shape::Zipf, SEED))),
    ];

    let mut group = criterion.benchmark_group("counting");
    group.sample_size(10);
    group.throughput(Throughput::Elements(CLICKS as u64));
    for (shape, codes) in &links {
        for (way, name) in Way::ALL {
            group.bench_function(BenchmarkId::new(name, shape), |bencher| {
                bencher
                    .iter_custom(|times| (0..times).map(|_| runtime.block_on(way.run(&setting, codes)).counted).sum());
            });
        }
    }
    group.finish();

    if !std::env::args().any(|arg| arg == "--test") {
        for (shape, codes) in &links {
            let mut outcomes: [Vec<Outcome>; Way::ALL.len()] = Default::default();
            // By turns, so that whatever else the machine does slows all.
            for _ in 0..ROUNDS {
                for ((way, _), outcomes) in Way::ALL.iter().zip(&mut outcomes) {
                    outcomes.push(runtime.block_on(way.run(&setting, codes)));
                }
            }
            for ((_, name), mut outcomes) in Way::ALL.iter().zip(outcomes) {
                outcomes.sort_by_key(|outcome| outcome.counted);
                let Outcome { made, counted, behind } = outcomes[ROUNDS / 2];
                let per = |time: Duration| time.div_f64(CLICKS as f64);
                println!(
                    "{shape}, {name}: the caller {:?} a click, counted {:?}, {behind} behind",
                    per(made),
                    per(counted)
                );
            }
        }
        println!("flushes and aggregations are due every {EVERY:?}, so what they count is late by up to that");
    }
}

criterion_group!(benches, counting);
criterion_main!(benches);
