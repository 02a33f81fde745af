//! What the shared cache does when its server, or the way to it, fails.

#![cfg(feature = "redis")]

mod support;

use std::time::{Duration, Instant};

use linkly_cache::{RedisCache, RedisConfig, redis};
use linkly_core::{Cache, CacheExt, ChangeCursor, Error, Filled};
use linkly_testkit::{Proxy, Redis};
use support::{answered, cache_on, code, connect, fill, living, now, patient, target, until_back};

/// Long enough for a busy machine, short enough to wait for.
const TIMEOUT: Duration = Duration::from_millis(500);

fn impatient() -> RedisConfig {
    RedisConfig::new().with_timeout(TIMEOUT)
}

/// Fails once within its deadline; the next calls do not even wait for that.
async fn expect_one_wait_and_then_none(cache: &RedisCache) {
    let start = Instant::now();
    let error = cache.get_one(&code("a"), now()).await.unwrap_err();
    assert!(error.is_transient() && start.elapsed() < 4 * TIMEOUT, "{error} after {:?}", start.elapsed());
    let start = Instant::now();
    let calls =
        [cache.get_one(&code("a"), now()).await.map(drop), cache.invalidate_one(&code("a")).await, cache.clear().await];
    assert!(calls.iter().all(Result::is_err) && start.elapsed() < TIMEOUT / 2, "{calls:?} after {:?}", start.elapsed());
}

#[tokio::test]
async fn a_server_that_hangs_is_left_out_after_one_deadline_and_used_again_with_all_it_has() {
    let redis = Redis::start();
    let cache = cache_on(&redis, impatient());
    fill(&cache, &code("a"), living(1)).await;
    let lease = cache.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    redis.pause();
    expect_one_wait_and_then_none(&cache).await;
    redis.resume();
    until_back(&cache).await;
    assert_eq!(answered(&cache, &code("a")).await, Some(target(1)), "it is the same process");
    assert_eq!(cache.fill_one(lease, living(2), now()).await.unwrap(), Filled::Filled);
}

