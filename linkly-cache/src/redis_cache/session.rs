//! One connection to one server process, and what is asked over it.
//!
//! A server that comes back after a restart, or a replica that takes over, may hold entries whose
//! invalidation it never saw. So keys begin with the `run_id` of the process that holds them, which is read on
//! each new connection, and what another process left is never asked for. That is also why this holds the one
//! connection itself and not the driver's `ConnectionManager`: that one connects again in the midst of things,
//! and nobody can tell which process has answered.

use std::fmt;
use std::time::Duration;

use linkly_core::{Code, Entry, Error, Filled, Lease, Lookup, Tick};
use rand::RngExt;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, Value};
use tracing::debug;

use super::config::RedisConfig;
use super::encoding::{self, Life, ServerTime};
use super::error::{self, Failure};

const FILL: &str = include_str!("fill.lua");
/// The most keys of one command, so that no command holds up the server for long.
const KEYS: usize = 512;
/// The longest life of an entry, whatever it was given.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How much of a life is left to chance, so that what was filled together does not end together.
const JITTER: f64 = 0.1;

/// A connection that was told which process it leads to.
#[derive(Clone)]
pub(super) struct Session {
    connection: MultiplexedConnection,
    /// What every key begins with: the prefix, the process, and how often the cache was cleared.
    namespace: String,
    prefix: String,
    run: String,
    /// Drawn anew when the cache is cleared: the entries of before are then under names that nobody knows.
    epoch: String,
    /// The name of the script on the server.
    fill: String,
    lease_ms: u64,
}

