//! One connection to one server process, and what is asked over it.
//!
//! A server that comes back after a restart, or a replica that takes over, may hold entries whose
//! invalidation it never saw. So keys begin with the `run_id` of the process that holds them, which is read on
//! each new connection, and what another process left is never asked for. That is also why this holds the one
//! connection itself and not the driver's `ConnectionManager`: that one connects again in the midst of things,
//! and nobody can tell which process has answered.

mod position;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Code, Entry, Filled, Lease, Lookup, Tick};
use rand::RngExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, Value};
use tracing::debug;

use crate::protocol;

use super::answers::{ask, check_server, is_without_script, refused, send, server_time, slot_range, text};
use super::config::RedisConfig;
use super::encoding::{self, Life, ServerTime};
use super::error::{self, Failure};

const FILL: &str = include_str!("fill.lua");
/// The longest life of an entry, whatever it was given.
const LONGEST_LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How much of a life is left to chance, so that what was filled together does not end together.
const JITTER: f64 = 0.1;

/// A connection that was told which process it leads to.
#[derive(Clone)]
pub(super) struct Session {
    connection: MultiplexedConnection,
    config: RedisConfig,
    /// The process.
    run: String,
    /// The name of the script on the server.
    fill: String,
}

/// Under which name a call is made.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) epoch: Arc<Epoch>,
    /// Whether it is this server that knows which epoch it is.
    pub(super) checked: bool,
    /// The most keys of one command.
    pub(super) keys: usize,
}

/// What all keys of the cache begin with, on every server of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Epoch {
    /// Drawn anew when the cache is cleared: the entries of before are then under names that nobody knows.
    drawn: String,
    /// The process that holds it: one that comes back with older data may hold one of before a clear.
    holder: String,
}

