#![doc = include_str!("../README.md")]

mod backup;
mod clicks;
mod config;
mod connection;
mod error;
mod links;
mod list;
mod maintenance;
mod migrate;
#[cfg(test)]
mod plans;
mod reconcile;
mod rows;
mod stats;
mod store;
mod transaction;

pub use linkly_core;
pub use sqlx;

pub use config::{PoolConfig, SqliteConfig, Synchronous};
pub use migrate::{MIGRATIONS, Migration, MigrationReport, SCHEMA_VERSION, Unfit};
pub use store::SqliteStore;

/// The name in this store's errors.
const BACKEND: &str = "sqlite";
