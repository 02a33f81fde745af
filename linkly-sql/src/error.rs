//! What SQLite's result codes mean to a caller, whichever driver brings them.

use linkly_core::{Error, Source};

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

/// What stands in front of what a trigger of ours refuses.
const OURS: &str = "linkly: ";
/// What a program does that meets a schema it does not know.
const NOT_MIGRATED: [&str; 2] = ["no such table", "no such column"];
/// What a migration meets where something else has a name of ours.
const IN_THE_WAY: [&str; 3] = ["already exists", "duplicate column", "has no column named"];

/// What a caller can do about an error of SQLite, by its result code, primary or extended, and its message.
/// The driver's own text stays in `source`.
pub fn sqlite_error(backend: &'static str, code: i32, message: &str, source: Source) -> Error {
    let unavailable =
        |reason: &str, source| Error::Unavailable { backend, reason: reason.to_owned(), source: Some(source) };
    let failed = |reason: &str, source| Error::Backend { backend, reason: reason.to_owned(), source: Some(source) };
    let refuse = |reason: &str, source| Error::Refused { backend, reason: reason.to_owned(), source: Some(source) };
    // The driver gives the extended code.
    match code & 0xff {
        BUSY | LOCKED => unavailable("another connection holds the database's write lock", source),
        PROTOCOL => {
            unavailable("the write-ahead log could not be locked: too many connections open it at once", source)
        }
        INTERRUPT => unavailable("the statement was interrupted", source),
        CONSTRAINT => {
            let reason = message.split_once(OURS).map(|(_, reason)| reason);
            refuse(reason.unwrap_or("a constraint of the database does not allow the row"), source)
        }
        TOOBIG => refuse("a row is larger than SQLite takes", source),
        MISMATCH => refuse("a value is not of its column's type", source),
        CORRUPT => failed(
            "the file is damaged: stop writing to it, copy it as it is, and restore a backup or use sqlite3's .recover",
            source,
        ),
        NOTADB => failed("the file is not an SQLite database (or is encrypted): it was left as it is", source),
        FULL => failed("the disk (or PRAGMA max_page_count) is full: make room; the statement wrote nothing", source),
        READONLY => {
            failed("the database is read-only: give this process the right to write the file and its folder", source)
        }
        CANTOPEN => failed("the file cannot be opened: look at its path and at the rights on its folder", source),
        IOERR => failed("the disk failed: look at the system's log; what the statement wrote is not known", source),
        NOMEM => failed("SQLite is out of memory", source),
        ERROR if NOT_MIGRATED.iter().any(|text| message.contains(text)) => {
            schema(backend, format!("{message}: call migrate() before anything else"))
        }
        ERROR if IN_THE_WAY.iter().any(|text| message.contains(text)) => {
            schema(backend, format!("{message}, and belongs to something else: choose a prefix"))
        }
        _ => failed("the statement failed", source),
    }
}

/// An error of doing something, which it names: opening a file, copying to one.
pub fn during(what: &str, mut error: Error) -> Error {
    if let Error::Backend { reason, .. } | Error::Unavailable { reason, .. } | Error::Refused { reason, .. } =
        &mut error
    {
        reason.insert_str(0, &format!("{what}: "));
    }
    error
}

/// A failure that is not the driver's.
pub(crate) fn failed(backend: &'static str, reason: impl Into<String>) -> Error {
    Error::Backend { backend, reason: reason.into(), source: None }
}

pub(crate) fn schema(backend: &'static str, reason: impl Into<String>) -> Error {
    Error::Schema { backend, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

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
            (CONSTRAINT, "SQLite error: linkly: a click is older", "refused", "a click is older"),
            (extended(CONSTRAINT, 8), "UNIQUE constraint failed", "refused", "a constraint of the database"),
            (TOOBIG, "string or blob too big", "refused", "larger than"),
            (MISMATCH, "datatype mismatch", "refused", "column's type"),
            (ERROR, "no such table: links", "schema", "migrate()"),
            (ERROR, "no such column: url", "schema", "migrate()"),
            (ERROR, "table links already exists", "schema", "choose a prefix"),
            (ERROR, "duplicate column name: title", "schema", "choose a prefix"),
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
            let error = sqlite_error("sqlite", code, message, Arc::new(std::fmt::Error));
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
