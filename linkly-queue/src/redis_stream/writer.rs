//! A writer: takes clicks from the stream, brings them to the store, and deletes them.
//!
//! It is a consumer of its own in the group. Redis notes which entries it has in hand, so none is lost with it: after a
//! lost connection it gives them back, and when it has ended another claims them.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::chrono::Utc;
use linkly_core::{Backoff, Click, ClickSink, Delivered, Delivery, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::Shared;
use super::entries::{self, Entry};
use super::error;
use super::metrics::add;
use crate::DeadLetter;

const FORGET: &str = include_str!("forget.lua");
const MOVE: &str = include_str!("move.lua");
const REPLAY: &str = include_str!("replay.lua");

/// How long Redis holds a request for clicks while there are none: a shutdown waits for the end of it.
const BLOCK: Duration = Duration::from_millis(250);
/// The longest pause before a retry once a shutdown has begun.
const MOST_CLOSING_BACKOFF: Duration = Duration::from_millis(250);
/// From this try on a claimed click is brought alone: whichever ends its writers does not take others with it.
const ALONE_FROM: u32 = 3;
/// Before every entry, and where Redis says to go on when it has looked at all.
const FIRST: &str = "0-0";
/// The most entries that were put aside and are looked at again in one round trip.
const ASIDE_AT_ONCE: usize = 1_000;

pub(super) struct Writer {
    shared: Arc<Shared>,
    sink: Arc<dyn ClickSink>,
    /// The consumer's name.
    name: String,
    closing: watch::Receiver<bool>,
}

/// An entry in hand, and how many writers have had it, this one included.
type Taken = (Entry, u32);

/// An entry that was never taken before.
fn taken_first(entry: Entry) -> Taken {
    (entry, 1)
}

/// Clicks that go to the store together, the ids of their entries, and how many writers have had each.
#[derive(Default)]
struct Batch {
    ids: Vec<String>,
    writers: Vec<u32>,
    clicks: Vec<Click>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        sink: Arc<dyn ClickSink>,
        name: String,
        closing: watch::Receiver<bool>,
    ) -> Self {
        Self { shared, sink, name, closing }
    }

    /// Works until it is told to end and has nothing in hand.
    pub(super) async fn run(self) {
        let config = &self.shared.config;
        let mut backoff = Backoff::new(config.first_backoff, config.most_backoff);
        let mut is_down = false;
        loop {
            let work = async {
                let connection = connect(&self.shared).await?;
                backoff.reset();
                is_down = false;
                Session { writer: &self, connection, renew_at: Instant::now() }.work().await
            };
            let Err(error) = work.await else { return };
            add(&self.shared.counters.failed_calls, 1);
            // Once, and not with every try.
            if std::mem::replace(&mut is_down, true) {
                tracing::debug!(%error, "a writer still cannot work with the stream");
            } else {
                tracing::warn!(%error, "a writer cannot work with the stream, and connects again");
            }
            self.pause(backoff.pause()).await;
        }
    }

    /// Waits before a retry; a shutdown has less patience.
    async fn pause(&self, pause: Duration) {
        if self.is_closing() {
            return tokio::time::sleep(pause.min(MOST_CLOSING_BACKOFF)).await;
        }
        // Elapsed, or it is to end and there may be no time to wait.
        _ = timeout(pause, self.closing.clone().wait_for(|closing| *closing)).await;
    }

    fn is_closing(&self) -> bool {
        // The sender gone means that the writers were dropped, which ends this task too.
        *self.closing.borrow()
    }
}

/// A connection of its own, since a request that waits for clicks holds up all behind it; and the group.
async fn connect(shared: &Shared) -> Result<MultiplexedConnection> {
    let config = &shared.config;
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.timeout))
        .set_response_timeout(Some(BLOCK + config.timeout));
    let connection = shared.client.get_multiplexed_async_connection_with_config(&settings).await;
    let mut connection = connection.map_err(error::map)?;
    let mut create = redis::cmd("XGROUP");
    create.arg("CREATE").arg(&shared.keys.clicks).arg(&config.group).arg("0").arg("MKSTREAM");
    match create.query_async::<()>(&mut connection).await {
        Err(error) if error.code() != Some("BUSYGROUP") => Err(error::map(error)),
        _ => Ok(connection),
    }
}

