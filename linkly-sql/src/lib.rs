#![doc = include_str!("../README.md")]

mod click_batch;
mod clicks;
mod driver;
mod error;
mod forward;
mod links;
mod list;
mod list_clicks;
mod maintenance;
mod migrate;
mod new_file;
pub mod plans;
mod prefix;
mod reconcile;
mod rows;
mod stats;
mod store;
mod synchronous;
mod unfit;

#[cfg(test)]
extern crate self as linkly_sql;
#[cfg(test)]
#[path = "../tests/rusqlite_driver/mod.rs"]
mod rusqlite_driver;

pub use linkly_core;

pub use driver::{Driver, Row, Sql, Statement, Value};
pub use error::{during, sqlite_error};
pub use migrate::{MIGRATIONS, Migration, SCHEMA_VERSION};
pub use new_file::NewFile;
pub use prefix::check_prefix;
pub use store::{SchemaConfig, SqlStore};
pub use synchronous::Synchronous;
pub use unfit::{MigrationReport, Unfit};

/// What [`forward_store`] names.
#[doc(hidden)]
pub mod __private {
    pub use async_trait::async_trait;
    pub use linkly_core::chrono::{DateTime, Utc};
    pub use linkly_core::*;
}
