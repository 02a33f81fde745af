//! A spool, beside redb alone: commits of the same clicks, each synced to the disk.
//!
//! The raw operation writes one value of as many bytes as our clicks take, in one commit, by one thread. Behind the
//! spool is a sink that takes everything, so its deliveries and deletions are in the figures.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_benches::{Nowhere, Suite, timed};
use linkly_cache::MemoryCache;
use linkly_core::{Acknowledge, Click, Linkly, MemoryStore, NewLink, RecorderConfig, VisitContext};
use linkly_queue::{Spool, SpoolConfig};
use redb::{Database, ReadableTable, TableDefinition};

const CLICKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("clicks");
/// What a click of these benches takes in a spool.
const CLICK_BYTES: usize = 75;
const TASKS: usize = 64;

const REFERRER: &str = "https://news.ycombinator.com/item?id=1";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// How long redb takes for a commit of so many clicks.
fn commit(database: &Database, clicks: usize) -> Duration {
    let value = vec![7; clicks * CLICK_BYTES];
    let start = Instant::now();
    let write = database.begin_write().unwrap();
    let mut table = write.open_table(CLICKS).unwrap();
    let key = table.last().unwrap().map_or(0, |(key, _)| key.value() + 1);
    table.insert(key, &*value).unwrap();
    drop(table);
    write.commit().unwrap();
    start.elapsed()
}

/// 64 tasks, each of which visits as often as there are places and waits until its click is in the spool.
async fn visits(linkly: &Linkly, places: Range<usize>) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (linkly, places) = (linkly.clone(), places.clone());
            tokio::spawn(async move {
                let context = VisitContext::new().with_referrer(Some(REFERRER)).with_user_agent(Some(USER_AGENT));
                for _ in places {
                    linkly.visit("iii", &context).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn engine(spool: Spool) -> Linkly {
    let recorder = RecorderConfig::default().with_acknowledge(Acknowledge::Durable);
    let builder = Linkly::builder(MemoryStore::new()).cache(MemoryCache::new()).clicks(spool).recorder(recorder);
    let linkly = builder.start().await.unwrap();
    linkly.create(NewLink::new("https://iii.dev").with_code("iii")).await.unwrap();
    linkly
}

fn main() {
    let mut suite = Suite::of_store("spool");
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(folder.path().join("raw.redb")).unwrap();
    let setup = database.begin_write().unwrap();
    setup.open_table(CLICKS).unwrap();
    setup.commit().unwrap();
    let file = folder.path().join("clicks.spool");
    let spool = suite.block_on(Spool::open(file, Arc::new(Nowhere), SpoolConfig::default())).unwrap();
    let linkly = suite.block_on(engine(spool.clone()));

    suite.batches(suite.sizes().links, &spool, &async |clicks: &[Click]| commit(&database, clicks.len()));
    suite.pair(
        "visit",
        "64 tasks, durable",
        TASKS as u64,
        async |places| places.map(|_| commit(&database, TASKS)).sum(),
        async |places| timed(visits(&linkly, places)).await,
    );
    suite.block_on(spool.shutdown(Duration::from_secs(5)));
}
