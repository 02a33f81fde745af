//! What is put to the test: a way that clicks take.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use linkly_cache::MemoryCache;
use linkly_core::{Acknowledge, ClickSink, Linkly, Overflow, RecorderConfig, Store};
use linkly_queue::{Letters, RedisStream, Spool, SpoolConfig, StreamConfig, StreamWriters};
use linkly_store_postgres::PostgresStore;
use linkly_store_sqlite::SqliteStore;

use crate::Result;

/// What an app that does not wait for its clicks may lose: its queue and one batch.
const CAPACITY: usize = 1_000;
const BATCH: usize = 250;

/// A way that clicks take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) database: Database,
    pub(crate) queue: Queue,
    pub(crate) acknowledge: Acknowledge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// What stands between the recorder and the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    None,
    Spool,
    /// A spool for what overflows.
    Spill,
    /// A stream of a Redis that goes on.
    RedisStream,
}

pub(crate) const SUBJECTS: [Subject; 6] = [
    Subject::new("recorder", Database::Sqlite, Queue::None, Acknowledge::Durable),
    Subject::new("recorder-enqueued", Database::Sqlite, Queue::None, Acknowledge::Enqueued),
    Subject::new("spool-sqlite", Database::Sqlite, Queue::Spool, Acknowledge::Durable),
    Subject::new("spool-postgres", Database::Postgres, Queue::Spool, Acknowledge::Durable),
    Subject::new("spill-sqlite", Database::Sqlite, Queue::Spill, Acknowledge::Durable),
    Subject::new("stream-postgres", Database::Postgres, Queue::RedisStream, Acknowledge::Durable),
];

impl Subject {
    const fn new(name: &'static str, database: Database, queue: Queue, acknowledge: Acknowledge) -> Self {
        Self { name, database, queue, acknowledge }
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        let names = || SUBJECTS.map(|subject| subject.name).join(", ");
        let found = SUBJECTS.into_iter().find(|subject| subject.name == name);
        Ok(found.ok_or_else(|| format!("no subject {name:?}, there are {}", names()))?)
    }

    /// How many acknowledged clicks one kill may lose.
    pub(crate) fn may_lose(&self) -> usize {
        match self.acknowledge {
            Acknowledge::Durable => 0,
            _ => CAPACITY + BATCH,
        }
    }

    /// Starts the engine as an app does, and what brings its clicks from Redis to the store.
    pub(crate) async fn start(&self, place: &Place) -> Result<(Linkly, Option<StreamWriters>)> {
        let store = place.store(self.database).await?;
        // Small for a spill, so that it overflows.
        let capacity = if self.queue == Queue::Spill { 16 } else { CAPACITY };
        let overflow = if self.queue == Queue::Spill { Overflow::Spill } else { Overflow::Block };
        let recorder = RecorderConfig::default()
            .with_acknowledge(self.acknowledge)
            .with_overflow(overflow)
            .with_capacity(capacity)
            .with_batch(BATCH.min(capacity));
        let builder = Linkly::builder(store.clone()).cache(MemoryCache::new()).recorder(recorder);
        let mut writers = None;
        let builder = match self.queue {
            Queue::None => builder,
            Queue::Spool => builder.clicks(place.spool(store).await?),
            Queue::Spill => builder.spill(place.spool(store).await?),
            Queue::RedisStream => {
                let stream = place.stream()?;
                writers = Some(stream.deliver_to(Arc::new(store))?);
                builder.clicks(stream)
            }
        };
        Ok((builder.start().await?, writers))
    }

    /// Brings to the store what the queue in front of it holds.
    pub(crate) async fn drain(&self, place: &Place) -> Result<()> {
        match self.queue {
            Queue::None => Ok(()),
            Queue::RedisStream => drain_stream(&place.stream()?, place.store(self.database).await?).await,
            Queue::Spool | Queue::Spill => self.drain_spool(place).await,
        }
    }

    async fn drain_spool(&self, place: &Place) -> Result<()> {
        let spool = place.spool(place.store(self.database).await?).await?;
        spool.flush().await?;
        let metrics = spool.metrics();
        let report = spool.shutdown(Duration::from_secs(10)).await;
        if spool.salvage().is_some() || metrics.unreadable + metrics.dead_letters + report.waiting > 0 {
            return Err(format!("the spool is not empty or was damaged: {metrics:?}, {:?}", spool.salvage()).into());
        }
        Ok(())
    }
}

/// A click with which killed writers ended too often is a dead letter, and no less there.
async fn drain_stream(stream: &RedisStream, store: Arc<dyn Store>) -> Result<()> {
    let writers = stream.deliver_to(Arc::new(store))?;
    stream.flush().await?;
    stream.replay(Letters::All).await?;
    stream.flush().await?;
    let status = stream.status().await?;
    let report = writers.shutdown(Duration::from_secs(10)).await;
    if !report.is_finished || status.depth + status.dead_letters + status.unreadable > 0 {
        return Err(format!("the stream is not empty: {status:?}, {report:?}").into());
    }
    Ok(())
}

/// Where the subject keeps its data.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    folder: PathBuf,
    /// A Postgres database's URL.
    database: String,
    /// A Redis' URL.
    redis: String,
}

impl Place {
    pub(crate) fn new(folder: impl AsRef<Path>, database: &str, redis: &str) -> Self {
        Self { folder: folder.as_ref().to_owned(), database: database.to_owned(), redis: redis.to_owned() }
    }

    pub(crate) fn args(&self) -> [&std::ffi::OsStr; 3] {
        [self.folder.as_os_str(), self.database.as_ref(), self.redis.as_ref()]
    }

    pub(crate) async fn store(&self, database: Database) -> Result<Arc<dyn Store>> {
        Ok(match database {
            Database::Sqlite => {
                Arc::new(SqliteStore::connect(&format!("sqlite:{}/linkly.db", self.folder.display())).await?)
            }
            Database::Postgres => Arc::new(PostgresStore::connect(&self.database).await?),
        })
    }

    /// Its keys are this place's alone. What a killed app had in hand is soon taken over.
    fn stream(&self) -> Result<RedisStream> {
        let config = StreamConfig::default()
            .with_prefix(format!("{}:", self.folder.display()))
            .with_claim_after(Duration::from_secs(1));
        Ok(RedisStream::open(&self.redis, config)?)
    }

    async fn spool(&self, store: Arc<dyn Store>) -> Result<Spool> {
        let sink: Arc<dyn ClickSink> = Arc::new(store);
        Ok(Spool::open(self.folder.join("clicks.spool"), sink, SpoolConfig::default()).await?)
    }
}
