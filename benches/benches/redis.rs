//! Codes that Redis has, beside `MGET` of the same keys over one connection.
//!
//! `redis` is the cache alone, so each hit is a round trip, which those of several tasks share. `tiered` has the
//! cache in memory in front of it, and stands beside quick_cache.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use linkly_benches::{Codes, RawCache, Suite};
use linkly_cache::redis::{self, aio::MultiplexedConnection};
use linkly_cache::{RedisCache, RedisConfig};
use linkly_testkit::Redis;

struct Driver {
    connection: MultiplexedConnection,
    /// What a key begins with, up to the code in its braces.
    namespace: String,
}

impl Driver {
    async fn connect(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = redis::cmd("KEYS").arg("*{0000000}").query_async(&mut connection).await.unwrap();
        let namespace = keys[0].split_once('{').unwrap().0.to_owned();
        Self { connection, namespace }
    }
}

impl RawCache for Driver {
    async fn look_up(&self, codes: &Arc<Codes>, places: Range<usize>, tasks: usize) {
        let mut connection = self.connection.clone();
        for first in places.step_by(tasks) {
            let mut question = redis::cmd("MGET");
            for i in first..first + tasks {
                question.arg(format!("{}{{{}}}", self.namespace, codes.get(i)));
            }
            let values: Vec<Vec<u8>> = question.query_async(&mut connection).await.unwrap();
            assert!(values.iter().all(|value| !value.is_empty()));
        }
    }
}

fn main() {
    let mut suite = Suite::of_cache("redis");
    let redis = Redis::start();
    let patient = RedisConfig::new().with_timeout(Duration::from_secs(10));
    let linkly = suite.behind(RedisCache::open_with(redis.url(), patient).unwrap());
    let driver = suite.block_on(Driver::connect(redis.url()));
    suite.cache(&linkly, &driver);
}
