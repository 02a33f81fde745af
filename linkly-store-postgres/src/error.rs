//! The driver's errors, mapped in this one place to what a caller can act on.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use deadpool_postgres::PoolError;
use linkly_core::Error;
use tokio_postgres::error::DbError;

use crate::BACKEND;

/// Where a refusal of this crate's own SQL says why.
const OURS: &str = "linkly: ";

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
pub(crate) fn map(error: tokio_postgres::Error) -> Error {
    if let Some(found) = error.as_db_error() {
        let found = found.clone();
        return map_state(&found, error);
    }
    if is_tls(&error) {
        return backend(
            "TLS with the server failed: its certificate must be valid for the host and known by tls_root_certificate \
             or the public roots; sslmode=disable in the URL goes without",
            error,
        );
    }
    if error.is_closed() || is_io(&error) {
        return unavailable("the connection failed", error);
    }
    backend("the driver failed", error)
}

/// What a caller can do when no connection was to be had.
pub(crate) fn map_pool(error: PoolError) -> Error {
    match error {
        PoolError::Backend(error) => during("connecting", map(error)),
        PoolError::Closed => Error::unavailable(BACKEND, "this store was closed"),
        PoolError::Timeout(_) => no_connection(),
        other => {
            Error::Backend { backend: BACKEND, reason: "the pool failed".to_owned(), source: Some(Arc::new(other)) }
        }
    }
}

/// By SQLSTATE, <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn map_state(found: &DbError, error: tokio_postgres::Error) -> Error {
    let (state, message) = (found.code().code(), found.message());
    match (&state[..2], state) {
        (_, "42P01" | "42883" | "42703" | "3F000") => {
            Error::Schema { backend: BACKEND, reason: format!("{message}: call migrate() before anything else") }
        }
        (_, "42501") => backend(&format!("{message}: grant it to the user of this connection"), error),
        (_, "3D000") => backend(&format!("{message}: create it, or choose another in the URL"), error),
        ("28", _) => backend("the server does not let this user in: look at user, password and pg_hba.conf", error),
        (_, "26000" | "42P05") => backend(
            "a prepared statement was not found where it was made: behind a pooler in transaction mode set `statements` \
             to `unnamed`",
            error,
        ),
        (_, "08P01") => backend(&format!("{message}: behind a pooler set `statements` to `unnamed`"), error),
        (_, "53100") => backend("the server's disk is full: make room; the statement wrote nothing", error),
        (_, "53300") => {
            unavailable("the server has no connection left: lower pool.max, or raise max_connections", error)
        }
        ("53", _) => unavailable("the server is short of memory or another resource", error),
        (_, "25006") => unavailable("the server only reads: it is a replica, or was one before a failover", error),
        (_, "40001" | "40P01") => unavailable("another transaction was in the way, again and again", error),
        (_, "57014") => unavailable("the statement was cancelled, by its timeout or by an operator", error),
        (_, "55P03") => unavailable("a lock is held by another transaction", error),
        ("08" | "57", _) => unavailable("the server ends, starts, or closed the connection", error),
        (_, "XX001" | "XX002") => backend("the server's data is damaged: stop writing, and restore a backup", error),
        (_, "58030") => backend("the server's disk failed: look at its log", error),
        ("LK", _) => refuse(message.strip_prefix(OURS).unwrap_or(message), error),
        ("22" | "23", _) => refuse("a rule of the database does not allow the row", error),
        _ => backend("the statement failed", error),
    }
}

/// What is to be done with a connection whose statement failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The statement failed; the connection is as good as before.
    Statement,
    /// The statement was rolled back because of others, and passes when it is sent again.
    Conflict,
    /// The connection is to be discarded; the statement was not run.
    Stale,
    /// The connection is to be discarded; whether the statement was committed is not known.
    Broken,
}

impl Failure {
    pub(crate) fn of(error: &tokio_postgres::Error) -> Self {
        let Some(found) = error.as_db_error() else {
            return if error.is_closed() || is_io(error) { Self::Broken } else { Self::Statement };
        };
        match found.code().code() {
            "40001" | "40P01" => Self::Conflict,
            // A server that was the primary; a statement prepared before the tables were changed, or on
            // another connection of a pooler.
            "25006" | "26000" => Self::Stale,
            "0A000" if found.message().contains("cached plan") => Self::Stale,
            // The server is about to go, or the pooler has lost it.
            state if state.starts_with("08") || state.starts_with("57P") => Self::Broken,
            _ => Self::Statement,
        }
    }
}

/// Whether an insert met its own earlier try half-way: it had not seen it when it began. Sent again it does.
pub(crate) fn is_own_earlier_try(error: &Error) -> bool {
    let Error::Refused { source: Some(source), .. } = error else {
        return false;
    };
    let found = source.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error);
    found.is_some_and(|found| {
        let state = found.code().code();
        state == "LK003" || (state == "23505" && found.constraint() == Some("links_id"))
    })
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error + 'static>::is::<io::Error>)
}

