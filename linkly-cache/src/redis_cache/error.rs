//! The driver's errors, mapped in this one place to what a caller can act on.

use std::sync::Arc;
use std::time::Duration;

use linkly_core::Error;
use redis::{ErrorKind, RedisError, ServerErrorKind};

pub(crate) const BACKEND: &str = "redis";

/// Why a call was not answered, by what is done about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is of no more use: the call goes once more over a new one.
    Lost(Error),
    /// Another process has cleared the cache: the call goes once more under the new name.
    Renamed,
    /// Another node of the cluster has the keys by now: the call goes once more, and there. Which one, as host and
    /// port, if the server has said it.
    Moved(Error, Option<(String, u16)>),
    /// The server did not answer in time: it may hang.
    Late(Error),
    /// The server refused, and would again.
    Refused(Error),
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            return Self::Late(map(error));
        }
        let is_replica = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        if is_replica || error.is_unrecoverable_error() || error.is_io_error() {
            return Self::Lost(map(error));
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
                let node = error.redirect_node().and_then(|(address, _)| address.rsplit_once(':'));
                let node = node.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
                Self::Moved(map(error), node.filter(|(host, _)| !host.is_empty()))
            }
            _ => Self::Refused(map(error)),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Lost(error) | Failure::Moved(error, _) | Failure::Late(error) | Failure::Refused(error) => error,
            Failure::Renamed => Self::unavailable(BACKEND, "the cache is cleared again and again"),
        }
    }
}

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
pub(crate) fn map(error: RedisError) -> Error {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, NoPerm, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(BusyLoading) => unavailable("the server has started and reads its data", error),
        ErrorKind::Server(ReadOnly) => unavailable("the server is a replica by now", error),
        ErrorKind::Server(MasterDown | ClusterDown) => unavailable("the cluster is down, or a master of it", error),
        ErrorKind::Server(Moved | Ask | TryAgain) => unavailable("the key's slot has moved to another node", error),
        ErrorKind::Server(NoPerm) => failed(
            "the user may not do this: it needs GET, MGET, SET, UNLINK, GETRANGE, TIME, INFO, EVAL, EVALSHA and \
             SCRIPT LOAD on keys with the prefix; a channel needs PUBLISH and SUBSCRIBE",
            error,
        ),
        ErrorKind::AuthenticationFailed => failed("the server does not accept the user or the password", error),
        ErrorKind::InvalidClientConfig => failed("the client cannot be made from this URL or these settings", error),
        _ if error.code() == Some("OOM") => failed(
            "the server's memory is full and it evicts nothing: raise maxmemory, or set maxmemory-policy to allkeys-lru",
            error,
        ),
        _ if error.is_timeout() => unavailable("no answer in time", error),
        _ if error.is_connection_refusal() => unavailable("nothing listens at its address", error),
        _ if error.is_unrecoverable_error() || error.is_io_error() => unavailable("the connection failed", error),
        _ => failed("the command failed", error),
    }
}

/// An answer that no such server gives.
pub(super) fn unexpected(what: &str) -> Error {
    Error::Backend { backend: BACKEND, reason: format!("{what}: is this a Redis of 7.0 or newer?"), source: None }
}

pub(crate) fn late(after: Duration) -> Error {
    Error::unavailable(BACKEND, format!("no answer within {} ms", after.as_millis()))
}

fn unavailable(reason: &str, source: RedisError) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

fn failed(reason: &str, source: RedisError) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_owned(), source: Some(Arc::new(source)) }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_passes_by_itself_is_transient_and_nothing_else_is() {
        let server = |kind| RedisError::from((ErrorKind::Server(kind), "…"));
        for passing in [
            io::Error::from(io::ErrorKind::ConnectionRefused).into(),
            io::Error::from(io::ErrorKind::TimedOut).into(),
            io::Error::from(io::ErrorKind::BrokenPipe).into(),
            server(ServerErrorKind::BusyLoading),
            server(ServerErrorKind::ReadOnly),
            server(ServerErrorKind::ClusterDown),
        ] {
            let mapped = map(passing);
            assert!(mapped.is_transient(), "{mapped}");
        }
        for lasting in [server(ServerErrorKind::NoPerm), (ErrorKind::AuthenticationFailed, "…").into()] {
            let mapped = map(lasting);
            assert!(!mapped.is_transient(), "{mapped}");
        }
    }

    #[test]
    fn a_replica_and_a_broken_connection_are_left_and_a_late_server_is_not_asked_again() {
        let of = |kind: io::ErrorKind| Failure::from(RedisError::from(io::Error::from(kind)));
        assert!(matches!(of(io::ErrorKind::BrokenPipe), Failure::Lost(_)));
        assert!(matches!(of(io::ErrorKind::TimedOut), Failure::Late(_)));
        let read_only = RedisError::from((ErrorKind::Server(ServerErrorKind::ReadOnly), "…"));
        assert!(matches!(Failure::from(read_only), Failure::Lost(_)));
    }
}
