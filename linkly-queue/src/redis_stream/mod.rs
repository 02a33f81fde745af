//! A queue in a stream of Redis.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::chrono::Utc;
use linkly_core::{Backoff, Click, ClickSink, Cursor, Error, MAX_PAGE, Page, Result};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, FromRedisValue, Pipeline};
use tokio::runtime::Handle;
use tokio::time::timeout;

mod config;
mod entries;
mod error;
mod metrics;
mod writer;
mod writers;

pub use config::StreamConfig;
pub use metrics::{StreamMetrics, StreamReport, StreamStatus};
pub use writers::StreamWriters;

use crate::{AtLimit, DeadLetter, Letters};
use entries::Entry;
use metrics::{Counters, add};

const ADD: &str = include_str!("add.lua");
const REPLAY: &str = include_str!("replay.lua");

/// The most clicks that are added by one script: while it runs Redis does nothing else.
const ADDED_AT_ONCE: usize = 1_000;
/// The most dead letters that are read or moved in one round trip.
const LETTERS_AT_ONCE: usize = 1_000;
/// How often what others deliver is looked at by one who waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(200);

/// What the cursor of a page of dead letters begins with.
const CURSOR: &str = "stream/dead/";

/// A durable queue for clicks in a stream of Redis: many web nodes put clicks in, a few writers bring them to the
/// store.
///
/// As a [`ClickSink`] it acknowledges clicks when Redis has added them, all of a call or none of each thousand.
/// [`deliver_to`](Self::deliver_to) starts the writers, in the same process or in others; they form a consumer
/// group, so each click goes to one of them. A click leaves the stream when the store has acknowledged it. What a
/// writer had in hand when it ended is taken over by another, and a click that comes to the store twice counts
/// once. There is no order among clicks.
///
/// What the store refuses for good becomes a [dead letter](Self::dead_letters), and so does a click with which
/// writers ended again and again ([`max_retries`](StreamConfig::max_retries)). A store that is down, slow or broken
/// is waited for.
///
/// Redis 7.0 or newer, one server or the master of a replica set; a stream is one key, so a Redis Cluster would not
/// spread it, and is not followed. **What an acknowledgement is worth is Redis' to say**:
///
/// | Redis | what is lost |
/// |---|---|
/// | `appendonly yes`, `appendfsync always` | nothing that was acknowledged |
/// | `appendonly yes`, `appendfsync everysec` (its default) | nothing when Redis is killed; up to the last second, rarely two, when the machine goes down |
/// | `appendonly no`, `save …` | what came since the last snapshot |
/// | neither | everything, with each restart |
///
/// A replica that takes over may miss what the master acknowledged last, since it is told afterwards. Set
/// `maxmemory-policy noeviction`: any policy of `allkeys` may evict the stream as a whole.
///
/// ```no_run
/// use std::sync::Arc;
/// use linkly_core::{ClickSink, Linkly, MemoryStore};
/// use linkly_queue::{RedisStream, StreamConfig};
///
/// # async fn example() -> linkly_core::Result<()> {
/// let store = MemoryStore::new();
/// let stream = RedisStream::open("redis://127.0.0.1", StreamConfig::default())?;
/// // On the web nodes:
/// let linkly = Linkly::builder(store.clone()).clicks(stream.clone()).start().await?;
/// // On the nodes that write, which may be the same:
/// let writers = stream.deliver_to(Arc::new(store))?;
/// # drop(linkly);
/// writers.shutdown(std::time::Duration::from_secs(10)).await;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStream(Arc<Shared>);

struct Shared {
    client: Client,
    config: StreamConfig,
    keys: Keys,
    connection: ConnectionManager,
    counters: Counters,
}

/// The streams. In a cluster they are on one node, by their hash tag.
struct Keys {
    clicks: String,
    dead: String,
    unreadable: String,
}

impl RedisStream {
    /// A stream on the server at `redis://user:password@host:port/database`, or `unix:///path`. Connects with the
    /// first call.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when the URL is none, and [`Error::InvalidInput`] when a setting makes no sense or there is
    /// no Tokio runtime around.
    pub fn open(url: &str, config: StreamConfig) -> Result<Self> {
        Self::new(&Client::open(url).map_err(error::map)?, config)
    }

