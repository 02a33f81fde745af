//! The cache in memory in front of Redis, beside quick_cache: what the second tier costs a hit.

use std::time::Duration;

use linkly_benches::{QuickCache, Suite};
use linkly_cache::{MemoryCache, RedisCache, RedisConfig, Tiered};
use linkly_testkit::Redis;

fn main() {
    let mut suite = Suite::of_cache("tiered");
    let (redis, links) = (Redis::start(), suite.sizes().links);
    let patient = RedisConfig::new().with_timeout(Duration::from_secs(10));
    let near = MemoryCache::builder().capacity(2 * links).build();
    let linkly = suite.behind(Tiered::new(near, RedisCache::open_with(redis.url(), patient).unwrap()));
    suite.cache(&linkly, &QuickCache::filled(links));
}
