//! A stream of Redis, beside the same commands in pipelines over one connection: clicks added to it, and clicks
//! brought through it to a sink that takes everything.

use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_benches::{Codes, Nowhere, Shape, Suite, batch, timed};
use linkly_cache::redis::{self, aio::MultiplexedConnection};
use linkly_core::{Click, ClickSink};
use linkly_queue::{RedisStream, StreamConfig};
use linkly_testkit::Redis;

const STREAM: &str = "raw";
const GROUP: &str = "writers";
/// Clicks of a batch, and batches that are brought through at a time.
const BATCH: usize = 1_000;
const BATCHES: usize = 20;
const SEED: u64 = 1;

/// An entry's id, and its fields and values.
type Entry = (String, Vec<Vec<u8>>);

/// The driver, and a value of as many bytes as a click of these benches takes in a stream.
struct Driver {
    connection: MultiplexedConnection,
    value: Vec<u8>,
}

impl Driver {
    async fn connect(url: &str, value: Vec<u8>) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut create = redis::cmd("XGROUP");
        create.arg("CREATE").arg(STREAM).arg(GROUP).arg("$").arg("MKSTREAM");
        create.exec_async(&mut connection).await.unwrap();
        Self { connection, value }
    }

    async fn add(&self, clicks: usize) {
        let mut commands = redis::pipe();
        for _ in 0..clicks {
            commands.cmd("XADD").arg(STREAM).arg("*").arg("click").arg(&self.value).ignore();
        }
        commands.exec_async(&mut self.connection.clone()).await.unwrap();
    }

    /// Reads a batch as a member of the group, and takes it out of the stream.
    async fn take(&self) {
        let mut connection = self.connection.clone();
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg("one").arg("COUNT").arg(BATCH).arg("STREAMS").arg(STREAM).arg(">");
        let read: Vec<(String, Vec<Entry>)> = read.query_async(&mut connection).await.unwrap();
        let ids: Vec<&str> = read[0].1.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), BATCH);
        let mut settle = redis::pipe();
        settle.cmd("XACK").arg(STREAM).arg(GROUP).arg(&ids).ignore();
        settle.cmd("XDEL").arg(STREAM).arg(&ids).ignore();
        settle.exec_async(&mut connection).await.unwrap();
    }

    /// The value of the first entry of a stream.
    async fn first_value(url: &str, stream: &str) -> Vec<u8> {
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut first = redis::cmd("XRANGE");
        first.arg(stream).arg("-").arg("+").arg("COUNT").arg(1);
        let entries: Vec<Entry> = first.query_async(&mut connection).await.unwrap();
        entries[0].1[1].clone()
    }
}

fn main() {
    let mut suite = Suite::of_store("stream");
    let codes = Codes::drawn(suite.sizes().links, Shape::Uniform, SEED);
    let redis = Redis::start();
    let config = StreamConfig::default().with_limit(u64::MAX).with_timeout(Duration::from_secs(10));
    let (stream, driver) = suite.block_on(async {
        let stream = RedisStream::open(redis.url(), config).unwrap();
        stream.record(&batch(&codes, 0, BATCH)).await.unwrap();
        let value = Driver::first_value(redis.url(), "linkly:{clicks}").await;
        (stream, Driver::connect(redis.url(), value).await)
    });
    suite.batches(suite.sizes().links, &stream, &async |clicks: &[Click]| {
        let start = Instant::now();
        driver.add(clicks.len()).await;
        start.elapsed()
    });

    // What is in both by now is of no use to those who follow.
    let redis = Redis::start();
    let (stream, writers, driver) = suite.block_on(async {
        let stream = RedisStream::open(redis.url(), StreamConfig::default()).unwrap();
        let writers = stream.deliver_to(Arc::new(Nowhere)).unwrap();
        (stream, writers, Driver::connect(redis.url(), driver.value).await)
    });
    suite.pair(
        "deliver",
        "1,000 to a sink",
        (BATCH * BATCHES) as u64,
        async |places| {
            timed(async {
                for _ in places {
                    for _ in 0..BATCHES {
                        driver.add(BATCH).await;
                        driver.take().await;
                    }
                }
            })
            .await
        },
        async |places| {
            let batches: Vec<_> = (0..BATCHES).map(|place| batch(&codes, place, BATCH)).collect();
            timed(async {
                for _ in places {
                    for clicks in &batches {
                        stream.record(clicks).await.unwrap();
                    }
                    stream.flush().await.unwrap();
                }
            })
            .await
        },
    );
    suite.block_on(writers.shutdown(Duration::from_secs(5)));
}
