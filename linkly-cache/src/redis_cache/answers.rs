//! Sending questions, and reading what a server answers.

use std::ops::RangeInclusive;

use linkly_core::Error;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Pipeline, RedisError, Value};

use super::encoding::ServerTime;
use super::error::{self, Failure};

/// The answers, errors of the server among them.
pub(super) async fn send(connection: &mut MultiplexedConnection, questions: &Pipeline) -> Result<Vec<Value>, Failure> {
    let answers = connection.req_packed_commands(questions, 0, questions.len()).await?;
    if answers.len() == questions.len() {
        return Ok(answers);
    }
    Err(Failure::Refused(error::unexpected("a pipeline was answered in part")))
}

/// The answers, of which none is an error of the server.
pub(super) async fn ask<const N: usize>(
    connection: &mut MultiplexedConnection,
    questions: &Pipeline,
) -> Result<[Value; N], Failure> {
    let answers = send(connection, questions).await?;
    let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?;
    answers.try_into().map_err(|_| Failure::Refused(error::unexpected("a pipeline was answered in part")))
}

pub(super) fn refused(answer: Value, what: &str) -> Failure {
    match answer {
        Value::ServerError(error) => RedisError::from(error).into(),
        _ => Failure::Refused(error::unexpected(what)),
    }
}

pub(super) fn is_without_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

pub(super) fn text(value: Value) -> Result<String, Failure> {
    let text = match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    };
    text.ok_or_else(|| Failure::Refused(error::unexpected("a text was asked for, and something else given")))
}

pub(super) fn slot_range(range: &Value) -> Option<(RangeInclusive<u16>, String, u16)> {
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    // Behind the master stand its replicas.
    let Value::Array(range) = range else { return None };
    let [first, last, Value::Array(master), ..] = &range[..] else { return None };
    let [host, port, ..] = &master[..] else { return None };
    let host = match host {
        Value::BulkString(host) if host != b"?" => String::from_utf8(host.clone()).ok()?,
        _ => String::new(),
    };
    Some((number(first)?..=number(last)?, host, number(port)?))
}

pub(super) fn server_time(value: Value) -> Result<ServerTime, Failure> {
    let part = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    let millis = match &value {
        Value::Array(parts) => match &parts[..] {
            [seconds, micros] => {
                part(seconds).zip(part(micros)).map(|(seconds, micros)| seconds * 1_000 + micros / 1_000)
            }
            _ => None,
        },
        _ => None,
    };
    millis.map(ServerTime).ok_or_else(|| refused(value, "TIME was answered with no time"))
}

/// The process's name, if it is one that can be worked with.
pub(super) fn check_server<'a>(server: &'a str, replication: Option<&str>) -> Result<&'a str, Error> {
    let field = |info: &'a str, name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = field(server, "redis_version").unwrap_or("unknown");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 7 {
        let reason = format!("version {version} was found, and 7.0 or newer is needed");
        return Err(Error::Backend { backend: error::BACKEND, reason, source: None });
    }
    if replication.is_some_and(|info| !info.lines().any(|line| line.trim() == "role:master")) {
        let reason = "the server is a replica, which may be behind: give the address of the master";
        return Err(Error::unavailable(error::BACKEND, reason));
    }
    // 48 bits at random are enough to tell a handful of processes apart.
    field(server, "run_id").and_then(|run| run.get(..12)).ok_or_else(|| error::unexpected("INFO gave no run_id"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# Replication\r\nrole:master\r\n";

    fn server(version: &str) -> String {
        format!("# Server\r\nredis_version:{version}\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n")
    }

    #[test]
    fn a_master_of_a_version_that_is_known_is_let_in_by_its_run_id() {
        assert_eq!(check_server(&server("7.0.15"), Some(MASTER)).unwrap(), "0123456789ab");
        let old = check_server(&server("6.2.1"), Some(MASTER)).unwrap_err();
        assert!(old.to_string().contains("6.2.1"), "{old}");
        assert!(check_server(&server("7.2.0"), Some("role:slave\r\n")).unwrap_err().is_transient());
        assert!(check_server("redis_version:8.0.0\r\n", None).is_err());
    }
}