    /// The same over the app's own client, with connections of its own: for TLS, or a certificate of the client's.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when the client's settings contradict each other, and [`Error::InvalidInput`] when a
    /// setting makes no sense or there is no Tokio runtime around.
    pub fn new(client: &Client, config: StreamConfig) -> Result<Self> {
        config.check()?;
        running_runtime("a stream's connection")?;
        // Off by default, which would hold back each small command until the one before is acknowledged.
        let info = client.get_connection_info().clone();
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(error::map)?;
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(config.timeout))
            .set_response_timeout(Some(config.timeout));
        let connection = client.get_connection_manager_lazy(settings).map_err(error::map)?;
        let key = |name: &str| format!("{}{{clicks}}{name}", config.prefix);
        let keys = Keys { clicks: key(""), dead: key(":dead"), unreadable: key(":unreadable") };
        Ok(Self(Arc::new(Shared { client, config, keys, connection, counters: Counters::default() })))
    }

    /// Starts writers on the runtime this is called from, which bring the clicks to `sink` until they are shut down.
    /// They connect on their own, as often as it takes.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when it is not called from within a Tokio runtime.
    pub fn deliver_to(&self, sink: Arc<dyn ClickSink>) -> Result<StreamWriters> {
        let runtime = running_runtime("deliver_to()")?;
        Ok(StreamWriters::start(&self.0, sink, &runtime))
    }

    /// Waits until every click that is in the stream now was delivered or became a dead letter, by whichever writers
    /// there are.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when Redis does not answer.
    pub async fn flush(&self) -> Result<()> {
        let shared = &self.0;
        let Some(newest) = shared.newest(&shared.keys.clicks).await? else { return Ok(()) };
        let mut look = Backoff::new(FIRST_LOOK, LAST_LOOK);
        loop {
            match shared.oldest().await? {
                Some(oldest) if oldest <= newest => tokio::time::sleep(look.pause()).await,
                _ => return Ok(()),
            }
        }
    }

    /// What this process did.
    pub fn metrics(&self) -> StreamMetrics {
        self.0.counters.snapshot()
    }

    /// What is in Redis at the moment.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when Redis does not answer.
    pub async fn status(&self) -> Result<StreamStatus> {
        let (shared, keys) = (&self.0, &self.0.keys);
        let mut lengths = redis::pipe();
        for key in [&keys.clicks, &keys.dead, &keys.unreadable] {
            lengths.cmd("XLEN").arg(key);
        }
        let (depth, dead_letters, unreadable) = shared.ask_all(&lengths).await?;
        let age = |(millis, _)| u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default().saturating_sub(millis);
        let oldest_age = Duration::from_millis(shared.oldest().await?.map_or(0, age));
        // There is no group, and no stream, before the first writer.
        let pending = if depth == 0 { 0 } else { shared.pending().await? };
        Ok(StreamStatus { depth, pending, oldest_age, dead_letters, unreadable })
    }

    /// A page of the clicks that were refused for good, the oldest first. `limit` is 1 to 1,000.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a cursor of something else, and [`Error::Unavailable`] when Redis does not answer.
    pub async fn dead_letters(&self, limit: u32, after: Option<&Cursor>) -> Result<Page<DeadLetter>> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|cursor| {
            let id = cursor.as_str().strip_prefix(CURSOR).filter(|id| entries::place(id).is_ok());
            id.ok_or_else(|| Error::invalid("cursor", "it is not one of a stream's dead letters"))
        });
        let found = self.0.dead(after.transpose()?, limit as usize + 1).await?;
        let page = Page::from_one_more(found, limit, |(id, _)| format!("{CURSOR}{id}"));
        let letters = page.items.into_iter().filter_map(|(_, fields)| entries::letter(&fields?));
        Ok(Page::new(letters.collect(), page.next))
    }

    /// Puts dead letters back into the stream, and answers how many. To find some by their clicks' ids all are read.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when Redis does not answer; those before are back.
    pub async fn replay(&self, which: Letters) -> Result<u64> {
        let keys = &self.0.keys;
        self.0
            .each_letter(&which, |commands, id, letter| {
                let replay = commands.cmd("EVAL").arg(REPLAY).arg(2).arg(&keys.dead).arg(&keys.clicks);
                replay.arg(id).arg(entries::value(&letter.click));
            })
            .await
    }

    /// Deletes dead letters, and answers how many. To find some by their clicks' ids all are read.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when Redis does not answer; those before are gone.
    pub async fn purge(&self, which: Letters) -> Result<u64> {
        let keys = &self.0.keys;
        self.0.each_letter(&which, |commands, id, _| _ = commands.cmd("XDEL").arg(&keys.dead).arg(id)).await
    }
}

/// Acknowledged when Redis has the clicks, which is as durable as its settings say.
///
/// # Errors
///
/// - [`Error::Unavailable`] when Redis does not answer in time, its memory is full, or the stream is, with
///   [`AtLimit::Refuse`]. After no answer the clicks may be there all the same; a retry is safe.
/// - [`Error::Refused`] when there are more clicks in one call than may be in the stream.
///
/// # Cancel safety
///
/// Dropped before it returned, the clicks may be in the stream or not, the first thousands of a call without the
/// rest.
#[async_trait]
impl ClickSink for RedisStream {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        for click in clicks {
            click.check()?;
        }
        let limit = self.0.config.limit;
        if clicks.len() as u64 > limit {
            let reason = format!("{} clicks at once, of at most {limit} in the stream", clicks.len());
            return Err(Error::Refused { backend: error::BACKEND, reason, source: None });
        }
        let mut left = clicks.len();
        for clicks in clicks.chunks(ADDED_AT_ONCE) {
            left -= clicks.len();
            // Room for those that follow is asked for too, so that none goes in where not all of a call have room.
            self.0.add(clicks, limit - left as u64).await?;
        }
        Ok(())
    }
}

fn running_runtime(what: &str) -> Result<Handle> {
    Handle::try_current().map_err(|_| Error::invalid("runtime", format!("{what} needs a running Tokio runtime")))
}

