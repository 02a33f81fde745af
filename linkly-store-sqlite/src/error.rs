//! The driver's errors, mapped in this one place to what a caller can act on.

use std::path::Path;
use std::sync::Arc;

use linkly_core::Error;

use crate::BACKEND;

/// Primary result codes, <https://www.sqlite.org/rescode.html>.
const ERROR: i32 = 1;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NOMEM: i32 = 7;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const NOTADB: i32 = 26;

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
pub(crate) fn map(error: sqlx::Error) -> Error {
    if let Some(code) = primary_code(&error) {
        return map_code(code, error);
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

fn map_code(code: i32, error: sqlx::Error) -> Error {
    let message = error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
    match code {
        BUSY | LOCKED => unavailable("another connection holds the database's write lock", error),
        PROTOCOL => unavailable("the write-ahead log could not be locked: too many connections open it at once", error),
        INTERRUPT => unavailable("the statement was interrupted", error),
        CONSTRAINT => {
            let reason = message.strip_prefix("linkly: ");
            refuse(reason.unwrap_or("a constraint of the database does not allow the row"), error)
        }
        TOOBIG => refuse("a row is larger than SQLite takes", error),
        MISMATCH => refuse("a value is not of its column's type", error),
        CORRUPT => backend(
            "the file is damaged: stop writing to it, copy it as it is, and restore a backup or use sqlite3's .recover",
            error,
        ),
        NOTADB => backend("the file is not an SQLite database (or is encrypted): it was left as it is", error),
        FULL => backend("the disk (or PRAGMA max_page_count) is full: make room; the statement wrote nothing", error),
        READONLY => {
            backend("the database is read-only: give this process the right to write the file and its folder", error)
        }
        CANTOPEN => backend("the file cannot be opened: look at its path and at the rights on its folder", error),
        IOERR => backend("the disk failed: look at the system's log; what the statement wrote is not known", error),
        NOMEM => backend("SQLite is out of memory", error),
        ERROR if message.starts_with("no such table") || message.starts_with("no such column") => {
            Error::Schema { backend: BACKEND, reason: format!("{message}: call migrate() before anything else") }
        }
        _ => backend("the statement failed", error),
    }
}

/// An error of opening the database at `path`, which it names.
pub(crate) fn opening(path: &Path, error: sqlx::Error) -> Error {
    during(&path.display().to_string(), error)
}

/// An error of copying the database to `path`, which it names.
pub(crate) fn copying(path: &Path, error: sqlx::Error) -> Error {
    during(&format!("copying to {}", path.display()), error)
}

fn during(what: &str, error: sqlx::Error) -> Error {
    let mut error = map(error);
    if let Error::Backend { reason, .. } | Error::Unavailable { reason, .. } | Error::Refused { reason, .. } =
        &mut error
    {
        reason.insert_str(0, &format!("{what}: "));
    }
    error
}

/// The primary result code of SQLite; the driver gives the extended one.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// Whether another connection was in the way, so that the same statement may pass later.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

fn unavailable(reason: &str, source: sqlx::Error) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn backend(reason: &str, source: sqlx::Error) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn refuse(reason: &str, source: sqlx::Error) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

/// A failure that is not the driver's.
pub(crate) fn failed(reason: impl Into<String>) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.into(), source: None }
}

pub(crate) fn schema(reason: impl Into<String>) -> Error {
    Error::Schema { backend: BACKEND, reason: reason.into() }
}

pub(crate) fn refused(reason: impl Into<String>) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.into(), source: None }
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
    #[derive(Debug)]
    struct Found {
        code: i32,
        message: &'static str,
    }

    impl std::fmt::Display for Found {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(self.message)
        }
    }

    impl std::error::Error for Found {}

    impl sqlx::error::DatabaseError for Found {
        fn message(&self) -> &str {
            self.message
        }

        fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
            Some(self.code.to_string().into())
        }

        fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
            self
        }

        fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
            self
        }

        fn kind(&self) -> sqlx::error::ErrorKind {
            sqlx::error::ErrorKind::Other
        }
    }

    #[test]
    fn each_result_code_is_what_a_caller_can_do_about_it() {
        let extended = |code: i32, detail: i32| code | detail << 8;
        for (code, message, kind, reason) in [
            (BUSY, "", "unavailable", "write lock"),
            (extended(BUSY, 2), "", "unavailable", "write lock"),
            (LOCKED, "", "unavailable", "write lock"),
            (INTERRUPT, "", "unavailable", "interrupted"),
            (PROTOCOL, "locking protocol", "unavailable", "too many connections"),
            (CONSTRAINT, "linkly: a click is older", "refused", "a click is older"),
            (extended(CONSTRAINT, 8), "UNIQUE constraint failed", "refused", "a constraint of the database"),
            (TOOBIG, "string or blob too big", "refused", "larger than"),
            (MISMATCH, "datatype mismatch", "refused", "column's type"),
            (ERROR, "no such table: links", "schema", "migrate()"),
            (ERROR, "no such column: url", "schema", "migrate()"),
            (ERROR, "near \"x\": syntax error", "backend", "the statement failed"),
            (CORRUPT, "", "backend", "damaged"),
            (NOTADB, "", "backend", "not an SQLite database"),
            (FULL, "", "backend", "the statement wrote nothing"),
            (READONLY, "", "backend", "read-only"),
            (CANTOPEN, "", "backend", "cannot be opened"),
            (extended(IOERR, 12), "", "backend", "the disk failed"),
            (NOMEM, "", "backend", "out of memory"),
            (99, "", "backend", "the statement failed"),
        ] {
            let error = map(sqlx::Error::Database(Box::new(Found { code, message })));
            let (found, text) = match &error {
                Error::Unavailable { reason, .. } => ("unavailable", reason),
                Error::Refused { reason, .. } => ("refused", reason),
                Error::Schema { reason, .. } => ("schema", reason),
                Error::Backend { reason, .. } => ("backend", reason),
                other => panic!("{code}: {other:?}"),
            };
            assert!(found == kind && text.contains(reason), "{code}: {error:?}");
            assert_eq!(error.is_transient(), kind == "unavailable", "{code}");
            assert_eq!(std::error::Error::source(&error).is_some(), kind != "schema", "{code}");
        }
    }
}