#[tokio::test]
async fn a_server_that_was_killed_is_left_out_and_begins_empty_when_it_is_back() {
    let redis = Redis::start();
    let cache = cache_on(&redis, impatient());
    fill(&cache, &code("a"), living(1)).await;
    let lease = cache.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    redis.kill();
    expect_one_wait_and_then_none(&cache).await;
    redis.restart();
    until_back(&cache).await;
    let mut server = connect(redis.url()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*{a}").query_async(&mut server).await.unwrap();
    assert_eq!(keys.len(), 1, "the entry is there again");
    assert_eq!(answered(&cache, &code("a")).await, None, "and is not asked for");
    assert_eq!(cache.fill_one(lease, living(2), now()).await.unwrap(), Filled::Voided);
    assert_eq!(fill(&cache, &code("a"), living(3)).await, Filled::Filled);
    assert_eq!(answered(&cache, &code("a")).await, Some(target(3)));
}

/// The invalidations are lost with what was not yet on disk, and what they had removed is back.
#[tokio::test]
async fn a_server_that_comes_back_with_older_data_serves_none_of_it_and_fills_under_no_lease_of_it() {
    let redis = Redis::start_with(&["--appendonly", "no"]);
    let cache = cache_on(&redis, patient(""));
    fill(&cache, &code("a"), living(1)).await;
    let lease = cache.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    let mut server = connect(redis.url()).await;
    redis::cmd("SAVE").exec_async(&mut server).await.unwrap();
    cache.invalidate(&[code("a"), code("b")]).await.unwrap();
    redis.kill();
    redis.restart();
    let mut server = connect(redis.url()).await;
    let keys: usize = redis::cmd("DBSIZE").query_async(&mut server).await.unwrap();
    assert_eq!(keys, 3, "the entry, the lease and the cache's name are back");
    until_back(&cache).await;
    assert_eq!(answered(&cache, &code("a")).await, None);
    assert_eq!(cache.fill_one(lease, living(1), now()).await.unwrap(), Filled::Voided);
    assert_eq!(answered(&cache, &code("b")).await, None);
}

#[tokio::test]
async fn what_was_asked_and_what_failed_is_counted() {
    let redis = Redis::start();
    let cache = cache_on(&redis, impatient());
    let codes = [code("a"), code("b"), code("c")];
    let lookups = cache.get(&codes, now()).await.unwrap();
    let leases: Vec<_> = lookups.into_iter().filter_map(|lookup| lookup.lease).collect();
    cache.invalidate_one(&codes[0]).await.unwrap();
    cache.fill(leases.into_iter().map(|lease| (lease, living(1))).collect(), now()).await.unwrap();
    cache.get(&codes, now()).await.unwrap();
    cache.clear().await.unwrap();
    let metrics = cache.metrics();
    assert_eq!((metrics.hits, metrics.misses, metrics.filled, metrics.voided), (2, 4, 2, 1));
    assert_eq!((metrics.invalidated, metrics.clears, metrics.errors, metrics.left_out), (1, 1, 0, 0));
    redis.kill();
    expect_one_wait_and_then_none(&cache).await;
    let metrics = cache.metrics();
    assert_eq!((metrics.errors, metrics.left_out, metrics.hits + metrics.misses), (4, 1, 6));
    redis.restart();
    until_back(&cache).await;
    assert_eq!(cache.metrics().left_out, 0);
}

/// Replication is not waited for, so what takes over may never have seen an invalidation.
#[tokio::test]
async fn a_replica_that_takes_over_with_older_data_serves_none_of_it() {
    // A copy begins at once, and not after five seconds.
    let (old, new) = (Redis::start_with(&["--repl-diskless-sync-delay", "0"]), Redis::start());
    let cache = cache_on(&old, patient(""));
    fill(&cache, &code("a"), living(1)).await;
    let lease = cache.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    cache.advance(None, &ChangeCursor::new("1")).await.unwrap();
    let mut server = connect(new.url()).await;
    let (host, port) = (old.address().ip().to_string(), old.address().port());
    redis::cmd("REPLICAOF").arg(host).arg(port).exec_async(&mut server).await.unwrap();
    let mut asked = server.clone();
    let mut copied = async || redis::cmd("DBSIZE").query_async::<usize>(&mut asked).await.unwrap() == 4;
    let deadline = Instant::now() + support::PATIENT;
    while !copied().await {
        assert!(Instant::now() < deadline, "nothing was copied");
    }
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut server).await.unwrap();
    cache.invalidate(&[code("a"), code("b")]).await.unwrap();
    old.kill();

    let cache = cache_on(&new, patient(""));
    assert!(copied().await, "the entry, the lease, the place in the log and the cache's name are there");
    assert_eq!(answered(&cache, &code("a")).await, None);
    assert_eq!(cache.fill_one(lease, living(1), now()).await.unwrap(), Filled::Voided);
    assert_eq!(cache.position().await.unwrap(), None);
}

/// What it says was told is true of the entries that are gone with it.
#[tokio::test]
async fn the_place_in_the_change_log_ends_with_the_process_that_holds_it() {
    let redis = Redis::start();
    let (cache, other) = (cache_on(&redis, patient("")), cache_on(&redis, patient("")));
    let [one, two] = ["1", "2"].map(ChangeCursor::new);
    cache.advance(None, &one).await.unwrap();
    assert_eq!(other.position().await.unwrap(), Some(one.clone()));
    other.advance(Some(&one), &two).await.unwrap();
    cache.advance(Some(&one), &one).await.unwrap();
    assert_eq!(cache.position().await.unwrap(), Some(two.clone()), "the other has moved it");
    redis.kill();
    redis.restart();
    until_back(&cache).await;
    assert_eq!(cache.position().await.unwrap(), None);
    cache.advance(Some(&two), &one).await.unwrap();
    assert_eq!(cache.position().await.unwrap(), None);
}

#[tokio::test]
async fn a_connection_that_is_cut_is_made_anew_within_the_call() {
    let redis = Redis::start();
    let proxy = Proxy::in_front_of(redis.address());
    let cache = RedisCache::open_with(&proxy.url(redis.url()), patient("")).unwrap();
    fill(&cache, &code("a"), living(1)).await;
    proxy.cut();
    assert_eq!(answered(&cache, &code("a")).await, Some(target(1)));
    for (n, what) in ["get", "fill", "invalidate", "clear"].into_iter().enumerate() {
        let lease = cache.get_one(&code("b"), now()).await.unwrap().lease;
        // The server does what it was asked, and its answer is lost.
        proxy.cut_before_answer(1);
        match what {
            "get" => assert_eq!(answered(&cache, &code("a")).await, Some(target(1))),
            "fill" => assert_eq!(cache.fill_one(lease.unwrap(), living(2), now()).await.unwrap(), Filled::Filled),
            "invalidate" => {
                cache.invalidate_one(&code("a")).await.unwrap();
                assert_eq!(answered(&cache, &code("a")).await, None);
            }
            _ => {
                cache.clear().await.unwrap();
                assert_eq!(answered(&cache, &code("b")).await, None);
            }
        }
        assert_eq!(proxy.cuts(), n + 1, "{what}");
    }
}

