//! The driver's errors, mapped in this one place to what a caller can act on.
//!
//! libsql 0.10 keeps the types of a server's errors to itself, so what is said of them is read out of their
//! texts: as they are in `libsql/src/hrana`, each of them tried on a server.

use std::fmt::Display;
use std::sync::Arc;

use linkly_core::Error;
use linkly_sql::sqlite_error;

use crate::BACKEND;

/// What went wrong with a call.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something that the driver says.
    Driver(libsql::Error),
    /// Something that it does not.
    Ours(Error),
}

/// What a driver's error is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// SQLite refused the statement: its result code, and its message.
    Statement { code: i32, message: String },
    /// The server no longer knows the stream of a transaction of the app's own: it was idle for ten seconds, or the
    /// server was started anew.
    StreamLost,
    /// The server was not reached.
    NotReached,
    /// The connection failed in between.
    Broken,
    /// The server answered with another status than 200, and this text.
    Status(u16, String),
    /// Something else, in the driver's words.
    Other,
}

/// Result codes, <https://www.sqlite.org/rescode.html>, by the names that servers give, and by what SQLite says:
/// of what fails in a batch, only that arrives.
const CODES: [(&str, &str, i32); 14] = [
    ("SQLITE_BUSY", "database is locked", 5),
    ("SQLITE_LOCKED", "table is locked", 6),
    ("SQLITE_NOMEM", "out of memory", 7),
    ("SQLITE_READONLY", "attempt to write a readonly database", 8),
    ("SQLITE_INTERRUPT", "interrupted", 9),
    ("SQLITE_IOERR", "disk I/O error", 10),
    ("SQLITE_CORRUPT", "database disk image is malformed", 11),
    ("SQLITE_FULL", "database or disk is full", 13),
    ("SQLITE_CANTOPEN", "unable to open database file", 14),
    ("SQLITE_PROTOCOL", "locking protocol", 15),
    ("SQLITE_TOOBIG", "string or blob too big", 18),
    ("SQLITE_CONSTRAINT", "constraint failed", 19),
    ("SQLITE_MISMATCH", "datatype mismatch", 20),
    ("SQLITE_NOTADB", "file is not a database", 26),
];
/// Any other error of SQLite.
const ERROR: i32 = 1;

