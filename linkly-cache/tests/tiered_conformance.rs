//! The contract of caches, on two of them as one.

#![cfg(all(feature = "memory", feature = "redis"))]

mod support;

use std::time::Duration;

use linkly_cache::{MemoryCache, RedisCache, Tiered};
use linkly_conformance::{CacheFixture, cache_suite};
use linkly_testkit::Redis;
use support::{delete, patient};

/// One process's memory in front of another cache of it.
mod memory_and_memory {
    use super::*;

    struct Fixture;

    impl CacheFixture for Fixture {
        type Cache = Tiered<MemoryCache, MemoryCache>;

        async fn open() -> Self {
            Self
        }

        async fn cache(&self) -> Self::Cache {
            Tiered::new(MemoryCache::builder().capacity(16).absences(16).build(), MemoryCache::new())
        }
    }

    cache_suite!(Fixture);
}

/// A process's memory in front of the cache that is shared.
mod memory_and_redis {
    use super::*;

    struct Fixture {
        prefix: String,
    }

    impl CacheFixture for Fixture {
        type Cache = Tiered<MemoryCache, RedisCache>;

        const SLACK: Duration = Duration::from_millis(500);

        async fn open() -> Self {
            Self { prefix: Redis::shared().new_prefix() }
        }

        async fn cache(&self) -> Self::Cache {
            let far = RedisCache::open_with(Redis::shared().url(), patient(&self.prefix)).unwrap();
            Tiered::new(MemoryCache::new(), far)
        }

        async fn expire_leases(&self) {
            delete(Redis::shared().url(), &self.prefix, false).await;
        }

        async fn close(self) {
            delete(Redis::shared().url(), &self.prefix, false).await;
        }
    }

    cache_suite!(Fixture);
}