#[tokio::test]
async fn an_invalidation_that_cannot_be_told_is_an_error() {
    let redis = Redis::start();
    let proxy = Proxy::in_front_of(redis.address());
    let cache = RedisCache::open_with(&proxy.url(redis.url()), impatient()).unwrap();
    fill(&cache, &code("a"), living(1)).await;
    proxy.drop_answers();
    assert!(cache.invalidate_one(&code("a")).await.unwrap_err().is_transient());
    assert!(proxy.drops() > 0);
    proxy.refuse();
    proxy.cut();
    assert!(cache.invalidate_one(&code("a")).await.unwrap_err().is_transient());
    proxy.resume();
    until_back(&cache).await;
    cache.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(answered(&cache, &code("a")).await, None);
}

#[tokio::test]
async fn a_replica_is_neither_read_nor_written() {
    let redis = Redis::start();
    let cache = cache_on(&redis, patient(""));
    fill(&cache, &code("a"), living(1)).await;
    let mut server = connect(redis.url()).await;
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").exec_async(&mut server).await.unwrap();
    let refused = cache.invalidate_one(&code("a")).await.unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("replica"), "{refused}");
    let refused = cache_on(&redis, patient("")).get_one(&code("a"), now()).await.unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("replica"), "{refused}");
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut server).await.unwrap();
    until_back(&cache).await;
    cache.invalidate_one(&code("a")).await.unwrap();
}

#[tokio::test]
async fn a_server_without_room_answers_what_it_has_and_gives_no_leases() {
    let redis = Redis::start();
    let cache = cache_on(&redis, patient(""));
    fill(&cache, &code("a"), living(1)).await;
    let lease = cache.get_one(&code("b"), now()).await.unwrap().lease.unwrap();
    let mut server = connect(redis.url()).await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec_async(&mut server).await.unwrap();
    let found = cache.get(&[code("a"), code("c")], now()).await.unwrap();
    assert_eq!(found[0].entry.as_ref().and_then(|entry| entry.target.clone()), Some(target(1)));
    assert!(found[1].entry.is_none() && found[1].lease.is_none());
    let full = cache.fill_one(lease, living(2), now()).await.unwrap_err();
    assert!(matches!(full, Error::Backend { .. }) && full.to_string().contains("maxmemory"), "{full}");
    cache.invalidate_one(&code("a")).await.unwrap();
    assert_eq!(answered(&cache, &code("a")).await, None);
}

#[tokio::test]
async fn a_wrong_password_is_an_error_that_names_no_password() {
    let redis = Redis::start();
    let mut server = connect(redis.url()).await;
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("open-sesame").exec_async(&mut server).await.unwrap();
    let url = |password: &str| redis.url().replace("redis://", &format!("redis://:{password}@"));
    let cache = RedisCache::open_with(&url("guessed"), patient("")).unwrap();
    let error = cache.get_one(&code("a"), now()).await.unwrap_err();
    assert!(error.to_string().contains("password"), "{error}");
    let told = format!("{cache:?} {error:?}");
    assert!(!told.contains("guessed"), "{told}");
    let cache = RedisCache::open_with(&url("open-sesame"), patient("")).unwrap();
    assert_eq!(fill(&cache, &code("a"), living(1)).await, Filled::Filled);
    assert!(!format!("{cache:?}").contains("sesame"));
}

#[test]
fn a_cache_outlives_the_runtime_that_connected_it() {
    let redis = Redis::start();
    let cache = cache_on(&redis, patient(""));
    for round in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            fill(&cache, &code(&format!("a{round}")), living(round)).await;
            assert_eq!(answered(&cache, &code("a0")).await, Some(target(0)));
        });
    }
}
