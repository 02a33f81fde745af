//! The driver's errors, mapped in this one place to what a caller can act on.

use std::sync::Arc;

use linkly_core::Error;
use redis::{ErrorKind, RedisError, ServerErrorKind};

pub(super) const BACKEND: &str = "redis";
/// There is no consumer group: no writer has been there yet, or the server was emptied.
pub(super) const NO_GROUP: &str = "there is no such stream, or it has no group";

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
pub(super) fn map(error: RedisError) -> Error {
    use ServerErrorKind::{BusyLoading, MasterDown, NoPerm, ReadOnly};
    match error.kind() {
        ErrorKind::Server(BusyLoading) => unavailable("the server has started and reads its data", error),
        ErrorKind::Server(ReadOnly | MasterDown) => unavailable("the server is a replica by now", error),
        ErrorKind::Server(NoPerm) => failed(
            "the user may not do this: it needs EVAL, MULTI, INFO and the commands of streams on keys with the prefix",
            error,
        ),
        ErrorKind::AuthenticationFailed => failed("the server does not accept the user or the password", error),
        ErrorKind::InvalidClientConfig => failed("the client cannot be made from this URL or these settings", error),
        // It may pass: what is delivered gives memory back.
        _ if error.code() == Some("OOM") => unavailable("the server's memory is full: raise maxmemory", error),
        // The server has lost the group, with all its data: it is made again with the next connection.
        _ if error.code() == Some("NOGROUP") => unavailable(NO_GROUP, error),
        _ if error.is_timeout() => unavailable("no answer in time", error),
        _ if error.is_connection_refusal() => unavailable("nothing listens at its address", error),
        _ if error.is_unrecoverable_error() || error.is_io_error() => unavailable("the connection failed", error),
        _ => failed("the command failed", error),
    }
}

fn unavailable(reason: &str, source: RedisError) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn failed(reason: &str, source: RedisError) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}
