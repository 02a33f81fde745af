//! What the shared cache does beyond the contract of caches.

#![cfg(feature = "redis")]

mod support;

use std::task::{Context, Waker};
use std::time::Duration;

use linkly_cache::{RedisCache, redis};
use linkly_core::{Cache, CacheExt, Entry, Filled};
use linkly_testkit::Redis;
use support::{answered, code, connect, fill, living, now, patient, target};

/// Caches of several nodes, and a connection to look behind them.
async fn nodes<const N: usize>() -> ([RedisCache; N], String, redis::aio::MultiplexedConnection) {
    let (redis, prefix) = (Redis::shared(), Redis::shared().new_prefix());
    let node = |_| RedisCache::open_with(redis.url(), patient(&prefix)).unwrap();
    (std::array::from_fn(node), prefix.clone(), connect(redis.url()).await)
}

async fn keys(server: &mut redis::aio::MultiplexedConnection, prefix: &str) -> Vec<String> {
    redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(server).await.unwrap()
}

#[tokio::test]
async fn what_one_node_fills_another_finds_and_what_one_invalidates_none_has() {
    let ([one, other], ..) = nodes().await;
    let lease = one.get_one(&code("a"), now()).await.unwrap().lease.unwrap();
    assert_eq!(fill(&other, &code("a"), living(1)).await, Filled::Filled);
    assert_eq!(answered(&one, &code("a")).await, Some(target(1)));
    other.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(answered(&one, &code("a")).await, None);
    assert_eq!(one.fill_one(lease, living(1), now()).await.unwrap(), Filled::Voided);
}

#[tokio::test]
async fn what_one_node_clears_is_cleared_for_all_with_their_leases() {
    let ([one, other], ..) = nodes().await;
    fill(&one, &code("a"), living(1)).await;
    let lease = one.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    assert_eq!(answered(&other, &code("a")).await, Some(target(1)));
    other.clear().await.unwrap();
    assert_eq!(one.fill_one(lease, living(2), now()).await.unwrap(), Filled::Voided);
    assert_eq!(answered(&one, &code("a")).await, None);
    // An invalidation goes to where the others look by now.
    fill(&other, &code("a"), living(3)).await;
    other.clear().await.unwrap();
    fill(&other, &code("a"), living(4)).await;
    one.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(answered(&other, &code("a")).await, None);
}

#[tokio::test]
async fn every_key_but_the_cache_s_name_ends_of_itself() {
    let ([cache], prefix, mut server) = nodes().await;
    fill(&cache, &code("filled"), living(1)).await;
    fill(&cache, &code("absent"), Entry::new(None, living(0).fresh_until, living(0).serve_until)).await;
    cache.get_one(&code("leased"), now()).await.unwrap();
    let keys = keys(&mut server, &prefix).await;
    assert_eq!(keys.len(), 4, "{keys:?}");
    for key in keys {
        let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut server).await.unwrap();
        let most = if key.ends_with("{leased}") { 10_000 } else { 600_000 };
        assert!(key == format!("{prefix}epoch") || (0..=most).contains(&left), "{key}: {left}");
    }
}

#[tokio::test]
async fn a_value_that_is_not_understood_is_a_miss_that_is_left_alone() {
    let ([cache], prefix, mut server) = nodes().await;
    fill(&cache, &code("a"), living(1)).await;
    let key = keys(&mut server, &prefix).await.into_iter().find(|key| key.ends_with("{a}")).unwrap();
    let mut value: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut server).await.unwrap();
    value[0] += 1;
    for value in [value, b"something else".to_vec(), Vec::new()] {
        redis::cmd("SET").arg(&key).arg(&value).exec_async(&mut server).await.unwrap();
        let found = cache.get_one(&code("a"), now()).await.unwrap();
        assert!(found.entry.is_none() && found.lease.is_none(), "{found:?}");
        let kept: Vec<u8> = redis::cmd("GET").arg(&key).query_async(&mut server).await.unwrap();
        assert_eq!(kept, value);
    }
    cache.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(fill(&cache, &code("a"), living(2)).await, Filled::Filled);
}

#[tokio::test]
async fn a_script_that_was_flushed_is_loaded_again() {
    // A server of its own, since the scripts are all tests'.
    let redis = Redis::start();
    let cache = RedisCache::open_with(redis.url(), patient("")).unwrap();
    fill(&cache, &code("a"), living(1)).await;
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut connect(redis.url()).await).await.unwrap();
    assert_eq!(fill(&cache, &code("b"), living(2)).await, Filled::Filled);
    assert_eq!(answered(&cache, &code("b")).await, Some(target(2)));
}

#[tokio::test]
async fn a_client_of_the_app_s_is_taken() {
    let client = redis::Client::open(Redis::shared().url()).unwrap();
    let cache = RedisCache::new_with(&client, patient(&Redis::shared().new_prefix())).unwrap();
    assert_eq!(fill(&cache, &code("a"), living(1)).await, Filled::Filled);
}

#[tokio::test]
async fn caches_with_other_prefixes_know_nothing_of_each_other() {
    let ([one], ..) = nodes().await;
    let ([other], ..) = nodes().await;
    fill(&one, &code("a"), living(1)).await;
    assert_eq!(answered(&other, &code("a")).await, None);
    other.clear().await.unwrap();
    assert_eq!(answered(&one, &code("a")).await, Some(target(1)));
}

#[test]
fn nothing_is_connected_before_the_first_call() {
    RedisCache::open("redis://127.0.0.1:1").unwrap();
    assert!(RedisCache::open("127.0.0.1").is_err());
    assert!(RedisCache::open_with("redis://127.0.0.1:1", patient("a{")).is_err());
}

/// A future that is dropped after any number of polls.
#[tokio::test]
async fn a_call_that_is_dropped_is_done_or_not() {
    let ([cache], ..) = nodes().await;
    for polls in 0..6 {
        let code = code(&format!("a{polls}"));
        fill(&cache, &code, living(1)).await;
        let codes = [code.clone()];
        let mut invalidate = cache.invalidate(&codes);
        for _ in 0..polls {
            if invalidate.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(invalidate);
        let found = answered(&cache, &code).await;
        assert!(found.is_none_or(|found| found == target(1)));
        cache.invalidate_one(&code).await.unwrap();
        assert_eq!(answered(&cache, &code).await, None);
        assert_eq!(fill(&cache, &code, living(2)).await, Filled::Filled);
    }
}

#[tokio::test]
async fn an_entry_is_served_for_what_is_left_of_its_life_and_not_for_longer() {
    let ([one, other], ..) = nodes().await;
    let filled_at = now();
    let entry = Entry::new(
        Some(target(1)),
        filled_at.after(Duration::from_secs(100)),
        filled_at.after(Duration::from_secs(200)),
    );
    fill(&one, &code("a"), entry.clone()).await;
    let found = other.get_one(&code("a"), filled_at).await.unwrap().entry.unwrap();
    let seconds = |until: linkly_core::Tick| until.since(filled_at).as_secs();
    assert!((85..=100).contains(&seconds(found.fresh_until)) && found.fresh_until <= entry.fresh_until, "{found:?}");
    assert!((175..=200).contains(&seconds(found.serve_until)) && found.serve_until <= entry.serve_until, "{found:?}");
}
