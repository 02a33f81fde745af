//! The click recorder: between a redirect, which must not wait, and a [`ClickSink`](crate::ClickSink),
//! which takes its time.

mod bots;
mod config;
mod referrer;
mod user_agent;
mod visitor;

pub use config::{Acknowledge, Overflow, RecorderConfig};
pub use user_agent::is_bot;
pub use visitor::VisitorHash;
