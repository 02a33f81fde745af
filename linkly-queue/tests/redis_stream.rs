//! A stream of clicks in a real Redis, in front of real stores and of stores that fail.

#![cfg(feature = "redis")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{
    Acknowledge, Click, ClickSink, ClickSinkExt, ClickStats, ClickStatsExt, Code, Error, Linkly, ListClicks,
    MemoryStore, NewLink, RecorderConfig, Result, TimeRange, Uuid, VisitContext,
};
use linkly_queue::redis::{self, AsyncCommands};
use linkly_queue::{AtLimit, Letters, RedisStream, StreamConfig};
use linkly_store_postgres::PostgresStore;
use linkly_testkit::{Postgres, Proxy, Redis};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const BRIEF: Duration = Duration::from_millis(1);

/// What one call of the store comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Fails,
    FailsAfterWriting,
    Hangs,
    /// It refuses for good whatever has a click whose code begins with `bad`.
    RefusesBad,
    /// It waits until it is let go on.
    Waits,
}

/// A store in memory; what its calls come to is told.
#[derive(Debug)]
struct Store {
    memory: MemoryStore,
    fault: Mutex<Fault>,
    calls: watch::Sender<usize>,
    go_on: Semaphore,
}

impl Store {
    fn new() -> Arc<Self> {
        Self::with(Fault::RefusesBad)
    }

    fn with(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryStore::new(),
            fault: Mutex::new(fault),
            calls: watch::Sender::new(0),
            go_on: Semaphore::new(0),
        })
    }

    fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    async fn called(&self, times: usize) {
        timeout(SOON, self.calls.subscribe().wait_for(|calls| *calls >= times)).await.unwrap().unwrap();
    }

    /// How often each click is in the store; totals say the same.
    async fn rows(&self) -> HashMap<Uuid, u64> {
        rows(&self.memory).await
    }
}