/// The handshake failed for what the server showed, not for want of a connection.
fn is_tls(error: &tokio_postgres::Error) -> bool {
    let broken = |source: &io::Error| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(source.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
    };
    error.to_string().contains("TLS") && !error.source().and_then(|source| source.downcast_ref()).is_some_and(broken)
}

pub(crate) fn no_connection() -> Error {
    let reason = "no connection within pool.acquire_timeout_ms: the server does not answer, or pool.max is too small \
                  for what holds connections";
    Error::unavailable(BACKEND, reason)
}

pub(crate) fn no_answer() -> Error {
    let reason = "no answer within the statement's timeout: whether it was done is not known";
    Error::unavailable(BACKEND, reason)
}

/// An error with what was being done in front.
pub(crate) fn during(what: &str, mut error: Error) -> Error {
    if let Error::Backend { reason, .. } | Error::Unavailable { reason, .. } | Error::Refused { reason, .. } =
        &mut error
    {
        reason.insert_str(0, &format!("{what}: "));
    }
    error
}

fn unavailable(reason: &str, source: tokio_postgres::Error) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn backend(reason: &str, source: tokio_postgres::Error) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn refuse(reason: &str, source: tokio_postgres::Error) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

/// A failure that is not the driver's.
pub(crate) fn failed(reason: impl Into<String>) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.into(), source: None }
}

pub(crate) fn schema(reason: impl Into<String>) -> Error {
    Error::Schema { backend: BACKEND, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use linkly_testkit::Postgres;
    use tokio_postgres::NoTls;

    use super::*;

    /// Raised by a real server, which is the only one that can make the driver's error.
    #[tokio::test]
    async fn each_sqlstate_is_what_a_caller_can_do_about_it() {
        use Failure::{Broken, Conflict, Stale, Statement};
        let (client, connection) = tokio_postgres::connect(Postgres::shared().url(), NoTls).await.unwrap();
        tokio::spawn(connection);
        for (state, kind, reason, failure) in [
            ("08006", "unavailable", "closed the connection", Broken),
            ("08P01", "backend", "`unnamed`", Broken),
            ("0A000", "backend", "the statement failed", Statement),
            ("22003", "refused", "a rule of the database", Statement),
            ("23505", "refused", "a rule of the database", Statement),
            ("25006", "unavailable", "only reads", Stale),
            ("26000", "backend", "`unnamed`", Stale),
            ("28P01", "backend", "pg_hba.conf", Statement),
            ("3D000", "backend", "create it", Statement),
            ("3F000", "schema", "migrate()", Statement),
            ("40001", "unavailable", "another transaction", Conflict),
            ("40P01", "unavailable", "another transaction", Conflict),
            ("42501", "backend", "grant it", Statement),
            ("42601", "backend", "the statement failed", Statement),
            ("42703", "schema", "migrate()", Statement),
            ("42883", "schema", "migrate()", Statement),
            ("42P01", "schema", "migrate()", Statement),
            ("42P05", "backend", "`unnamed`", Statement),
            ("53100", "backend", "make room", Statement),
            ("53200", "unavailable", "short of memory", Statement),
            ("53300", "unavailable", "max_connections", Statement),
            ("55P03", "unavailable", "a lock is held", Statement),
            ("57014", "unavailable", "cancelled", Statement),
            ("57P01", "unavailable", "closed the connection", Broken),
            ("57P03", "unavailable", "closed the connection", Broken),
            ("58030", "backend", "disk failed", Statement),
            ("XX000", "backend", "the statement failed", Statement),
            ("XX001", "backend", "damaged", Statement),
            ("LK001", "refused", "why", Statement),
        ] {
            let raise = format!("DO $$ BEGIN RAISE EXCEPTION 'linkly: why' USING ERRCODE = '{state}'; END $$");
            let error = client.batch_execute(&raise).await.unwrap_err();
            assert_eq!((state, Failure::of(&error)), (state, failure));
            let error = map(error);
            let (found, text) = match &error {
                Error::Unavailable { reason, .. } => ("unavailable", reason),
                Error::Refused { reason, .. } => ("refused", reason),
                Error::Schema { reason, .. } => ("schema", reason),
                Error::Backend { reason, .. } => ("backend", reason),
                other => panic!("{state}: {other:?}"),
            };
            assert!(found == kind && text.contains(reason), "{state}: {error:?}");
            assert_eq!(error.is_transient(), kind == "unavailable", "{state}");
            assert_eq!(std::error::Error::source(&error).is_some(), kind != "schema", "{state}");
        }
    }
}
