//! The contract of caches, on the cache in process in its sizes.

#![cfg(feature = "memory")]

use linkly_cache::MemoryCache;
use linkly_conformance::{CacheFixture, cache_suite};

macro_rules! suite {
    ($(#[$doc:meta])* $name:ident, $cache:expr) => {
        $(#[$doc])*
        mod $name {
            use super::*;

            struct Fixture;

            impl CacheFixture for Fixture {
                type Cache = MemoryCache;

                async fn open() -> Self {
                    Self
                }

                async fn cache(&self) -> MemoryCache {
                    $cache
                }
            }

            cache_suite!(Fixture);
        }
    };
}

suite!(as_it_comes, MemoryCache::new());
suite!(in_entries, MemoryCache::builder().capacity(20_000).absences(20_000).build());
suite!(in_bytes, MemoryCache::builder().capacity_bytes(64 << 20).build());
suite!(tiny, MemoryCache::builder().capacity(16).absences(16).build());
