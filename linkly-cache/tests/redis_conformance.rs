//! The contract of caches, on the shared cache.

#![cfg(feature = "redis")]

mod support;

use std::time::Duration;

use linkly_cache::RedisCache;
use linkly_conformance::{CacheFixture, cache_suite};
use linkly_testkit::Redis;
use support::{delete, patient};

macro_rules! suite {
    ($(#[$doc:meta])* $name:ident, leases_alone: $leases_alone:literal) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            struct Fixture {
                prefix: String,
            }

            impl CacheFixture for Fixture {
                type Cache = RedisCache;

                const SLACK: Duration = Duration::from_millis(500);

                async fn open() -> Self {
                    Self { prefix: Redis::shared().new_prefix() }
                }

                async fn cache(&self) -> RedisCache {
                    RedisCache::open_with(Redis::shared().url(), patient(&self.prefix)).unwrap()
                }

                async fn expire_leases(&self) {
                    delete(Redis::shared().url(), &self.prefix, $leases_alone).await;
                }

                async fn close(self) {
                    delete(Redis::shared().url(), &self.prefix, false).await;
                }
            }

            cache_suite!(Fixture);
        }
    };
}

suite!(
    /// Leases end, entries stay.
    leases_expire,
    leases_alone: true
);

suite!(
    /// The server evicts whatever there is, the cache's own name too.
    everything_is_evicted,
    leases_alone: false
);
