//! A node of several: a writer of its own links and readers of everybody's. It prints what they did and saw.

use std::io::Write;
use std::time::Duration;

use linkly_cache::{MemoryCache, RedisCache, RedisChannel, Tiered};
use linkly_core::{Config, Error, LinkPatch, Linkly, NewLink, Resolution};
use linkly_store_postgres::PostgresStore;
use rand::RngExt;
use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::history::{Operation, What};

pub(crate) const NODES: usize = 4;
/// How often a node reads the change log.
pub(crate) const POLL: Duration = Duration::from_millis(250);

const READERS: usize = 4;
const PAUSE: Duration = Duration::from_millis(4);
/// Of so many writes of a link one deletes it.
const DELETIONS: u32 = 12;

/// Microseconds of the clock that all processes of a machine share.
pub(crate) fn micros() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec * 1_000_000 + time.tv_nsec / 1_000).unwrap_or(0)
}

/// Reads and writes until it is killed. Of the codes each node writes every fourth, and reads all.
pub(crate) async fn run(node: usize, database: &str, redis: &str, codes: u32) -> Result<()> {
    let store = PostgresStore::connect(database).await?;
    let cache = Tiered::new(MemoryCache::new(), RedisCache::open(redis)?);
    // Entries live far longer than the bound, so that it is not their end that keeps it.
    let config = Config::default().with_poll_changes(POLL).with_absent(Duration::from_secs(600));
    let builder = Linkly::builder(store).cache(cache).channel(RedisChannel::open(redis)?);
    let linkly = builder.config(config).start().await?;
    let mut tasks = vec![tokio::spawn(write(linkly.clone(), node, codes))];
    tasks.extend((0..READERS).map(|_| tokio::spawn(read(linkly.clone(), node, codes))));
    for task in tasks {
        task.await??;
    }
    Ok(())
}

fn tell(node: usize, code: u32, what: What, start: u64) -> std::io::Result<()> {
    let operation = Operation { node, code, what, start, end: micros() };
    std::io::stdout().write_all(operation.line().as_bytes())
}

async fn write(linkly: Linkly, node: usize, codes: u32) -> std::io::Result<()> {
    let nodes = NODES as u32;
    loop {
        tokio::time::sleep(PAUSE * 5).await;
        let number = rand::rng().random_range(0..codes / nodes) * nodes + node as u32;
        let code = number.to_string();
        // The store's, so that a version is not written twice.
        let Ok(link) = linkly.get(&code).await else { continue };
        let start = micros();
        let what = match link.and_then(|link| version(&link.url)) {
            None => match linkly.create(NewLink::new(url(1)).with_code(&code)).await {
                Ok(_) => What::Wrote(1),
                // It was there once.
                Err(Error::CodeTaken { .. }) => continue,
                Err(_) => What::Tried(1),
            },
            Some(version) if rand::rng().random_range(0..DELETIONS) == 0 => {
                // Told before: whoever is killed in between may have deleted it.
                tell(node, number, What::TriedToDelete(version), start)?;
                match linkly.delete(&code).await {
                    Ok(()) => What::Deleted(version),
                    Err(_) => continue,
                }
            }
            Some(version) => match linkly.update(&code, LinkPatch::new().with_url(url(version + 1))).await {
                Ok(_) => What::Wrote(version + 1),
                Err(_) => What::Tried(version + 1),
            },
        };
        tell(node, number, what, start)?;
    }
}

async fn read(linkly: Linkly, node: usize, codes: u32) -> std::io::Result<()> {
    loop {
        tokio::time::sleep(PAUSE).await;
        let number = rand::rng().random_range(0..codes);
        let start = micros();
        let seen = match linkly.resolve(&number.to_string()).await {
            Ok(Resolution::Found(target)) => version(target.url()),
            Ok(_) => None,
            // The store was out of reach.
            Err(_) => continue,
        };
        tell(node, number, What::Saw(seen), start)?;
    }
}

fn url(version: u64) -> String {
    format!("https://iii.dev/{version}")
}

fn version(url: &str) -> Option<u64> {
    url.rsplit('/').next()?.parse().ok()
}
