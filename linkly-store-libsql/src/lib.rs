#![doc = include_str!("../README.md")]
#![cfg_attr(
    not(any(feature = "local", feature = "remote")),
    allow(dead_code, reason = "without a feature there is no database to open")
)]

mod app_sql;
mod config;
mod connections;
mod driver;
mod error;
#[cfg(feature = "local")]
mod local;
mod place;
#[cfg(all(test, feature = "local"))]
mod plans;
#[cfg(feature = "remote")]
mod remote;
#[cfg(feature = "replica")]
mod replica;
mod row;
mod store;

pub use libsql;
pub use linkly_core;

pub use config::{LibsqlConfig, PoolConfig, ReplicaConfig};
pub use linkly_sql::{MIGRATIONS, Migration, MigrationReport, Row, SCHEMA_VERSION, Synchronous, Unfit, Value};
pub use store::LibsqlStore;

/// The name in this store's errors.
const BACKEND: &str = "libsql";
