//! What the model takes for a key is what a server does.

use std::time::Duration;

use linkly_cache::redis::{self, Commands};
use linkly_cache::{RedisCache, RedisConfig};
use linkly_cache_model::Key;
use linkly_core::{CacheExt, Clock, Code, Entry, Filled, Lease, SystemClock, Target, TargetParts, Uuid};
use linkly_testkit::Redis;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const PATIENT: Duration = Duration::from_secs(20);

fn entry(version: u8) -> Entry {
    let until = SystemClock.tick().after(Duration::from_secs(600));
    Entry::new(Some(Target::new(TargetParts::new(Uuid::from_u128(version.into()), "https://iii.dev"))), until, until)
}

fn version(entry: &Entry) -> Option<u8> {
    entry.target.as_ref().and_then(|target| u8::try_from(target.id().as_u128()).ok())
}

#[tokio::test]
async fn a_key_goes_through_the_same_on_a_server_and_in_the_model() {
    let redis = Redis::start();
    let config = RedisConfig::new().with_timeout(PATIENT).with_connect_timeout(PATIENT);
    let cache = RedisCache::open_with(redis.url(), config).unwrap();
    let mut server = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let code = Code::new("a").unwrap();
    let mut key = Key::<u8>::Empty;
    let mut random = StdRng::seed_from_u64(7);
    // Every lease that was given: also those that stand no more.
    let mut leases: Vec<Lease> = Vec::new();
    let mut counts = [0; 5];
    for step in 0..4_000 {
        let now = SystemClock.tick();
        match random.random_range(0..10) {
            0..4 => {
                let found = cache.get_one(&code, now).await.unwrap();
                let given = found.lease.as_ref().map(Lease::token);
                match key.look_up(given.unwrap_or_default()) {
                    Ok(there) => {
                        assert_eq!((found.entry.as_ref().and_then(version), given), (Some(there), None), "{step}");
                    }
                    Err(nonce) => assert_eq!((found.entry, given), (None, Some(nonce)), "{step}"),
                }
                leases.extend(found.lease);
                counts[0] += 1;
            }
            4..8 if !leases.is_empty() => {
                let late = random.random_range(0..leases.len().min(4));
                let lease = leases[leases.len() - 1 - late].clone();
                let version = random.random();
                let expected = key.fill(lease.token(), version);
                assert_eq!(cache.fill_one(lease, entry(version), now).await.unwrap(), expected, "{step}");
                counts[if expected == Filled::Filled { 1 } else { 2 }] += 1;
            }
            8 => {
                cache.invalidate_one(&code).await.unwrap();
                key.invalidate();
                counts[3] += 1;
            }
            _ => {
                // As when it is evicted, or ends.
                let keys: Vec<String> = server.keys("*{a}").unwrap();
                let _: usize = if keys.is_empty() { 0 } else { server.del(keys).unwrap() };
                key = Key::Empty;
                counts[4] += 1;
            }
        }
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
}
