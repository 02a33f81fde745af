//! What the tests of the shared cache have in common.

#![allow(dead_code, reason = "each test file uses its part")]

use std::time::{Duration, Instant};

use linkly_cache::redis::{self, aio::MultiplexedConnection};
use linkly_cache::{RedisCache, RedisConfig};
use linkly_core::{Cache, CacheExt, Clock, Code, Entry, Filled, SystemClock, Target, TargetParts, Tick, Uuid};
use linkly_testkit::Redis;

/// Far more than a call takes on a busy machine, so that reaching it is a failure and not bad luck.
pub(crate) const PATIENT: Duration = Duration::from_secs(20);
/// A lease alone: the format and the nonce.
const LEASE_BYTES: usize = 17;

pub(crate) fn patient(prefix: &str) -> RedisConfig {
    RedisConfig::new().with_prefix(prefix).with_timeout(PATIENT).with_connect_timeout(PATIENT)
}

pub(crate) async fn connect(url: &str) -> MultiplexedConnection {
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// Deletes the keys under the prefix: all, or those that hold a lease and no entry.
pub(crate) async fn delete(url: &str, prefix: &str, leases_alone: bool) {
    let mut connection = connect(url).await;
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("MATCH")
            .arg(format!("{prefix}*"))
            .arg("COUNT")
            .arg(1_000)
            .query_async(&mut connection)
            .await
            .unwrap();
        for key in keys {
            let length: usize = redis::cmd("STRLEN").arg(&key).query_async(&mut connection).await.unwrap();
            if !leases_alone || length == LEASE_BYTES {
                redis::cmd("DEL").arg(&key).exec_async(&mut connection).await.unwrap();
            }
        }
        if next == 0 {
            return;
        }
        cursor = next;
    }
}

/// A cache on a server that is the test's own.
pub(crate) fn cache_on(redis: &Redis, config: RedisConfig) -> RedisCache {
    RedisCache::open_with(redis.url(), config).unwrap()
}

pub(crate) fn now() -> Tick {
    SystemClock.tick()
}

pub(crate) fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

pub(crate) fn target(version: u128) -> Target {
    Target::new(TargetParts::new(Uuid::from_u128(version), format!("https://iii.dev/{version}")))
}

/// Fresh for ten minutes.
pub(crate) fn living(version: u128) -> Entry {
    let until = now().after(Duration::from_secs(600));
    Entry::new(Some(target(version)), until, until)
}

pub(crate) async fn fill(cache: &dyn Cache, code: &Code, entry: Entry) -> Filled {
    let lease = cache.get_one(code, now()).await.unwrap().lease.expect("missing or stale");
    cache.fill_one(lease, entry, now()).await.unwrap()
}

pub(crate) async fn answered(cache: &dyn Cache, code: &Code) -> Option<Target> {
    cache.get_one(code, now()).await.unwrap().entry.and_then(|entry| entry.target)
}

/// Asks until the server is used again.
pub(crate) async fn until_back(cache: &dyn Cache) {
    let deadline = Instant::now() + PATIENT;
    while let Err(error) = cache.get_one(&code("nobody"), now()).await {
        assert!(error.is_transient(), "{error}");
        assert!(Instant::now() < deadline, "not back within {PATIENT:?}: {error}");
        tokio::task::yield_now().await;
    }
}
