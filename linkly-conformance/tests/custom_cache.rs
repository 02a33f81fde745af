//! A cache of somebody else passes the suite: the one that the README shows.

use std::collections::HashMap;
use std::sync::Mutex;

use linkly_conformance::{CacheFixture, cache_suite};
use linkly_core::{Cache, Code, Entry, Filled, Lease, Lookup, Result, Tick};

/// A map, and how often anything was invalidated: a lease lives until the next time.
#[derive(Debug, Default)]
struct MapCache(Mutex<(HashMap<Code, Entry>, u128)>);

#[async_trait::async_trait]
impl Cache for MapCache {
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        let (entries, generation) = &*self.0.lock().unwrap();
        let look_up = |code: &Code| {
            let entry = entries.get(code).filter(|entry| entry.is_servable(now)).cloned();
            let is_fresh = entry.as_ref().is_some_and(|entry| entry.is_fresh(now));
            Lookup::new(entry, (!is_fresh).then(|| Lease::new(code.clone(), *generation)))
        };
        Ok(codes.iter().map(look_up).collect())
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        let (entries, generation) = &mut *self.0.lock().unwrap();
        let fill = |(lease, entry): (Lease, Entry)| {
            if lease.token() != *generation {
                return Filled::Voided;
            }
            if entry.is_servable(now) {
                entries.insert(lease.code().clone(), entry);
            }
            Filled::Filled
        };
        Ok(fills.into_iter().map(fill).collect())
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        let (entries, generation) = &mut *self.0.lock().unwrap();
        codes.iter().for_each(|code| drop(entries.remove(code)));
        *generation += 1;
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let (entries, generation) = &mut *self.0.lock().unwrap();
        entries.clear();
        *generation += 1;
        Ok(())
    }
}

struct Fixture;

impl CacheFixture for Fixture {
    type Cache = MapCache;

    async fn open() -> Self {
        Self
    }

    async fn cache(&self) -> MapCache {
        MapCache::default()
    }
}

cache_suite!(Fixture);