impl Session {
    /// Connects, and asks which process it is.
    pub(super) async fn open(client: &Client, config: &RedisConfig) -> Result<Self, Failure> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout()))
            .set_response_timeout(Some(config.timeout()));
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let mut questions = Pipeline::new();
        questions.cmd("INFO").arg("server").cmd("INFO").arg("replication").cmd("SCRIPT").arg("LOAD").arg(FILL);
        let [server, replication, fill] = ask(&mut connection, &questions).await?;
        let (server, replication) = (text(server)?, text(replication)?);
        let run = check_server(&server, &replication).map_err(Failure::Lost)?.to_owned();
        let session = Self {
            connection,
            namespace: String::new(),
            prefix: config.prefix.clone(),
            run,
            epoch: String::new(),
            fill: text(fill)?,
            lease_ms: config.lease_ms,
        };
        session.renamed().await
    }

    /// The same connection, under the name that the cache has now.
    pub(super) async fn renamed(&self) -> Result<Self, Failure> {
        let drawn = random_epoch();
        let mut question = Pipeline::new();
        question.cmd("SET").arg(self.epoch_key()).arg(&drawn).arg("NX").arg("GET");
        let [found] = ask(&mut self.connection.clone(), &question).await?;
        let epoch = if found == Value::Nil { drawn } else { text(found)? };
        let namespace = format!("{}{}{epoch}:", self.prefix, self.run);
        Ok(Self { epoch, namespace, ..self.clone() })
    }

    /// As of [`Cache::get`](linkly_core::Cache::get). What is missing is leased in a second round trip.
    pub(super) async fn look_up(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>, Failure> {
        let keys: Vec<String> = codes.iter().map(|code| self.key(code)).collect();
        let mut questions = Pipeline::new();
        for keys in keys.chunks(KEYS) {
            questions.cmd("MGET").arg(keys);
        }
        let (answers, time) = self.ask_under_name(questions).await?;
        let mut values = Vec::with_capacity(keys.len());
        for answer in answers {
            match answer {
                Value::Array(some) => values.extend(some),
                other => return Err(refused(other, "MGET was answered with no list")),
            }
        }
        if values.len() != codes.len() {
            return Err(Failure::Refused(error::unexpected("MGET answered too few keys, or too many")));
        }
        let mut lookups = Vec::with_capacity(codes.len());
        let mut missing = Vec::new();
        for (at, value) in values.into_iter().enumerate() {
            if value == Value::Nil {
                missing.push(at);
            }
            lookups.push(lookup(&codes[at], &value, time, now));
        }
        if !missing.is_empty() {
            self.lease(codes, &keys, &missing, &mut lookups, now).await?;
        }
        Ok(lookups)
    }

    /// Leases what is missing. Another reader may be first: its lease is as good, and its entry better.
    async fn lease(
        &self,
        codes: &[Code],
        keys: &[String],
        missing: &[usize],
        lookups: &mut [Lookup],
        now: Tick,
    ) -> Result<(), Failure> {
        let nonce = rand::random();
        let mut leases = Pipeline::with_capacity(missing.len() + 2);
        for &at in missing {
            let value = &encoding::lease(nonce)[..];
            leases.cmd("SET").arg(&keys[at]).arg(value).arg("NX").arg("GET").arg("PX").arg(self.lease_ms);
        }
        let (answers, time) = self.ask_under_name(leases).await?;
        for (&at, answer) in missing.iter().zip(answers) {
            lookups[at] = match answer {
                Value::Nil => Lookup::new(None, Some(Lease::new(codes[at].clone(), nonce))),
                Value::ServerError(error) => match Failure::from(RedisError::from(error)) {
                    // Without room for a lease there is still an answer, and nothing is filled.
                    Failure::Refused(error) => {
                        debug!(%error, "no lease was given");
                        Lookup::default()
                    }
                    failure => return Err(failure),
                },
                value => lookup(&codes[at], &value, time, now),
            };
        }
        Ok(())
    }

    /// As of [`Cache::fill`](linkly_core::Cache::fill).
    pub(super) async fn fill(&self, fills: &[(Lease, Entry)], now: Tick) -> Result<Vec<Filled>, Failure> {
        let mut scripts = Pipeline::with_capacity(fills.len() + 2);
        for (lease, entry) in fills {
            let life = life(entry, now);
            let value = if life.serve == 0 { Vec::new() } else { encoding::entry(entry.target.as_ref(), life) };
            let head = &encoding::lease(lease.token())[..];
            scripts.cmd("EVALSHA").arg(&self.fill).arg(1).arg(self.key(lease.code())).arg(head);
            scripts.arg(value).arg(life.serve);
        }
        let (mut answers, _) = self.ask_under_name(scripts.clone()).await?;
        if answers.iter().any(is_without_script) {
            // Somebody emptied the server's scripts. Those that were run are run again and answer the same.
            let mut load = Pipeline::new();
            load.cmd("SCRIPT").arg("LOAD").arg(FILL);
            let [_] = ask(&mut self.connection.clone(), &load).await?;
            (answers, _) = self.ask_under_name(scripts).await?;
        }
        let filled = |answer| match answer {
            Value::Int(1) => Ok(Filled::Filled),
            Value::Int(0) => Ok(Filled::Voided),
            other => Err(refused(other, "the script gave another answer than its own")),
        };
        answers.into_iter().map(filled).collect()
    }

    /// As of [`Cache::invalidate`](linkly_core::Cache::invalidate): with the key goes the lease.
    pub(super) async fn invalidate(&self, codes: &[Code]) -> Result<(), Failure> {
        let mut removals = Pipeline::new();
        for codes in codes.chunks(KEYS) {
            removals.cmd("UNLINK");
            for code in codes {
                removals.arg(self.key(code));
            }
        }
        let (answers, _) = self.ask_under_name(removals).await?;
        match answers.into_iter().find(|answer| !matches!(answer, Value::Int(_))) {
            None => Ok(()),
            Some(other) => Err(refused(other, "UNLINK was answered with no number")),
        }
    }

    /// As of [`Cache::clear`](linkly_core::Cache::clear), in one step however much there is: another name is
    /// drawn, and what stands under the old one ends with its time.
    pub(super) async fn clear(&self) -> Result<(), Failure> {
        let mut rename = Pipeline::new();
        rename.cmd("SET").arg(self.epoch_key()).arg(random_epoch());
        match ask(&mut self.connection.clone(), &rename).await? {
            [Value::Okay] => Ok(()),
            [other] => Err(refused(other, "SET was not answered with OK")),
        }
    }

    /// Asks, and then whether all of it was asked under the name that the cache has: what was read is no older
    /// than the last clear, and what was written or removed is where others look.
    async fn ask_under_name(&self, mut questions: Pipeline) -> Result<(Vec<Value>, ServerTime), Failure> {
        questions.cmd("TIME").cmd("GET").arg(self.epoch_key());
        let mut answers = send(&mut self.connection.clone(), &questions).await?;
        let (epoch, time) = (answers.pop().unwrap_or_default(), answers.pop().unwrap_or_default());
        match epoch {
            Value::BulkString(epoch) if epoch == self.epoch.as_bytes() => Ok((answers, server_time(time)?)),
            Value::BulkString(_) | Value::Nil => Err(Failure::Renamed),
            other => Err(refused(other, "GET was answered with no text")),
        }
    }

    fn epoch_key(&self) -> String {
        format!("{}epoch", self.prefix)
    }

    /// The braces make the code alone decide about a cluster's slot.
    fn key(&self, code: &Code) -> String {
        let (namespace, code) = (&self.namespace, code.as_str());
        format!("{namespace}{{{code}}}")
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// What a key's value says of a code. One that is not understood is a miss without a lease, so that two
/// releases beside each other do not replace each other's entries.
fn lookup(code: &Code, value: &Value, time: ServerTime, now: Tick) -> Lookup {
    let Value::BulkString(bytes) = value else { return Lookup::default() };
    let Some(held) = encoding::decode(bytes) else { return Lookup::default() };
    let nonce = held.nonce;
    let entry = held.entry(time, now);
    let fresh = entry.as_ref().is_some_and(|entry| entry.is_fresh(now));
    Lookup::new(entry, (!fresh).then(|| Lease::new(code.clone(), nonce)))
}

/// What is left of an entry's life, a little less by chance.
fn life(entry: &Entry, now: Tick) -> Life {
    let share = 1.0 - JITTER * rand::rng().random::<f64>();
    let left = |until: Tick| until.since(now).min(LONGEST_LIFE).mul_f64(share).as_millis();
    let millis = |until: Tick| u32::try_from(left(until)).unwrap_or(u32::MAX);
    Life { fresh: millis(entry.fresh_until), serve: millis(entry.serve_until) }
}

/// The process's name, if it is one that can be worked with.
fn check_server<'a>(server: &'a str, replication: &str) -> Result<&'a str, Error> {
    let field = |info: &'a str, name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = field(server, "redis_version").unwrap_or("unknown");
    let major: u32 = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
    if major < 7 {
        let reason = format!("version {version} was found, and 7.0 or newer is needed");
        return Err(Error::Backend { backend: error::BACKEND, reason, source: None });
    }
    if !replication.lines().any(|line| line.trim() == "role:master") {
        let reason = "the server is a replica, which may be behind: give the address of the master";
        return Err(Error::unavailable(error::BACKEND, reason));
    }
    // 48 bits at random are enough to tell a handful of processes apart.
    field(server, "run_id").and_then(|run| run.get(..12)).ok_or_else(|| error::unexpected("INFO gave no run_id"))
}