async fn rows(store: &impl ClickStats) -> HashMap<Uuid, u64> {
    let (mut rows, mut counted) = (HashMap::new(), HashMap::<Code, u64>::new());
    let mut query = ListClicks::new(TimeRange::all());
    loop {
        let page = store.clicks(&query).await.unwrap();
        for click in page.items {
            *rows.entry(click.id).or_default() += 1;
            *counted.entry(click.code).or_default() += 1;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    for (code, count) in counted {
        assert_eq!(store.total(&code).await.unwrap().clicks, count, "{code}");
    }
    rows
}

#[async_trait]
impl ClickSink for Store {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        let fault = *self.fault.lock().unwrap();
        self.calls.send_modify(|calls| *calls += 1);
        match fault {
            Fault::None => {}
            Fault::Fails => return Err(Error::unavailable("fake", "down")),
            Fault::FailsAfterWriting => {
                self.memory.record(clicks).await?;
                return Err(Error::unavailable("fake", "the answer was lost"));
            }
            Fault::Hangs => std::future::pending().await,
            Fault::Waits => self.go_on.acquire().await.unwrap().forget(),
            Fault::RefusesBad => {
                if let Some(bad) = clicks.iter().find(|click| click.code.as_str().starts_with("bad")) {
                    return Err(Error::Refused { backend: "fake", reason: bad.code.to_string(), source: None });
                }
            }
        }
        self.memory.record(clicks).await
    }
}

/// A configuration in which nothing waits longer than it must.
fn hasty() -> StreamConfig {
    StreamConfig::default()
        .with_prefix(Redis::shared().new_prefix())
        .with_interval(Duration::ZERO)
        .with_backoff(BRIEF, BRIEF)
        .with_claim_after(Duration::from_millis(300))
        .with_concurrency(2)
}

fn open(config: &StreamConfig) -> RedisStream {
    RedisStream::open(Redis::shared().url(), config.clone()).unwrap()
}

fn clicks(name: &str, numbers: std::ops::Range<usize>) -> Vec<Click> {
    numbers.map(|number| Click::new(Code::new(&format!("{name}{number}")).unwrap(), Utc::now())).collect()
}

async fn flush(stream: &RedisStream) {
    timeout(SOON, stream.flush()).await.expect("everything is delivered soon").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_reach_the_store_once_and_leave_the_stream() {
    let (store, stream) = (Store::new(), open(&hasty().with_batch(7)));
    let writers = stream.deliver_to(store.clone()).unwrap();
    let all = clicks("a", 0..2_500);
    stream.record(&all[..2_400]).await.unwrap();
    for click in &all[2_400..] {
        stream.record_one(click).await.unwrap();
    }
    flush(&stream).await;
    let rows = store.rows().await;
    assert!(all.iter().all(|click| rows[&click.id] == 1) && rows.len() == all.len());
    let status = stream.status().await.unwrap();
    assert_eq!((status.depth, status.pending, status.dead_letters, status.oldest_age), (0, 0, 0, Duration::ZERO));
    let metrics = stream.metrics();
    assert_eq!((metrics.accepted, metrics.delivered, metrics.dead), (2_500, 2_500, 0));
    let report = writers.shutdown(SOON).await;
    assert_eq!((report.delivered, report.is_finished), (2_500, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_wait_in_the_stream_until_there_is_a_writer() {
    let (config, store) = (hasty(), Store::new());
    let producer = open(&config);
    producer.record(&clicks("a", 0..50)).await.unwrap();
    let status = producer.status().await.unwrap();
    assert_eq!((status.depth, status.pending), (50, 0));
    drop(producer);
    let consumer = open(&config);
    let writers = consumer.deliver_to(store.clone()).unwrap();
    flush(&consumer).await;
    assert_eq!(store.rows().await.len(), 50);
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_several_processes_share_the_load() {
    let config = hasty().with_batch(10).with_concurrency(1);
    let (one, other) = (Store::with(Fault::Waits), Store::with(Fault::Waits));
    let (first, second) = (open(&config), open(&config));
    let writers = (first.deliver_to(one.clone()).unwrap(), second.deliver_to(other.clone()).unwrap());
    first.record(&clicks("a", 0..100)).await.unwrap();
    // Each holds a batch, and neither that of the other.
    one.called(1).await;
    other.called(1).await;
    for store in [&one, &other] {
        store.set(Fault::None);
        store.go_on.add_permits(100);
    }
    flush(&first).await;
    let (rows, others) = (one.rows().await, other.rows().await);
    assert!(rows.len() >= 10 && others.len() >= 10, "{} and {}", rows.len(), others.len());
    assert_eq!(rows.len() + others.len(), 100, "none went to both");
    writers.0.shutdown(SOON).await;
    writers.1.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_writer_had_in_hand_when_it_ended_is_taken_over() {
    let (config, stuck, store) = (hasty(), Store::with(Fault::Waits), Store::new());
    let stream = open(&config);
    let ended = stream.deliver_to(stuck.clone()).unwrap();
    stream.record(&clicks("a", 0..20)).await.unwrap();
    stuck.called(1).await;
    drop(ended);
    let writers = stream.deliver_to(store.clone()).unwrap();
    flush(&stream).await;
    assert_eq!(store.rows().await.len(), 20);
    assert!(stream.metrics().claimed > 0);
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_ended_writer_had_in_hand_is_found_behind_what_living_ones_have() {
    let config = hasty().with_concurrency(1);
    let (busy, stuck, store) = (Store::with(Fault::Waits), Store::with(Fault::Waits), Store::new());
    let stream = open(&config.clone().with_batch(100));
    stream.record(&clicks("a", 0..100)).await.unwrap();
    let living = stream.deliver_to(busy.clone()).unwrap();
    busy.called(1).await;
    // With batches of one Redis looks at ten entries at a time.
    let small = open(&config.with_batch(1));
    small.record(&clicks("b", 0..1)).await.unwrap();
    let ended = small.deliver_to(stuck.clone()).unwrap();
    stuck.called(1).await;
    drop(ended);
    let writers = small.deliver_to(store.clone()).unwrap();
    store.called(1).await;
    busy.set(Fault::None);
    busy.go_on.add_permits(1);
    flush(&stream).await;
    assert_eq!((busy.rows().await.len(), store.rows().await.len()), (100, 1));
    living.shutdown(SOON).await;
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_waits_for_its_store_keeps_what_it_has_in_hand() {
    let config = hasty().with_concurrency(1).with_write_timeout(Duration::from_millis(50));
    let (down, idle) = (Store::with(Fault::Hangs), Store::new());
    let stream = open(&config);
    let waiting = stream.deliver_to(down.clone()).unwrap();
    stream.record(&clicks("a", 0..20)).await.unwrap();
    down.called(1).await;
    let other = open(&config);
    let writers = other.deliver_to(idle.clone()).unwrap();
    // Far longer than a writer's clicks are left alone without a sign of life.
    down.called(30).await;
    assert_eq!((other.metrics().claimed, idle.rows().await.len()), (0, 0));
    down.set(Fault::None);
    flush(&stream).await;
    assert_eq!(down.rows().await.len(), 20);
    assert_eq!(stream.status().await.unwrap().dead_letters, 0, "a store that is down makes no dead letters");
    waiting.shutdown(SOON).await;
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_lost_count_nothing_twice() {
    let (store, stream) = (Store::with(Fault::FailsAfterWriting), open(&hasty()));
    let writers = stream.deliver_to(store.clone()).unwrap();
    let all = clicks("a", 0..50);
    // A caller that got no answer sends again.
    stream.record(&all).await.unwrap();
    stream.record(&all).await.unwrap();
    store.called(3).await;
    store.set(Fault::None);
    flush(&stream).await;
    let rows = store.rows().await;
    assert!(rows.len() == 50 && rows.values().all(|times| *times == 1));
    assert!(stream.metrics().retried > 0);
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_refuses_is_a_dead_letter_and_the_rest_is_written() {
    let (store, stream) = (Store::new(), open(&hasty()));
    let mut all = clicks("good", 0..60);
    let bad = clicks("bad", 0..3);
    (0..3).for_each(|n| all.insert(n * 20 + 7, bad[n].clone()));
    stream.record(&all).await.unwrap();
    let writers = stream.deliver_to(store.clone()).unwrap();
    flush(&stream).await;
    assert_eq!(store.rows().await.len(), 60);
    let first = stream.dead_letters(2, None).await.unwrap();
    let second = stream.dead_letters(2, first.next.as_ref()).await.unwrap();
    let letters: Vec<_> = first.items.iter().chain(&second.items).collect();
    assert_eq!((letters.len(), second.next), (3, None));
    for letter in letters {
        let sent = bad.iter().find(|click| **click == letter.click).expect("it is as it was recorded");
        assert!(letter.reason.contains(sent.code.as_str()) && letter.tries > 1, "{letter:?}");
    }
    assert_eq!(stream.replay(Letters::Of(vec![bad[1].id, Uuid::nil()])).await.unwrap(), 1);
    flush(&stream).await;
    assert_eq!(stream.status().await.unwrap().dead_letters, 3, "it is refused again");
    assert_eq!(stream.purge(Letters::Of(vec![bad[0].id])).await.unwrap(), 1);
    store.set(Fault::None);
    assert_eq!(stream.replay(Letters::All).await.unwrap(), 2);
    flush(&stream).await;
    let rows = store.rows().await;
    assert!(rows.len() == 62 && !rows.contains_key(&bad[0].id));
    writers.shutdown(SOON).await;
    assert!(
        stream.dead_letters(1, Some(&linkly_core::Cursor::new("spool/dead/1"))).await.unwrap_err().is_invalid_input()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_with_which_writers_end_is_given_up_alone() {
    let config = hasty().with_concurrency(1).with_max_retries(4).with_claim_after(Duration::from_millis(100));
    let stream = open(&config);
    let all = clicks("a", 0..5);
    stream.record(&all).await.unwrap();
    // Its writers end with the third click in hand, and do not get to the others in the same call.
    let poison = all[2].id;
    let mut ended = 0;
    let store = Store::with(Fault::None);
    while stream.status().await.unwrap().depth > 0 {
        let fatal = Arc::new(Fatal { poison, store: store.clone(), met: watch::Sender::new(false) });
        let writers = stream.deliver_to(fatal.clone()).unwrap();
        let mut met = fatal.met.subscribe();
        tokio::select! {
            _ = met.wait_for(|met| *met) => ended += 1,
            _ = stream.flush() => {}
        }
        drop(writers);
    }
    assert_eq!((ended, store.rows().await.len()), (4, 4));
    let letters = stream.dead_letters(10, None).await.unwrap().items;
    assert_eq!((letters.len(), letters[0].click.id, letters[0].tries), (1, poison, 4));
    assert!(letters[0].reason.contains("4 writers ended"), "{}", letters[0].reason);
}

/// Clicks in hand as Redis has them: their ids, for how long without a sign of life, and how many writers had each.
async fn pending(raw: &mut redis::aio::MultiplexedConnection, config: &StreamConfig) -> Vec<(String, u64, u32)> {
    let mut pending = redis::cmd("XPENDING");
    pending.arg(format!("{}{{clicks}}", config.prefix)).arg(&config.group).arg("-").arg("+").arg(1_000);
    let pending: Vec<(String, String, u64, u32)> = pending.query_async(raw).await.unwrap();
    pending.into_iter().map(|(id, _, idle, writers)| (id, idle, writers)).collect()
}

async fn length(raw: &mut redis::aio::MultiplexedConnection, stream: &str) -> u64 {
    redis::cmd("XLEN").arg(stream).query_async(raw).await.unwrap()
}

async fn connect(url: &str) -> redis::aio::MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_whose_writers_end_late_is_given_up_too() {
    let config = hasty().with_concurrency(1).with_max_retries(2).with_claim_after(Duration::from_millis(100));
    let (stream, mut raw) = (open(&config), connect(Redis::shared().url()).await);
    let all = clicks("a", 0..1);
    stream.record(&all).await.unwrap();
    let (mut ended, store) = (0, Store::with(Fault::None));
    while stream.status().await.unwrap().depth > 0 {
        let fatal = Arc::new(Fatal { poison: all[0].id, store: store.clone(), met: watch::Sender::new(false) });
        let writers = stream.deliver_to(fatal.clone()).unwrap();
        let mut met = fatal.met.subscribe();
        tokio::select! {
            _ = met.wait_for(|met| *met) => ended += 1,
            _ = stream.flush() => {}
        }
        // Not before it has given a sign of life.
        let (mut idle, mut is_renewed) = (0, stream.status().await.unwrap().depth == 0);
        while !is_renewed {
            let now = pending(&mut raw, &config).await[0].1;
            is_renewed = now < idle;
            idle = now;
        }
        drop(writers);
    }
    let letters = stream.dead_letters(10, None).await.unwrap().items;
    assert_eq!((ended, letters.len()), (2, 1), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_loses_its_connection_has_not_ended_with_what_it_had_in_hand() {
    let redis = Redis::start();
    let proxy = Proxy::in_front_of(redis.address());
    let config = hasty().with_concurrency(1).with_max_retries(2);
    let stream = RedisStream::open(&proxy.url(redis.url()), config.clone()).unwrap();
    let (stuck, store) = (Store::with(Fault::Waits), Store::new());
    let writers = stream.deliver_to(stuck.clone()).unwrap();
    while stream.record(&clicks("a", 0..5)).await.is_err() {
        tokio::task::yield_now().await;
    }
    for calls in 1..=6 {
        stuck.called(calls).await;
        proxy.cut();
    }
    stuck.called(7).await;
    let in_hand = pending(&mut connect(redis.url()).await, &config).await;
    assert!(in_hand.len() == 5 && in_hand.iter().all(|(_, _, writers)| *writers == 1), "{in_hand:?}");
    drop(writers);
    let writers = stream.deliver_to(store.clone()).unwrap();
    flush_patiently(&stream).await;
    assert_eq!(store.rows().await.len(), 5, "none was given up");
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_click_stays_until_its_dead_letter_is_there() {
    let (config, store) = (hasty(), Store::new());
    let (stream, mut raw) = (open(&config), connect(Redis::shared().url()).await);
    let (key, dead) = (format!("{}{{clicks}}", config.prefix), format!("{}{{clicks}}:dead", config.prefix));
    let _: () = raw.set(&dead, "somebody else's").await.unwrap();
    stream.record(&clicks("bad", 0..1)).await.unwrap();
    let writers = stream.deliver_to(store.clone()).unwrap();
    while stream.metrics().failed_calls < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(length(&mut raw, &key).await, 1);
    let _: u64 = raw.del(&dead).await.unwrap();
    flush(&stream).await;
    assert_eq!(stream.status().await.unwrap().dead_letters, 1);
    let _: u64 = raw.del(&key).await.unwrap();
    let _: () = raw.set(&key, "somebody else's").await.unwrap();
    assert!(stream.replay(Letters::All).await.is_err());
    assert_eq!(length(&mut raw, &dead).await, 1);
    drop(writers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_are_shut_down_in_the_same_time_as_one_though_redis_hangs() {
    let redis = Redis::start();
    let stream = RedisStream::open(redis.url(), hasty().with_concurrency(8)).unwrap();
    let stuck = Store::with(Fault::Waits);
    let writers = stream.deliver_to(stuck.clone()).unwrap();
    stream.record(&clicks("a", 0..10)).await.unwrap();
    stuck.called(1).await;
    redis.pause();
    let report =
        timeout(Duration::from_secs(3), writers.shutdown(Duration::ZERO)).await.expect("a second, and not eight");
    assert!(!report.is_finished);
    redis.resume();
}

/// A store that never comes back from a certain click.
#[derive(Debug)]
struct Fatal {
    poison: Uuid,
    store: Arc<Store>,
    met: watch::Sender<bool>,
}

#[async_trait]
impl ClickSink for Fatal {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        if clicks.iter().any(|click| click.id == self.poison) {
            self.met.send_replace(true);
            std::future::pending::<()>().await;
        }
        self.store.record(clicks).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_cannot_be_read_is_put_aside_and_kept() {
    let (config, store) = (hasty(), Store::new());
    let stream = open(&config);
    let key = format!("{}{{clicks}}", config.prefix);
    let mut raw = connect(Redis::shared().url()).await;
    let foreign: String =
        redis::cmd("XADD").arg(&key).arg("*").arg("hello").arg("world").query_async(&mut raw).await.unwrap();
    assert!(foreign.contains('-'));
    stream.record(&clicks("a", 0..3)).await.unwrap();
    let writers = stream.deliver_to(store.clone()).unwrap();
    flush(&stream).await;
    assert_eq!(store.rows().await.len(), 3);
    let status = stream.status().await.unwrap();
    assert_eq!((status.depth, status.unreadable, stream.metrics().unreadable), (0, 1, 1));
    writers.shutdown(SOON).await;

    // A click that an older release could not read comes back with a writer that can.
    let click = &clicks("late", 0..1)[0];
    stream.record_one(click).await.unwrap();
    let entry: Vec<(String, Vec<Vec<u8>>)> =
        redis::cmd("XRANGE").arg(&key).arg("-").arg("+").query_async(&mut raw).await.unwrap();
    let aside = format!("{key}:unreadable");
    let _: String = redis::cmd("XADD").arg(&aside).arg("*").arg(&entry[0].1).query_async(&mut raw).await.unwrap();
    let _: u64 = raw.del(&key).await.unwrap();
    let writers = stream.deliver_to(store.clone()).unwrap();
    store.called(2).await;
    flush(&stream).await;
    assert_eq!(store.rows().await.get(&click.id), Some(&1));
    assert_eq!(stream.status().await.unwrap().unreadable, 1, "what is no click stays");
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_stream_waits_refuses_or_drops() {
    let full = async |at_limit| {
        let config = hasty().with_limit(10).with_at_limit(at_limit);
        let stream = open(&config);
        stream.record(&clicks("a", 0..8)).await.unwrap();
        stream
    };
    let stream = full(AtLimit::Refuse).await;
    let error = stream.record(&clicks("b", 0..3)).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("10"), "{error}");
    assert_eq!((stream.status().await.unwrap().depth, stream.metrics().refused), (8, 3), "all or none");
    stream.record(&clicks("c", 0..2)).await.unwrap();
    let error = stream.record(&clicks("d", 0..11)).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");

    let stream = open(&hasty().with_limit(3_000).with_at_limit(AtLimit::Refuse));
    stream.record(&clicks("a", 0..1_500)).await.unwrap();
    assert!(stream.record(&clicks("b", 0..2_500)).await.unwrap_err().is_transient());
    assert_eq!(stream.status().await.unwrap().depth, 1_500, "nor is a part kept of more than one script adds");
    stream.record(&clicks("c", 0..1_500)).await.unwrap();

    let stream = full(AtLimit::Drop).await;
    stream.record(&clicks("b", 0..3)).await.unwrap();
    assert_eq!((stream.status().await.unwrap().depth, stream.metrics().dropped), (8, 3));

    let (stream, store) = (full(AtLimit::Wait).await, Store::new());
    let waiting = tokio::spawn({
        let stream = stream.clone();
        async move { stream.record(&clicks("b", 0..3)).await }
    });
    while stream.metrics().blocked == 0 {
        tokio::task::yield_now().await;
    }
    let writers = stream.deliver_to(store.clone()).unwrap();
    timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    flush(&stream).await;
    assert_eq!((store.rows().await.len(), stream.metrics().blocked), (11, 0));
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_finishes_what_is_in_hand_and_gives_back_what_it_cannot() {
    let (stuck, stream) = (Store::with(Fault::Waits), open(&hasty().with_claim_after(Duration::from_secs(600))));
    let writers = stream.deliver_to(stuck.clone()).unwrap();
    stream.record(&clicks("a", 0..10)).await.unwrap();
    stuck.called(1).await;
    let finishing = tokio::spawn(writers.shutdown(SOON));
    stuck.go_on.add_permits(10);
    let report = finishing.await.unwrap();
    assert_eq!((report.delivered, report.is_finished), (10, true));
    assert_eq!(stream.status().await.unwrap().depth, 0);

    stuck.set(Fault::Fails);
    let writers = stream.deliver_to(stuck.clone()).unwrap();
    stream.record(&clicks("b", 0..10)).await.unwrap();
    stuck.called(3).await;
    let report = writers.shutdown(Duration::from_millis(50)).await;
    assert!(!report.is_finished);
    let status = stream.status().await.unwrap();
    assert_eq!(status.depth, 10, "nothing is lost");
    // Nobody waits ten minutes for what was given back.
    let store = Store::new();
    let writers = stream.deliver_to(store.clone()).unwrap();
    flush(&stream).await;
    assert_eq!((store.rows().await.len(), stream.status().await.unwrap().dead_letters), (10, 0));
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_killed_and_restarted_loses_nothing_that_was_acknowledged() {
    let redis = Redis::start_with(&["--appendfsync", "always"]);
    let (postgres, config) = (Postgres::shared().new_database(), hasty().with_timeout(Duration::from_millis(500)));
    let store = PostgresStore::connect(&postgres).await.unwrap();
    let stream = RedisStream::open(redis.url(), config).unwrap();
    let writers = stream.deliver_to(Arc::new(store.clone())).unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for number in 0..40 {
            let some = clicks(&format!("r{round}n{number}x"), 0..5);
            if number == 20 {
                redis.kill();
                assert!(stream.record(&some).await.unwrap_err().is_transient());
                redis.restart();
            }
            // A caller tries again; what had no answer before may be there all the same.
            while stream.record(&some).await.is_err() {
                tokio::task::yield_now().await;
            }
            acknowledged.extend(some);
        }
    }
    flush_patiently(&stream).await;
    let rows = rows(&store).await;
    assert!(acknowledged.iter().all(|click| rows.get(&click.id) == Some(&1)) && rows.len() == acknowledged.len());
    assert!(stream.metrics().failed_calls > 0, "the writers had to connect again");
    writers.shutdown(SOON).await;
}

async fn flush_patiently(stream: &RedisStream) {
    let flushed = async {
        while stream.flush().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, flushed).await.expect("everything is delivered soon");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_hangs_or_is_gone_is_an_error_in_time() {
    let redis = Redis::start();
    let stream = RedisStream::open(redis.url(), hasty().with_timeout(Duration::from_millis(200))).unwrap();
    stream.record(&clicks("a", 0..1)).await.unwrap();
    redis.pause();
    let error = timeout(SOON, stream.record(&clicks("b", 0..1))).await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error}");
    redis.resume();
    timeout(SOON, async {
        while stream.record(&clicks("c", 0..1)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let nowhere = RedisStream::open("redis://user:secret@127.0.0.1:1", hasty()).unwrap();
    let error = timeout(SOON, nowhere.record(&clicks("d", 0..1))).await.unwrap().unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(!format!("{nowhere:?} {error:?}").contains("secret"));
    assert!(RedisStream::open("http://127.0.0.1", hasty()).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_go_on_after_their_connections_were_cut() {
    let redis = Redis::start();
    let proxy = Proxy::in_front_of(redis.address());
    let store = Store::new();
    let stream = RedisStream::open(&proxy.url(redis.url()), hasty()).unwrap();
    let writers = stream.deliver_to(store.clone()).unwrap();
    for round in 0..5 {
        let some = clicks(&format!("r{round}x"), 0..20);
        while stream.record(&some).await.is_err() {
            tokio::task::yield_now().await;
        }
        proxy.cut();
    }
    flush_patiently(&stream).await;
    let rows = store.rows().await;
    assert!(rows.len() == 100 && rows.values().all(|times| *times == 1), "{}", rows.len());
    writers.shutdown(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_visit_is_in_postgres_exactly_once() {
    let database = Postgres::shared().new_database();
    let store = PostgresStore::connect(&database).await.unwrap();
    let stream = open(&hasty());
    let writers = stream.deliver_to(Arc::new(store.clone())).unwrap();
    let recorder = RecorderConfig::default().with_acknowledge(Acknowledge::Durable);
    let linkly = Linkly::builder(store.clone()).clicks(stream.clone()).recorder(recorder).start().await.unwrap();
    linkly.create(NewLink::new("https://iii.dev").with_code("iii")).await.unwrap();
    let visits = (0..64).map(|_| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.visit("iii", &VisitContext::new()).await.map(drop) })
    });
    for visit in visits.collect::<Vec<_>>() {
        visit.await.unwrap().unwrap();
    }
    flush(&stream).await;
    assert_eq!(linkly.stats("iii").await.unwrap().clicks, 64);
    assert_eq!(rows(&store).await.len(), 64);
    linkly.shutdown(SOON).await;
    writers.shutdown(SOON).await;
}

#[test]
fn outside_of_a_runtime_a_stream_says_what_it_needs() {
    let error = RedisStream::open("redis://127.0.0.1", StreamConfig::default()).unwrap_err();
    assert!(matches!(&error, Error::InvalidInput { what: "runtime", .. }), "{error}");
    assert!(error.to_string().contains("needs a running Tokio runtime"), "{error}");
}
