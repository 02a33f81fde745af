//! The cache in memory in front of Redis, beside quick_cache, and its hit beside the very same cache in memory alone:
//! what the second tier costs it.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_benches::{Codes, QuickCache, Shape, Suite};
use linkly_cache::{MemoryCache, RedisCache, RedisConfig, Tiered};
use linkly_core::{Cache, Clock, SystemClock};
use linkly_testkit::Redis;

const SEED: u64 = 1;

/// How long it takes to look at so many places.
fn peeks(cache: &dyn Cache, codes: &Codes, places: Range<usize>) -> Duration {
    let (now, start) = (SystemClock.tick(), Instant::now());
    for i in places {
        assert!(black_box(cache.peek(codes.get(i), now)).is_some(), "{} is not there", codes.get(i));
    }
    start.elapsed()
}

fn main() {
    let mut suite = Suite::of_cache("tiered");
    let (redis, links) = (Redis::start(), suite.sizes().links);
    let patient = RedisConfig::new().with_timeout(Duration::from_secs(10));
    let near = Arc::new(MemoryCache::builder().capacity(2 * links).build());
    let tiered = Arc::new(Tiered::new(near.clone(), RedisCache::open_with(redis.url(), patient).unwrap()));
    let linkly = suite.behind(tiered.clone());
    let raw = QuickCache::filled(links);
    suite.cache(&linkly, &raw);
    suite.cache_in_turn(&linkly, &raw);

    let codes = Codes::drawn(links, Shape::Zipf, SEED);
    let alone = async |places| peeks(&near, &codes, places);
    let before_redis = async |places| peeks(&tiered, &codes, places);
    suite.pair("peek", "zipf, beside the cache in memory alone", 1, alone, before_redis);
}