fn random_epoch() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

/// The answers, errors of the server among them.
async fn send(connection: &mut MultiplexedConnection, questions: &Pipeline) -> Result<Vec<Value>, Failure> {
    let answers = connection.req_packed_commands(questions, 0, questions.len()).await?;
    if answers.len() == questions.len() {
        return Ok(answers);
    }
    Err(Failure::Refused(error::unexpected("a pipeline was answered in part")))
}

/// The answers, of which none is an error of the server.
async fn ask<const N: usize>(
    connection: &mut MultiplexedConnection,
    questions: &Pipeline,
) -> Result<[Value; N], Failure> {
    let answers = send(connection, questions).await?;
    let answers: Vec<Value> = answers.into_iter().map(Value::extract_error).collect::<Result<_, _>>()?;
    answers.try_into().map_err(|_| Failure::Refused(error::unexpected("a pipeline was answered in part")))
}

fn refused(answer: Value, what: &str) -> Failure {
    match answer {
        Value::ServerError(error) => RedisError::from(error).into(),
        _ => Failure::Refused(error::unexpected(what)),
    }
}

fn is_without_script(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "NOSCRIPT")
}

fn text(value: Value) -> Result<String, Failure> {
    let text = match value {
        Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    };
    text.ok_or_else(|| Failure::Refused(error::unexpected("a text was asked for, and something else given")))
}

fn server_time(value: Value) -> Result<ServerTime, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "# Replication\r\nrole:master\r\n";

    fn server(version: &str) -> String {
        format!("# Server\r\nredis_version:{version}\r\nrun_id:0123456789abcdef0123456789abcdef01234567\r\n")
    }

    #[test]
    fn a_master_of_a_version_that_is_known_is_let_in_by_its_run_id() {
        assert_eq!(check_server(&server("7.0.15"), MASTER).unwrap(), "0123456789ab");
        let old = check_server(&server("6.2.1"), MASTER).unwrap_err();
        assert!(old.to_string().contains("6.2.1"), "{old}");
        assert!(check_server(&server("7.2.0"), "role:slave\r\n").unwrap_err().is_transient());
        assert!(check_server("redis_version:8.0.0\r\n", MASTER).is_err());
    }

    #[test]
    fn a_life_is_shortened_by_a_tenth_at_most_and_bounded() {
        let now = Tick::from_millis(1_000);
        let until = |millis| now.after(Duration::from_millis(millis));
        for _ in 0..100 {
            let Life { fresh, serve } = life(&Entry::new(None, until(10_000), until(60_000)), now);
            assert!((9_000..=10_000).contains(&fresh) && (54_000..=60_000).contains(&serve), "{fresh} {serve}");
            let forever = life(&Entry::new(None, Tick::MAX, Tick::MAX), now);
            assert!(u128::from(forever.serve) <= LONGEST_LIFE.as_millis());
        }
        assert_eq!(life(&Entry::new(None, now, now), now), Life { fresh: 0, serve: 0 });
    }
}
