#![doc = include_str!("../README.md")]

#[cfg(feature = "memory")]
mod memory;
#[cfg_attr(not(feature = "redis"), allow(dead_code, reason = "the cache on Redis alone has a name"))]
mod protocol;
#[cfg(feature = "redis")]
mod redis_cache;
#[cfg(feature = "redis")]
mod redis_channel;
mod tiered;

#[cfg(feature = "memory")]
pub use memory::{MemoryCache, MemoryCacheBuilder};
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_cache::{RedisCache, RedisCacheMetrics, RedisConfig};
#[cfg(feature = "redis")]
pub use redis_channel::{RedisChannel, RedisChannelConfig, RedisChannelMetrics};
pub use tiered::Tiered;
