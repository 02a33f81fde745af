//! The cache in memory, beside quick_cache's own `get`; and the store in memory, beside maps behind a lock.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use linkly_benches::{QuickCache, RawStore, Suite};
use linkly_cache::MemoryCache;
use linkly_core::chrono::{DateTime, DurationRound, TimeDelta, Utc};
use linkly_core::{Click, Link, Linkly, MemoryStore, Uuid};

/// Maps behind locks, as an app has that keeps its links in memory.
#[derive(Default)]
struct Maps {
    links: RwLock<HashMap<String, Link>>,
    ids: RwLock<BTreeMap<Uuid, String>>,
    clicks: Mutex<HashMap<Uuid, Click>>,
    hours: RwLock<HashMap<String, BTreeMap<DateTime<Utc>, u64>>>,
}

impl RawStore for Maps {
    async fn look_up(&self, codes: &[&str]) -> usize {
        let links = self.links.read().unwrap();
        codes.iter().filter(|code| black_box(links.get(**code).cloned()).is_some()).count()
    }

    async fn look_up_many(&self, codes: &[&str]) -> usize {
        self.look_up(codes).await
    }

    async fn insert(&self, new: &[Link]) {
        let (mut links, mut ids) = (self.links.write().unwrap(), self.ids.write().unwrap());
        for link in new {
            ids.insert(link.id, link.code.to_string());
            links.insert(link.code.to_string(), link.clone());
        }
    }

    async fn update(&self, code: &str, url: &str) {
        let mut links = self.links.write().unwrap();
        let link = links.get_mut(code).unwrap();
        link.url = url.to_owned();
        link.version += 1;
    }

    async fn list(&self, before: Uuid, limit: u32) -> usize {
        let (links, ids) = (self.links.read().unwrap(), self.ids.read().unwrap());
        let page = ids.range(..before).rev().take(limit as usize).map(|(_, code)| links[code].clone());
        black_box(page.collect::<Vec<_>>()).len()
    }

    async fn totals(&self, code: &str) {
        black_box(self.hours.read().unwrap()[code].values().sum::<u64>());
    }

    async fn series(&self, code: &str, range: Range<DateTime<Utc>>) -> usize {
        let hours = self.hours.read().unwrap();
        black_box(hours[code].range(range).map(|(hour, clicks)| (*hour, *clicks)).collect::<Vec<_>>()).len()
    }

    async fn record(&self, new: &[Click]) -> Duration {
        let start = Instant::now();
        let (mut clicks, mut hours) = (self.clicks.lock().unwrap(), self.hours.write().unwrap());
        for click in new {
            if clicks.insert(click.id, click.clone()).is_none() {
                let hour = click.clicked_at.duration_trunc(TimeDelta::hours(1)).unwrap();
                *hours.entry(click.code.to_string()).or_default().entry(hour).or_default() += 1;
            }
        }
        start.elapsed()
    }
}

fn main() {
    let mut suite = Suite::of_cache("memory");
    let links = suite.sizes().links;
    let linkly = suite.behind(MemoryCache::builder().capacity(2 * links).build());
    let raw = QuickCache::filled(links);
    suite.cache(&linkly, &raw);
    suite.cache_in_turn(&linkly, &raw);

    let mut suite = Suite::of_store("memory");
    let store = Arc::new(MemoryStore::new());
    let linkly = suite.block_on(async { Linkly::builder(store.clone()).start().await.unwrap() });
    suite.seed(&linkly);
    let maps = Maps::default();
    suite.seed_raw(&maps);
    suite.store(store, &maps);
}
