#![doc = include_str!("../README.md")]

mod call;
mod changes;
mod clicks;
mod config;
mod connection;
mod error;
mod links;
mod list;
mod maintenance;
mod migrate;
mod partitions;
#[cfg(test)]
mod plans;
mod reconcile;
mod replica;
mod rows;
mod stats;
mod store;
#[cfg(feature = "tls")]
mod tls;
mod transaction;

pub use deadpool_postgres;
pub use linkly_core;

pub use config::{Partitions, PoolConfig, PostgresConfig, Statements};
pub use migrate::{MIGRATIONS, Migration, SCHEMA_VERSION};
pub use store::PostgresStore;

/// The name in this store's errors.
const BACKEND: &str = "postgres";
