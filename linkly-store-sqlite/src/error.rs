//! The driver's errors, mapped in this one place to what a caller can act on.

use std::path::Path;
use std::sync::Arc;

use linkly_core::Error;
use linkly_sql::{during, sqlite_error};

use crate::BACKEND;

/// Result codes that are looked for, <https://www.sqlite.org/rescode.html>.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
pub(crate) fn map(error: sqlx::Error) -> Error {
    if let Some(code) = result_code(&error) {
        let message = error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
        return sqlite_error(BACKEND, code, &message, Arc::new(error));
    }
    match error {
        sqlx::Error::PoolTimedOut => unavailable(
            "no connection became free within pool.acquire_timeout_ms: raise pool.max, or look for what holds them",
            error,
        ),
        sqlx::Error::PoolClosed => unavailable("this store was closed", error),
        sqlx::Error::WorkerCrashed => unavailable("the thread of the connection ended", error),
        sqlx::Error::Io(_) => unavailable("the connection failed", error),
        _ => backend("the driver failed", error),
    }
}

/// An error of opening the database at `path`, which it names.
pub(crate) fn opening(path: &Path, error: sqlx::Error) -> Error {
    during(&path.display().to_string(), map(error))
}

/// The extended result code of SQLite.
fn result_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Whether another connection was in the way, so that the same statement may pass later.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(result_code(error).map(|code| code & 0xff), Some(BUSY | LOCKED))
}

fn unavailable(reason: &str, source: sqlx::Error) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn backend(reason: &str, source: sqlx::Error) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_transient_and_nothing_else_is() {
        for passing in [sqlx::Error::PoolTimedOut, sqlx::Error::PoolClosed, sqlx::Error::WorkerCrashed] {
            assert!(map(passing).is_transient());
        }
        assert!(!map(sqlx::Error::RowNotFound).is_transient());
    }
}
