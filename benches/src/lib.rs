//! The suite that every backend's benchmark runs, and its workloads: seeded, so that each run asks for the same.

mod codes;
mod nowhere;
mod paired;
mod raw_cache;
mod raw_sql;
mod statement;
mod suite;

pub use codes::{Codes, Shape};
pub use nowhere::Nowhere;
pub use paired::Paired;
pub use raw_cache::QuickCache;
pub use raw_sql::{RawSql, SqlDriver};
pub use statement::statement_of;
pub use suite::{RawCache, RawStore, Sizes, Suite, batch, page_of, timed};
