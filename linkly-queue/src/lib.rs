#![doc = include_str!("../README.md")]

#[cfg(any(feature = "spool", feature = "redis"))]
mod at_limit;
#[cfg(any(feature = "spool", feature = "redis"))]
mod dead_letter;
#[cfg(any(feature = "spool", feature = "redis"))]
mod encoding;
#[cfg(feature = "redis")]
mod redis_stream;
#[cfg(feature = "spool")]
mod spool;
mod tee;

pub use linkly_core;
#[cfg(feature = "redis")]
pub use redis;

#[cfg(any(feature = "spool", feature = "redis"))]
pub use at_limit::AtLimit;
#[cfg(any(feature = "spool", feature = "redis"))]
pub use dead_letter::{DeadLetter, Letters};
#[cfg(feature = "redis")]
pub use redis_stream::{RedisStream, StreamConfig, StreamMetrics, StreamReport, StreamStatus, StreamWriters};
#[cfg(feature = "spool")]
pub use spool::{Salvage, Spool, SpoolConfig, SpoolMetrics, SpoolReport};
pub use tee::{Tee, TeeMetrics};