impl Shared {
    /// Adds clicks, and does at the limit what was chosen.
    async fn add(&self, clicks: &[Click], limit: u64) -> Result<()> {
        let mut add_clicks = redis::cmd("EVAL");
        add_clicks.arg(ADD).arg(1).arg(&self.keys.clicks).arg(limit);
        for click in clicks {
            add_clicks.arg(entries::value(click));
        }
        let mut wait = None;
        while !self.ask::<bool>(&add_clicks).await? {
            match self.config.at_limit {
                AtLimit::Wait => {
                    let (look, _) = wait.get_or_insert_with(|| {
                        let look = Backoff::new(self.config.first_backoff, self.config.most_backoff);
                        (look, Blocked::count(&self.counters))
                    });
                    tokio::time::sleep(look.pause()).await;
                }
                AtLimit::Refuse => {
                    add(&self.counters.refused, clicks.len());
                    return Err(Error::unavailable(error::BACKEND, format!("{} clicks wait", self.config.limit)));
                }
                AtLimit::Drop => {
                    add(&self.counters.dropped, clicks.len());
                    return Ok(());
                }
            }
        }
        add(&self.counters.accepted, clicks.len());
        Ok(())
    }

    /// Where the oldest click stands.
    async fn oldest(&self) -> Result<Option<(u64, u64)>> {
        let first = self.ask::<Vec<Entry>>(&entries::range(&self.keys.clicks, None, 1)).await?.pop();
        first.map(|(id, _)| entries::place(&id)).transpose()
    }

    /// Where the newest entry of a stream stands.
    async fn newest(&self, stream: &str) -> Result<Option<(u64, u64)>> {
        let newest = self.ask::<Vec<Entry>>(&entries::newest(stream)).await?.pop();
        newest.map(|(id, _)| entries::place(&id)).transpose()
    }

    /// How many clicks writers have in hand.
    async fn pending(&self) -> Result<u64> {
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&self.keys.clicks).arg(&self.config.group);
        match self.in_time(pending.query_async::<redis::Value>(&mut self.connection.clone())).await {
            Ok(summary) => {
                let count = redis::from_redis_value::<Vec<redis::Value>>(summary)
                    .ok()
                    .and_then(|mut summary| redis::from_redis_value(summary.swap_remove(0)).ok());
                Ok(count.unwrap_or(0))
            }
            Err(error) => match &error {
                // No writer has been there yet.
                Error::Unavailable { reason, .. } if reason == error::NO_GROUP => Ok(0),
                _ => Err(error),
            },
        }
    }

    /// Dead letters behind that one.
    async fn dead(&self, after: Option<&str>, limit: usize) -> Result<Vec<Entry>> {
        self.ask(&entries::range(&self.keys.dead, after, limit)).await
    }

    /// Has `command` done with dead letters that there are now, each of which answers whether it was still there; how
    /// many were.
    async fn each_letter(
        &self,
        which: &Letters,
        mut command: impl FnMut(&mut Pipeline, &str, &DeadLetter),
    ) -> Result<u64> {
        // One that is replayed and refused again is behind it.
        let Some(newest) = self.newest(&self.keys.dead).await? else { return Ok(0) };
        let (mut after, mut count): (Option<String>, u64) = (None, 0);
        loop {
            let mut found = self.dead(after.as_deref(), LETTERS_AT_ONCE).await?;
            found.retain(|(id, _)| entries::place(id).is_ok_and(|place| place <= newest));
            let Some((last, _)) = found.last() else { return Ok(count) };
            after = Some(last.clone());
            let mut commands = redis::pipe();
            for (id, fields) in &found {
                let Some(letter) = fields.as_deref().and_then(entries::letter) else { continue };
                let is_asked = match which {
                    Letters::All => true,
                    Letters::Of(ids) => ids.contains(&letter.click.id),
                };
                if is_asked {
                    command(&mut commands, id, &letter);
                }
            }
            if !commands.is_empty() {
                count += self.ask_all::<Vec<u64>>(&commands).await?.iter().sum::<u64>();
            }
        }
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        self.in_time(command.query_async(&mut self.connection.clone())).await
    }

    async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T> {
        self.in_time(commands.query_async(&mut self.connection.clone())).await
    }

    /// Connecting included, which the driver would wait longer for.
    async fn in_time<T>(&self, call: impl Future<Output = Result<T, redis::RedisError>>) -> Result<T> {
        let limit = self.config.timeout;
        match timeout(limit, call).await {
            Ok(answer) => answer.map_err(error::map),
            Err(_) => Err(Error::unavailable(error::BACKEND, format!("no answer within {limit:?}"))),
        }
    }
}

/// Counts a caller that waits for room, for as long as it waits.
struct Blocked<'a>(&'a Counters);

impl<'a> Blocked<'a> {
    fn count(counters: &'a Counters) -> Self {
        counters.blocked.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.0.blocked.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Without the password that a client has.
impl fmt::Debug for RedisStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStream")
            .field("config", &self.0.config)
            .field("metrics", &self.metrics())
            .finish_non_exhaustive()
    }
}