impl From<libsql::Error> for Failure {
    fn from(error: libsql::Error) -> Self {
        Self::Driver(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Failure {
    /// Whether the connection to the server failed, and not what was sent on it.
    #[cfg(feature = "remote")]
    pub(crate) fn is_of_connection(&self) -> bool {
        matches!(self, Self::Driver(error) if matches!(kind(error), Kind::Broken))
    }

    /// What a caller of the store can do about it.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Ours(error) => error,
            Self::Driver(error) => map(error),
        }
    }

    /// What an app can do about it whose own SQL failed: what SQLite says of that is the reason.
    pub(crate) fn into_error_of_app(self) -> Error {
        match self {
            Self::Driver(error) => match kind(&error) {
                Kind::Statement { code: ERROR, message } => failed(message, Some(error)),
                _ => map(error),
            },
            Self::Ours(error) => error,
        }
    }
}

/// What a caller can do about an error of the driver. The driver's own text stays in `source`.
fn map(error: libsql::Error) -> Error {
    match kind(&error) {
        Kind::Statement { code, message } => sqlite_error(BACKEND, code, &message, Arc::new(error)),
        Kind::StreamLost => unavailable("the server has given up the transaction: begin anew", Some(error)),
        Kind::NotReached => {
            unavailable("the server cannot be reached: look whether it runs, and at the URL", Some(error))
        }
        Kind::Broken => unavailable("the connection to the server failed", Some(error)),
        Kind::Status(401, text) => failed(
            format!("the server refuses the token ({text}): give a valid one in auth_token or behind ?authToken="),
            Some(error),
        ),
        Kind::Status(403, text) => failed(format!("the server forbids it ({text})"), Some(error)),
        Kind::Status(404, text) => failed(format!("the server has no such database ({text})"), Some(error)),
        Kind::Status(429, text) => {
            unavailable(&format!("the server has no connection to give ({text}): lower pool.max"), Some(error))
        }
        Kind::Status(status @ (408 | 502 | 503 | 504), text) => {
            unavailable(&format!("the server answered with status {status} ({text})"), Some(error))
        }
        Kind::Status(status, text) => failed(format!("the server answered with status {status} ({text})"), Some(error)),
        Kind::Other => failed("the driver failed", Some(error)),
    }
}

/// What an error is.
pub(crate) fn kind(error: &libsql::Error) -> Kind {
    match error {
        libsql::Error::SqliteFailure(code, message) => Kind::Statement { code: *code, message: message.clone() },
        libsql::Error::RemoteSqliteFailure(_, code, message) => {
            Kind::Statement { code: *code, message: message.clone() }
        }
        // `Unable to open connection to local database ./x.db: 14`
        libsql::Error::ConnectionFailed(text) => match text.rsplit(' ').next().and_then(|code| code.parse().ok()) {
            Some(code) => Kind::Statement { code, message: text.clone() },
            None => Kind::Other,
        },
        libsql::Error::Hrana(inner) => kind_of_answer(&inner.to_string()),
        _ => Kind::Other,
    }
}

fn kind_of_answer(text: &str) -> Kind {
    if let Some(inner) = inside(text, "stream error") {
        // `Error { message: "SQLite error: …", code: "SQLITE_BUSY" }`, as Rust's `Debug` writes it.
        let message = inner.split_once("message: \"").map(|(_, rest)| unescaped(rest)).unwrap_or_default();
        let code = inner.rsplit_once("code: \"").map(|(_, rest)| rest.split('"').next().unwrap_or_default());
        return statement(code.unwrap_or_default(), &message);
    }
    if let Some(inner) = inside(text, "cursor error") {
        // `error at step 0: (error code: SQLITE_CONSTRAINT) `SQLite error: …``
        return match inner.split_once("(error code: ").and_then(|(_, rest)| rest.split_once(") `")) {
            Some((code, message)) => statement(code, message.trim_end_matches('`')),
            None => Kind::Broken,
        };
    }
    if let Some(inner) = inside(text, "api error") {
        let status = inner.strip_prefix("status=").and_then(|rest| rest.get(..3)?.parse().ok());
        let Some(status) = status else {
            // Of a batch, where the message alone is left.
            return statement("", inner);
        };
        let body = inner.split_once("body=").map_or("", |(_, body)| body);
        if body.contains("STREAM_EXPIRED") || body.contains("baton") {
            return Kind::StreamLost;
        }
        return Kind::Status(status, body.chars().take(200).collect());
    }
    match inside(text, "http error") {
        Some(inner) if inner.contains("error trying to connect") => Kind::NotReached,
        Some(_) => Kind::Broken,
        None => Kind::Other,
    }
}

/// What stands in the backticks of `name: `…``.
fn inside<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let inner = text.strip_prefix(name)?.strip_prefix(": `")?;
    Some(inner.strip_suffix('`').unwrap_or(inner))
}

fn statement(name: &str, message: &str) -> Kind {
    if name.contains("STREAM_EXPIRED") {
        return Kind::StreamLost;
    }
    let message =
        message.strip_prefix("SQLite error: ").or_else(|| message.strip_prefix("SQL input error: ")).unwrap_or(message);
    let message = message.rsplit_once(" (at offset ").map_or(message, |(message, _)| message);
    let code =
        CODES.iter().find(|(of, says, _)| if name.is_empty() { message.contains(says) } else { name.starts_with(of) });
    Kind::Statement { code: code.map_or(ERROR, |(_, _, code)| *code), message: message.to_owned() }
}

/// A text that `Debug` wrote, up to its closing quote.
fn unescaped(text: &str) -> String {
    let mut unescaped = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => unescaped.push(match characters.next() {
                Some('n') => '\n',
                Some(character) => character,
                None => break,
            }),
            _ => unescaped.push(character),
        }
    }
    unescaped
}

pub(crate) fn unavailable(reason: &str, source: Option<libsql::Error>) -> Error {
    Error::Unavailable { backend: BACKEND, reason: reason.to_owned(), source: source.map(|error| Arc::new(error) as _) }
}