/// Makes what a writer has in hand, but is not busy with, due for whoever claims it, as if it had never taken it.
pub(super) async fn give_back(shared: &Shared, name: &str) -> Result<()> {
    let mut pending = redis::cmd("XPENDING");
    pending.arg(&shared.keys.clicks).arg(&shared.config.group).arg("-").arg("+").arg(usize::MAX >> 1).arg(name);
    let pending: Vec<(String, String, u64, u32)> = shared.ask(&pending).await?;
    if pending.is_empty() {
        return Ok(());
    }
    // Without this writer, which has not ended with it.
    let back = pending.iter().map(|(id, _, _, writers)| (&**id, writers.saturating_sub(1)));
    let due = shared.config.claim_after.as_millis() as u64;
    shared.ask_all::<Vec<redis::Value>>(&claim_own(shared, name, back, due)).await.map(drop)
}

/// Sets how long a writer has had these in hand without a sign of life, and how many writers have had each: those that
/// have ended, and this one unless it is left out.
fn claim_own<'a>(
    shared: &Shared,
    name: &str,
    entries: impl Iterator<Item = (&'a str, u32)>,
    idle_millis: u64,
) -> Pipeline {
    let mut by_writers = BTreeMap::<u32, Vec<&str>>::new();
    for (id, writers) in entries {
        by_writers.entry(writers).or_default().push(id);
    }
    let mut claims = redis::pipe();
    for (writers, ids) in by_writers {
        let claim = claims.cmd("XCLAIM").arg(&shared.keys.clicks).arg(&shared.config.group).arg(name).arg(0).arg(ids);
        claim.arg("IDLE").arg(idle_millis).arg("RETRYCOUNT").arg(writers).arg("JUSTID");
    }
    claims
}

/// A writer and its connection.
struct Session<'a> {
    writer: &'a Writer,
    connection: MultiplexedConnection,
    /// When the next sign of life is due.
    renew_at: Instant,
}