impl Session {
    /// Connects, and asks which process it is.
    pub(super) async fn open(client: &Client, config: &RedisConfig, in_cluster: bool) -> Result<Self, Failure> {
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout()))
            .set_response_timeout(Some(config.timeout()));
        #[cfg(feature = "redis-tls")]
        super::tls::have_a_provider();
        let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
        let mut questions = Pipeline::new();
        questions.cmd("INFO").arg("server").cmd("INFO").arg("replication").cmd("SCRIPT").arg("LOAD").arg(FILL);
        let [server, replication, fill] = ask(&mut connection, &questions).await?;
        let (server, replication) = (text(server)?, text(replication)?);
        // A cluster's replica sends everybody to its master.
        let replication = if in_cluster { None } else { Some(&replication[..]) };
        let run = check_server(&server, replication).map_err(Failure::Lost)?.to_owned();
        Ok(Self { connection, config: config.clone(), run, fill: text(fill)? })
    }

    /// Which epoch it is, by the server that holds it; the first one if that has none.
    pub(super) async fn epoch(&self) -> Result<Epoch, Failure> {
        let drawn = random_epoch();
        let mut question = Pipeline::new();
        question.cmd("SET").arg(self.config.epoch_key()).arg(&drawn).arg("NX").arg("GET");
        let [found] = ask(&mut self.connection.clone(), &question).await?;
        let drawn = if found == Value::Nil { drawn } else { text(found)? };
        Ok(Epoch { drawn, holder: self.run.clone() })
    }

    /// As of [`Cache::get`](linkly_core::Cache::get). What is missing is leased in a second round trip.
    pub(super) async fn look_up(&self, scope: &Scope, codes: &[Code], now: Tick) -> Result<Vec<Lookup>, Failure> {
        let namespace = self.namespace(scope);
        let keys: Vec<String> = codes.iter().map(|code| namespace.key(code)).collect();
        let mut questions = Pipeline::new();
        for keys in keys.chunks(scope.keys) {
            questions.cmd("MGET").arg(keys);
        }
        let (answers, time) = self.ask_in(scope, questions).await?;
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
            self.lease(scope, codes, &keys, &missing, &mut lookups, now).await?;
        }
        Ok(lookups)
    }

    /// Leases what is missing. Another reader may be first: its lease is as good, and its entry better.
    async fn lease(
        &self,
        scope: &Scope,
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
            leases.cmd("SET").arg(&keys[at]).arg(value).arg("NX").arg("GET").arg("PX").arg(self.config.lease_ms);
        }
        let (answers, time) = self.ask_in(scope, leases).await?;
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
    pub(super) async fn fill(
        &self,
        scope: &Scope,
        fills: &[(Lease, Entry)],
        now: Tick,
    ) -> Result<Vec<Filled>, Failure> {
        let namespace = self.namespace(scope);
        let mut scripts = Pipeline::with_capacity(fills.len() + 2);
        for (lease, entry) in fills {
            let life = life(entry, now);
            let value = if life.serve == 0 { Vec::new() } else { encoding::entry(entry.target.as_ref(), life) };
            let head = &encoding::lease(lease.token())[..];
            scripts.cmd("EVALSHA").arg(&self.fill).arg(1).arg(namespace.key(lease.code())).arg(head);
            scripts.arg(value).arg(life.serve);
        }
        let (mut answers, _) = self.ask_in(scope, scripts.clone()).await?;
        if answers.iter().any(is_without_script) {
            // Somebody emptied the server's scripts. Those that were run are run again and answer the same.
            let mut load = Pipeline::new();
            load.cmd("SCRIPT").arg("LOAD").arg(FILL);
            let [_] = ask(&mut self.connection.clone(), &load).await?;
            (answers, _) = self.ask_in(scope, scripts).await?;
        }
        let filled = |answer| match answer {
            Value::Int(1) => Ok(Filled::Filled),
            Value::Int(0) => Ok(Filled::Voided),
            other => Err(refused(other, "the script gave another answer than its own")),
        };
        answers.into_iter().map(filled).collect()
    }

    /// As of [`Cache::invalidate`](linkly_core::Cache::invalidate): with the key goes the lease.
    pub(super) async fn invalidate(&self, scope: &Scope, codes: &[Code]) -> Result<(), Failure> {
        let namespace = self.namespace(scope);
        let mut removals = Pipeline::new();
        for codes in codes.chunks(scope.keys) {
            removals.cmd("UNLINK");
            for code in codes {
                removals.arg(namespace.key(code));
            }
        }
        let (answers, _) = self.ask_in(scope, removals).await?;
        match answers.into_iter().find(|answer| !matches!(answer, Value::Int(_))) {
            None => Ok(()),
            Some(other) => Err(refused(other, "UNLINK was answered with no number")),
        }
    }

    /// As of [`Cache::clear`](linkly_core::Cache::clear), in one step however much there is: another name is
    /// drawn, and what stands under the old one ends with its time.
    pub(super) async fn clear(&self) -> Result<(), Failure> {
        let mut rename = Pipeline::new();
        rename.cmd("SET").arg(self.config.epoch_key()).arg(random_epoch());
        match ask(&mut self.connection.clone(), &rename).await? {
            [Value::Okay] => Ok(()),
            [other] => Err(refused(other, "SET was not answered with OK")),
        }
    }

    /// As of `CLUSTER SLOTS`: who holds which slots, as host and port. The host is empty for the one that answers.
    pub(super) async fn slots(&self) -> Result<Vec<(RangeInclusive<u16>, String, u16)>, Failure> {
        let mut question = Pipeline::new();
        question.cmd("CLUSTER").arg("SLOTS");
        let [answer] = ask(&mut self.connection.clone(), &question).await?;
        let Value::Array(ranges) = &answer else { return Err(refused(answer, "CLUSTER SLOTS gave no list")) };
        let ranges: Option<Vec<_>> = ranges.iter().map(slot_range).collect();
        ranges.ok_or_else(|| Failure::Refused(error::unexpected("CLUSTER SLOTS gave something else than slots")))
    }

    /// Asks, and then whether it is still that epoch: what was read is no older than the last clear, and what was
    /// written or removed is where others look.
    async fn ask_in(&self, scope: &Scope, mut questions: Pipeline) -> Result<(Vec<Value>, ServerTime), Failure> {
        questions.cmd("TIME");
        if scope.checked {
            questions.cmd("GET").arg(self.config.epoch_key());
        }
        let mut answers = send(&mut self.connection.clone(), &questions).await?;
        if scope.checked {
            match answers.pop() {
                Some(Value::BulkString(drawn)) if self.holds(&scope.epoch, &drawn) => {}
                None | Some(Value::BulkString(_) | Value::Nil) => return Err(Failure::Renamed),
                Some(other) => return Err(refused(other, "GET was answered with no text")),
            }
        }
        let time = server_time(answers.pop().unwrap_or_default())?;
        Ok((answers, time))
    }

    fn holds(&self, epoch: &Epoch, drawn: &[u8]) -> bool {
        protocol::holds((epoch.drawn.as_bytes(), &epoch.holder), (drawn, &self.run))
    }

    /// What the keys of a call begin with, made once for all of them.
    fn namespace(&self, scope: &Scope) -> Namespace {
        let (prefix, run, Epoch { drawn, holder }) = (&self.config.prefix, &self.run, &*scope.epoch);
        Namespace(format!("{prefix}{drawn}{holder}{run}:{{"))
    }
}

struct Namespace(String);

impl Namespace {
    /// The braces make the code alone decide about a cluster's slot.
    fn key(&self, code: &Code) -> String {
        let mut key = String::with_capacity(self.0.len() + code.as_str().len() + 1);
        key.push_str(&self.0);
        key.push_str(code.as_str());
        key.push('}');
        key
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("run", &self.run).finish_non_exhaustive()
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

fn random_epoch() -> String {
    format!("{:012x}", rand::random::<u64>() >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

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
