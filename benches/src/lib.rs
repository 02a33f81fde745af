//! The workloads of the benchmarks: seeded, so that each run asks for the same.

mod codes;
mod paired;
mod statement;
mod tasks;
mod threads;

pub use codes::{Codes, Shape};
pub use paired::Paired;
pub use statement::statement_of;
pub use tasks::resolve_on_tasks;
pub use threads::time_on_threads;
