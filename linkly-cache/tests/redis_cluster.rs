//! The shared cache on a Redis Cluster of three masters.

#![cfg(feature = "redis")]

mod support;

use std::sync::OnceLock;
use std::time::Duration;

use linkly_cache::{RedisCache, RedisConfig, redis};
use linkly_conformance::{CacheFixture, cache_suite};
use linkly_core::{Cache, CacheExt, Code, Filled};
use linkly_testkit::{Redis, RedisCluster};
use support::{answered, code, connect, delete, fill, living, now, patient, target, until_back};

fn shared() -> &'static RedisCluster {
    static SHARED: OnceLock<RedisCluster> = OnceLock::new();
    SHARED.get_or_init(RedisCluster::start)
}

fn cache_on(cluster: &RedisCluster, config: RedisConfig) -> RedisCache {
    RedisCache::open_cluster_with(&cluster.urls(), config).unwrap()
}

/// The contract, with whatever the masters hold evicted in between.
mod conformance {
    use super::*;

    struct Fixture {
        prefix: String,
    }

    impl CacheFixture for Fixture {
        type Cache = RedisCache;

        const SLACK: Duration = Duration::from_millis(500);

        async fn open() -> Self {
            Self { prefix: shared().nodes()[0].new_prefix() }
        }

        async fn cache(&self) -> RedisCache {
            cache_on(shared(), patient(&self.prefix))
        }

        async fn expire_leases(&self) {
            for url in shared().urls() {
                delete(url, &self.prefix, false).await;
            }
        }

        async fn close(self) {
            self.expire_leases().await;
        }
    }

    cache_suite!(Fixture);
}

async fn ask<T: redis::FromRedisValue>(node: &Redis, command: &str) -> T {
    let (name, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    redis::cmd(name).arg(arguments).query_async(&mut connect(node.url()).await).await.unwrap()
}

fn many() -> Vec<Code> {
    (0..60).map(|n| code(&format!("a{n}"))).collect()
}

async fn count(cache: &RedisCache, codes: &[Code]) -> usize {
    cache.get(codes, now()).await.unwrap().iter().filter(|lookup| lookup.entry.is_some()).count()
}

#[tokio::test]
async fn codes_are_spread_over_the_masters_and_found_by_way_of_any_node() {
    let cluster = RedisCluster::start();
    let cache = cache_on(&cluster, patient(""));
    for code in many() {
        assert_eq!(fill(&cache, &code, living(1)).await, Filled::Filled);
    }
    for node in cluster.nodes() {
        let keys: usize = ask(node, "DBSIZE").await;
        assert!((5..40).contains(&keys), "{keys} of 61 keys on one node of three");
        let cache = RedisCache::open_cluster_with(&[node.url()], patient("")).unwrap();
        assert_eq!(count(&cache, &many()).await, 60);
    }
    let other = cache_on(&cluster, patient(""));
    other.clear().await.unwrap();
    assert_eq!(count(&cache, &many()).await, 0);
}

#[tokio::test]
async fn a_slot_that_was_moved_is_found_again_and_what_is_invalidated_there_is_gone_for_all() {
    let cluster = RedisCluster::start();
    let [first, second, _] = cluster.nodes() else { panic!("there are three") };
    let (cache, other) = (cache_on(&cluster, patient("")), cache_on(&cluster, patient("")));
    // In slot 5061, of the first.
    let bar = code("bar");
    fill(&cache, &bar, living(1)).await;
    assert_eq!(answered(&other, &bar).await, Some(target(1)));
    let keys: Vec<String> = ask(first, "CLUSTER GETKEYSINSLOT 5061 10").await;
    let (from, to): (String, String) = (ask(first, "CLUSTER MYID").await, ask(second, "CLUSTER MYID").await);
    ask::<()>(second, &format!("CLUSTER SETSLOT 5061 IMPORTING {from}")).await;
    ask::<()>(first, &format!("CLUSTER SETSLOT 5061 MIGRATING {to}")).await;
    for key in keys {
        ask::<()>(first, &format!("MIGRATE 127.0.0.1 {} {key} 0 5000", second.address().port())).await;
    }
    // The third is not told, and says for a while that the first has it. The first says who has.
    for node in [second, first] {
        ask::<()>(node, &format!("CLUSTER SETSLOT 5061 NODE {to}")).await;
    }
    assert_eq!(answered(&cache, &bar).await, None, "what another process had is not asked for");
    assert_eq!(fill(&cache, &bar, living(2)).await, Filled::Filled);
    assert_eq!(answered(&other, &bar).await, Some(target(2)));
    other.invalidate_one(&bar).await.unwrap();
    assert_eq!(answered(&cache, &bar).await, None);
}

#[tokio::test]
async fn a_master_that_is_away_is_left_out_and_used_again_when_it_is_back() {
    let cluster = RedisCluster::start();
    let config = RedisConfig::new().with_prefix("").with_timeout(Duration::from_millis(500));
    let cache = cache_on(&cluster, config);
    for code in many() {
        fill(&cache, &code, living(1)).await;
    }
    let mut away = cluster.nodes().iter();
    let away = loop {
        let node = away.next().expect("two hold no epoch");
        let epoch: Vec<String> = ask(node, "KEYS epoch").await;
        if epoch.is_empty() {
            break node;
        }
    };
    away.pause();
    let found = count(&cache, &many()).await;
    assert!((20..60).contains(&found), "{found}: those of the others are answered, until they know");
    assert!(cache.invalidate(&many()).await.unwrap_err().is_transient());
    away.resume();
    cluster.wait_until_whole();
    until_back(&cache).await;
    while cache.invalidate(&many()).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&cache, &many()).await, 0);
    for code in many() {
        assert_eq!(fill(&cache, &code, living(2)).await, Filled::Filled);
    }
}