impl Session<'_> {
    async fn work(&mut self) -> Result<()> {
        let config = &self.writer.shared.config;
        self.take_back_what_was_put_aside().await?;
        // What it had in hand before its connection was lost is claimed like that of others: to ask for it by its name
        // counts as one more writer.
        give_back(&self.writer.shared, &self.writer.name).await?;
        let (mut claim_at, mut claim_from) = (Instant::now(), FIRST.to_owned());
        loop {
            let began = Instant::now();
            if self.writer.is_closing() {
                return Ok(());
            }
            if began >= claim_at {
                let (next, claimed) = self.claim(&claim_from).await?;
                // What was given back is behind it.
                claim_from = if claimed.is_empty() { next } else { FIRST.into() };
                if claimed.is_empty() && claim_from == FIRST {
                    claim_at = began + config.claim_after / 2;
                    self.forget().await?;
                }
                self.bring_claimed(claimed).await?;
                continue;
            }
            let taken = self.read().await?;
            let is_full = taken.len() >= config.batch;
            let is_empty = taken.is_empty();
            self.bring(taken.into_iter().map(taken_first).collect()).await?;
            if !is_full && !is_empty {
                let mut closing = self.writer.closing.clone();
                // Elapsed, or it is to end.
                _ = timeout_at(began + config.interval, closing.wait_for(|closing| *closing)).await;
            }
        }
    }

    /// How many writers have had each of these, which are in hand and in order.
    async fn with_writers(&mut self, entries: Vec<Entry>) -> Result<Vec<Taken>> {
        let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else { return Ok(Vec::new()) };
        let Shared { config, keys, .. } = &*self.writer.shared;
        let mut pending = redis::cmd("XPENDING");
        pending.arg(&keys.clicks).arg(&config.group).arg(first).arg(last).arg(config.batch).arg(&self.writer.name);
        let pending: Vec<(String, String, u64, u32)> = self.ask(&pending).await?;
        let writers: HashMap<String, u32> = pending.into_iter().map(|(id, _, _, writers)| (id, writers)).collect();
        let of = |entry: Entry| {
            let writers = writers.get(&entry.0).copied().unwrap_or(1);
            (entry, writers)
        };
        Ok(entries.into_iter().map(of).collect())
    }

    /// Takes new entries, which waits for some.
    async fn read(&mut self) -> Result<Vec<Entry>> {
        let Shared { config, keys, .. } = &*self.writer.shared;
        let mut read = redis::cmd("XREADGROUP");
        read.arg("GROUP").arg(&config.group).arg(&self.writer.name).arg("COUNT").arg(config.batch);
        read.arg("BLOCK").arg(BLOCK.as_millis() as u64);
        read.arg("STREAMS").arg(&keys.clicks).arg(">");
        let streams: Option<Vec<(String, Vec<Entry>)>> = self.ask(&read).await?;
        self.renew_at = Instant::now() + config.claim_after / 3;
        Ok(streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect())
    }

    /// Takes over what writers had in hand that have given no sign of life, and how many writers had it. Redis looks at
    /// a part of what is in hand, from that entry on, and answers where to go on.
    async fn claim(&mut self, from: &str) -> Result<(String, Vec<Taken>)> {
        let Shared { config, keys, counters, .. } = &*self.writer.shared;
        let mut claim = redis::cmd("XAUTOCLAIM");
        claim.arg(&keys.clicks).arg(&config.group).arg(&self.writer.name);
        claim.arg(config.claim_after.as_millis() as u64).arg(from).arg("COUNT").arg(config.batch);
        let (next, claimed, _): (String, Vec<Entry>, Vec<String>) = self.ask(&claim).await?;
        add(&counters.claimed, claimed.len());
        self.renew_at = Instant::now() + config.claim_after / 3;
        Ok((next, self.with_writers(claimed).await?))
    }

    /// Brings what was taken over. What several writers have ended with is brought alone, so that whichever of them
    /// is the cause takes no others with it, and given up after too many.
    async fn bring_claimed(&mut self, claimed: Vec<Taken>) -> Result<()> {
        let shared = &self.writer.shared;
        let most = shared.config.max_retries;
        let (mut together, mut alone, mut others) = (Vec::new(), None, Vec::new());
        for (entry, writers) in claimed {
            match writers {
                // The count has this writer in it.
                writers if writers > most => self.bury(entry, writers - 1).await?,
                writers if writers < ALONE_FROM => together.push((entry, writers)),
                _ if alone.is_none() => alone = Some((entry, writers)),
                writers => others.push((entry.0, writers - 1)),
            }
        }
        let due = shared.config.claim_after.as_millis() as u64;
        let back = others.iter().map(|(id, writers)| (&**id, *writers));
        self.ask_all(&claim_own(shared, &self.writer.name, back, due)).await?;
        self.bring(together).await?;
        self.bring(alone.into_iter().collect()).await
    }

    /// Brings entries to the store, for as long as it takes.
    async fn bring(&mut self, taken: Vec<Taken>) -> Result<()> {
        let (mut batch, mut aside, mut gone) = (Batch::default(), Vec::new(), Vec::new());
        for ((id, fields), writers) in taken {
            match fields {
                None => gone.push(id),
                Some(fields) => match entries::click(&fields) {
                    Some(click) => {
                        batch.ids.push(id);
                        batch.writers.push(writers);
                        batch.clicks.push(click);
                    }
                    None => aside.push((id, fields)),
                },
            }
        }
        if !gone.is_empty() {
            self.settle(&gone).await?;
        }
        for (id, fields) in aside {
            self.put_aside(&id, &fields).await?;
        }
        if batch.clicks.is_empty() { Ok(()) } else { self.deliver(batch).await }
    }

    async fn deliver(&mut self, batch: Batch) -> Result<()> {
        let writer = self.writer;
        let Shared { config, counters, keys, .. } = &*writer.shared;
        let Batch { ids, mut writers, clicks } = batch;
        let mut backoff = Backoff::new(config.first_backoff, config.most_backoff);
        let mut delivery = Delivery::new(&*writer.sink, &clicks, config.write_timeout);
        let (mut done, mut counts) = (0, true);
        loop {
            let delivered = {
                let mut next = pin!(delivery.next());
                loop {
                    match timeout_at(self.renew_at, &mut next).await {
                        Ok(delivered) => break delivered,
                        Err(_) => self.renew(&ids[done..], &writers[done..]).await?,
                    }
                }
            };
            match delivered {
                None => return Ok(()),
                Some(Delivered::Written(count)) => {
                    backoff.reset();
                    self.settle(&ids[done..done + count]).await?;
                    done += count;
                    add(&counters.delivered, count);
                    add(&counters.batches, 1);
                }
                Some(Delivered::Dead(letter)) => {
                    let letter = DeadLetter::new(letter.click, letter.error.to_string(), letter.tries, Utc::now());
                    self.move_to(&keys.dead, &ids[done], &entries::letter_fields(&letter)).await?;
                    done += 1;
                    add(&counters.dead, 1);
                }
                Some(_) => {
                    add(&counters.retried, 1);
                    // It is the store's fault: should this writer end now, then not by what it has in hand.
                    if std::mem::take(&mut counts) {
                        writers.iter_mut().for_each(|writers| *writers = writers.saturating_sub(1));
                    }
                    self.renew(&ids[done..], &writers[done..]).await?;
                    writer.pause(backoff.pause_within(config.claim_after / 3)).await;
                }
            }
        }
    }

    /// Deletes entries.
    async fn settle(&mut self, ids: &[String]) -> Result<()> {
        let Shared { config, keys, .. } = &*self.writer.shared;
        let mut settle = redis::pipe();
        settle.atomic();
        settle.cmd("XACK").arg(&keys.clicks).arg(&config.group).arg(ids).ignore();
        settle.cmd("XDEL").arg(&keys.clicks).arg(ids).ignore();
        self.ask_all(&settle).await
    }

    /// Puts something into another stream in the place of an entry, unless another writer has settled that meanwhile.
    async fn move_to(&mut self, stream: &str, id: &str, fields: &[Vec<u8>]) -> Result<()> {
        let Shared { config, keys, .. } = &*self.writer.shared;
        let mut moving = redis::cmd("EVAL");
        moving.arg(MOVE).arg(2).arg(&keys.clicks).arg(stream).arg(&config.group).arg(id).arg(fields);
        self.ask(&moving).await
    }

    /// A click with which its writers have ended.
    async fn bury(&mut self, entry: Entry, writers: u32) -> Result<()> {
        let (id, Some(fields)) = entry else { return self.settle(&[entry.0]).await };
        let Some(click) = entries::click(&fields) else { return self.put_aside(&id, &fields).await };
        let shared = &self.writer.shared;
        let reason = format!("{writers} writers ended with it in hand");
        tracing::error!(id = %click.id, code = %click.code, writers, "a click is given up: its writers end with it");
        let letter = DeadLetter::new(click, reason, writers, Utc::now());
        self.move_to(&shared.keys.dead, &id, &entries::letter_fields(&letter)).await?;
        add(&shared.counters.dead, 1);
        Ok(())
    }

    /// An entry that cannot be read here.
    async fn put_aside(&mut self, id: &str, fields: &[Vec<u8>]) -> Result<()> {
        let shared = &self.writer.shared;
        tracing::error!(id, "an entry of the stream cannot be read, it is kept");
        self.move_to(&shared.keys.unreadable, id, fields).await?;
        add(&shared.counters.unreadable, 1);
        Ok(())
    }

    /// Entries that an older release could not read, and this one can, go back into the stream.
    async fn take_back_what_was_put_aside(&mut self) -> Result<()> {
        let keys = &self.writer.shared.keys;
        let mut after: Option<String> = None;
        loop {
            let found: Vec<Entry> =
                self.ask(&entries::range(&keys.unreadable, after.as_deref(), ASIDE_AT_ONCE)).await?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            after = Some(last.clone());
            for (id, fields) in found {
                if let Some(click) = fields.as_deref().and_then(entries::click) {
                    let mut back = redis::cmd("EVAL");
                    back.arg(REPLAY).arg(2).arg(&keys.unreadable).arg(&keys.clicks);
                    back.arg(id).arg(entries::value(&click));
                    self.ask::<u64>(&back).await?;
                }
            }
        }
    }

    /// A sign of life, for which Redis would count one more writer if it were not told how many there were.
    async fn renew(&mut self, ids: &[String], writers: &[u32]) -> Result<()> {
        let shared = &self.writer.shared;
        self.renew_at = Instant::now() + shared.config.claim_after / 3;
        let entries = ids.iter().map(String::as_str).zip(writers.iter().copied());
        self.ask_all(&claim_own(shared, &self.writer.name, entries, 0)).await
    }

    /// Deletes consumers that have ended with nothing in hand.
    async fn forget(&mut self) -> Result<()> {
        let Shared { config, keys, .. } = &*self.writer.shared;
        let mut forget = redis::cmd("EVAL");
        forget.arg(FORGET).arg(1).arg(&keys.clicks).arg(&config.group);
        forget.arg((config.claim_after * 2).as_millis() as u64);
        self.ask(&forget).await
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T> {
        command.query_async(&mut self.connection).await.map_err(error::map)
    }

    async fn ask_all(&mut self, commands: &Pipeline) -> Result<()> {
        if commands.is_empty() {
            return Ok(());
        }
        let answers: Result<Vec<redis::Value>, _> = commands.query_async(&mut self.connection).await;
        answers.map(drop).map_err(error::map)
    }
}
