#![doc = include_str!("../README.md")]

mod backup;
mod config;
mod connection;
mod driver;
mod error;
#[cfg(test)]
mod plans;
mod store;
mod transaction;

pub use linkly_core;
pub use sqlx;

pub use config::{PoolConfig, SqliteConfig};
pub use linkly_sql::{MIGRATIONS, Migration, MigrationReport, SCHEMA_VERSION, Synchronous, Unfit};
pub use store::SqliteStore;

/// The name in this store's errors.
const BACKEND: &str = "sqlite";