#[cfg(any(feature = "local", feature = "remote"))]
pub(crate) fn no_connection() -> Error {
    let reason = "no connection became free within pool.acquire_timeout_ms: look for what holds them, or raise \
                  pool.max, which is for those that read";
    unavailable(reason, None)
}

pub(crate) fn failed(reason: impl Display, source: Option<libsql::Error>) -> Error {
    Error::Backend { backend: BACKEND, reason: reason.to_string(), source: source.map(|error| Arc::new(error) as _) }
}

pub(crate) fn refused(reason: impl Into<String>) -> Error {
    Error::Refused { backend: BACKEND, reason: reason.into(), source: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those that sqld 0.24 and libsql 0.10 gave.
    #[test]
    fn what_a_server_says_is_told_apart() {
        let statement = |code, message: &str| Kind::Statement { code, message: message.to_owned() };
        for (text, wanted) in [
            (
                r#"stream error: `Error { message: "SQLite error: no such table: nope", code: "SQLITE_UNKNOWN" }`"#,
                statement(ERROR, "no such table: nope"),
            ),
            (
                r#"stream error: `Error { message: "SQL input error: near \"selec\": syntax error (at offset 0)", code: "SQL_INPUT_ERROR" }`"#,
                statement(ERROR, "near \"selec\": syntax error"),
            ),
            (
                "cursor error: `error at step 0: (error code: SQLITE_CONSTRAINT) `SQLite error: UNIQUE constraint failed: t.a``",
                statement(19, "UNIQUE constraint failed: t.a"),
            ),
            (
                "cursor error: `cursor error: `error reading a body from connection: unexpected EOF during chunk size line``",
                Kind::Broken,
            ),
            (
                "api error: `SQL input error: table u already exists (at offset 13)`",
                statement(ERROR, "table u already exists"),
            ),
            (
                r#"api error: `status=400 Bad Request, body={"message":"The stream has expired due to inactivity","code":"STREAM_EXPIRED"}`"#,
                Kind::StreamLost,
            ),
            ("api error: `status=400 Bad Request, body=Received an invalid baton`", Kind::StreamLost),
            (
                "api error: `status=401 Unauthorized, body={\"error\":\"Unauthorized: `The JWT has expired`\"}`",
                Kind::Status(401, "{\"error\":\"Unauthorized: `The JWT has expired`\"}".to_owned()),
            ),
            (
                "http error: `error trying to connect: tcp connect error: Connection refused (os error 111)`",
                Kind::NotReached,
            ),
            ("http error: `connection closed before message completed`", Kind::Broken),
            ("unexpected response: `x`", Kind::Other),
        ] {
            assert_eq!(kind_of_answer(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_transient_and_nothing_else_is() {
        let of = |text: &'static str| Failure::from(libsql::Error::Hrana(text.into())).into_error();
        for passing in [
            "http error: `connection closed before message completed`",
            "http error: `error trying to connect: tcp connect error: Connection refused (os error 111)`",
            "api error: `SQLite error: database is locked`",
            "api error: `status=429 Too Many Requests, body=`",
            "api error: `status=503 Service Unavailable, body=`",
            "api error: `status=400 Bad Request, body=Received an invalid baton`",
            r#"stream error: `Error { message: "SQLite error: database is locked", code: "SQLITE_BUSY" }`"#,
        ] {
            assert!(of(passing).is_transient(), "{passing}");
        }
        for lasting in [
            "api error: `status=401 Unauthorized, body=`",
            "api error: `status=404 Not Found, body=`",
            "api error: `SQLite error: UNIQUE constraint failed: t.a`",
            "api error: `SQLite error: no such table: t`",
            "json error: `expected value at line 1 column 1`",
        ] {
            assert!(!of(lasting).is_transient(), "{lasting}");
        }
    }

    #[test]
    fn an_error_of_the_apps_own_sql_does_not_speak_of_migrations() {
        let of = || Failure::from(libsql::Error::SqliteFailure(1, "no such table: orders".to_owned()));
        assert!(matches!(of().into_error(), Error::Schema { .. }));
        let error = of().into_error_of_app();
        assert!(
            matches!(error, Error::Backend { .. }) && error.to_string().ends_with("no such table: orders"),
            "{error}"
        );
    }
}
