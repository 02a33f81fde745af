//! Nodes that share a store and a cache, each with a cache of its own in front, while the shared one fails.

#![cfg(all(feature = "memory", feature = "redis"))]

mod support;

use std::time::Duration;

use linkly_cache::{MemoryCache, RedisCache, RedisConfig, Tiered};
use linkly_core::{Cache, Config, LinkPatch, Linkly, MemoryStore, NewLink, Resolution};
use linkly_testkit::{Proxy, Redis};
use support::{PATIENT, until_back};

const ONE: &str = "https://example.com/1";
const TWO: &str = "https://example.com/2";

/// Deadlines that a server which hangs passes soon, and none that does not.
fn shared(redis: &str) -> RedisCache {
    RedisCache::open_with(redis, RedisConfig::new().with_timeout(Duration::from_millis(500))).unwrap()
}

async fn node(store: &MemoryStore, redis: &str) -> Linkly {
    node_with(store, Tiered::new(MemoryCache::new(), shared(redis))).await
}

async fn node_with(store: &MemoryStore, cache: impl Cache) -> Linkly {
    // The change log is read when the test says so.
    let config =
        Config::default().with_poll_changes(Duration::ZERO).with_timeouts(Duration::from_secs(5), PATIENT, PATIENT);
    let linkly = Linkly::builder(store.clone()).cache(cache).config(config).start().await.unwrap();
    linkly.catch_up().await.unwrap();
    linkly
}

async fn resolved(node: &Linkly) -> Option<String> {
    match node.resolve("a").await.unwrap() {
        Resolution::Found(target) => Some(target.url().to_owned()),
        _ => None,
    }
}

async fn update(node: &Linkly) {
    node.update("a", LinkPatch::new().with_url(TWO)).await.unwrap();
}

#[tokio::test]
async fn while_the_shared_cache_hangs_no_request_fails_and_nothing_old_is_served_after_it() {
    let (store, redis) = (MemoryStore::new(), Redis::start());
    let (one, two) = (node(&store, redis.url()).await, node(&store, redis.url()).await);
    one.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    for node in [&one, &two] {
        assert_eq!(resolved(node).await.as_deref(), Some(ONE));
    }
    redis.pause();
    update(&one).await;
    assert_eq!(resolved(&one).await.as_deref(), Some(TWO), "on the node that wrote it");
    // It fails, since the shared cache cannot be told, and tells its own.
    assert!(two.catch_up().await.is_err());
    assert_eq!(resolved(&two).await.as_deref(), Some(TWO), "on another");
    redis.resume();
    let probe = RedisCache::open_with(redis.url(), support::patient("")).unwrap();
    until_back(&probe).await;
    for node in [&one, &two] {
        assert_eq!(resolved(node).await.as_deref(), Some(TWO));
    }
    while two.catch_up().await.is_err() {
        tokio::task::yield_now().await;
    }
    let new = node(&store, redis.url()).await;
    assert_eq!(resolved(&new).await.as_deref(), Some(TWO), "on one that was not there");
}

#[tokio::test]
async fn a_writer_that_is_cut_off_serves_what_it_wrote_and_others_have_it_with_the_change_log() {
    let (store, redis) = (MemoryStore::new(), Redis::start());
    let proxy = Proxy::in_front_of(redis.address());
    let (writer, other) = (node(&store, &proxy.url(redis.url())).await, node(&store, redis.url()).await);
    writer.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    assert_eq!(resolved(&other).await.as_deref(), Some(ONE));
    proxy.refuse();
    proxy.cut();
    update(&writer).await;
    assert_eq!(resolved(&writer).await.as_deref(), Some(TWO));
    other.catch_up().await.unwrap();
    assert_eq!(resolved(&other).await.as_deref(), Some(TWO));
    proxy.resume();
    writer.catch_up().await.ok();
    assert_eq!(resolved(&writer).await.as_deref(), Some(TWO));
}

#[tokio::test]
async fn a_shared_cache_with_none_in_front_has_what_it_was_not_told_with_the_change_log() {
    let (store, redis) = (MemoryStore::new(), Redis::start());
    let proxy = Proxy::in_front_of(redis.address());
    let writer = node_with(&store, shared(&proxy.url(redis.url()))).await;
    writer.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    assert_eq!(resolved(&writer).await.as_deref(), Some(ONE));
    proxy.refuse();
    proxy.cut();
    update(&writer).await;
    assert_eq!(resolved(&writer).await.as_deref(), Some(TWO), "it is a miss");
    proxy.resume();
    while writer.catch_up().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(resolved(&writer).await.as_deref(), Some(TWO));
}

#[tokio::test]
async fn a_link_that_was_deleted_stays_away_when_the_server_comes_back_with_older_data() {
    let (store, redis) = (MemoryStore::new(), Redis::start_with(&["--appendonly", "no"]));
    let one = node(&store, redis.url()).await;
    one.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    assert_eq!(resolved(&one).await.as_deref(), Some(ONE));
    let mut server = support::connect(redis.url()).await;
    linkly_cache::redis::cmd("SAVE").exec_async(&mut server).await.unwrap();
    one.delete("a").await.unwrap();
    redis.kill();
    redis.restart();
    until_back(&RedisCache::open_with(redis.url(), support::patient("")).unwrap()).await;
    let two = node(&store, redis.url()).await;
    for node in [&one, &two] {
        assert_eq!(resolved(node).await, None);
    }
}

/// While a replica takes over, some nodes still reach the old master.
#[tokio::test]
async fn nodes_that_reach_two_masters_have_each_others_writes_with_the_change_log() {
    let (store, old, new) = (MemoryStore::new(), Redis::start(), Redis::start());
    let (one, two) = (node(&store, new.url()).await, node(&store, old.url()).await);
    one.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    assert_eq!(resolved(&two).await.as_deref(), Some(ONE));
    update(&one).await;
    two.catch_up().await.unwrap();
    assert_eq!(resolved(&two).await.as_deref(), Some(TWO));
    let third = node(&store, old.url()).await;
    assert_eq!(resolved(&third).await.as_deref(), Some(TWO), "in the old master too");
}
