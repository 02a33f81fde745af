#![doc = include_str!("../README.md")]

#[cfg(feature = "memory")]
mod memory;
#[cfg(feature = "redis")]
mod redis_cache;
mod tiered;

#[cfg(feature = "memory")]
pub use memory::{MemoryCache, MemoryCacheBuilder};
#[cfg(feature = "redis")]
pub use redis;
#[cfg(feature = "redis")]
pub use redis_cache::{RedisCache, RedisConfig};
pub use tiered::Tiered;
