#![doc = include_str!("../README.md")]

mod backup;
mod click_batch;
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
mod unfit;

pub use linkly_core;
pub use sqlx;

pub use config::{PoolConfig, SqliteConfig, Synchronous};
pub use migrate::{MIGRATIONS, Migration, SCHEMA_VERSION};
pub use store::SqliteStore;
pub use unfit::{MigrationReport, Unfit};

/// The name in this store's errors.
const BACKEND: &str = "sqlite";
