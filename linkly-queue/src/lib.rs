#![doc = include_str!("../README.md")]

#[cfg(feature = "spool")]
mod dead_letter;
#[cfg(feature = "spool")]
mod spool;
mod tee;

pub use linkly_core;

#[cfg(feature = "spool")]
pub use dead_letter::{DeadLetter, Letters};
#[cfg(feature = "spool")]
pub use spool::{AtLimit, Salvage, Spool, SpoolConfig, SpoolMetrics, SpoolReport};
pub use tee::{Tee, TeeMetrics};
