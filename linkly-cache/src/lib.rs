#![doc = include_str!("../README.md")]

#[cfg(feature = "memory")]
mod memory;

#[cfg(feature = "memory")]
pub use memory::{MemoryCache, MemoryCacheBuilder};
