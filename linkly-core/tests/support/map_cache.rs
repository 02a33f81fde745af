//! The smallest cache that keeps the contract: a map, and one generation for all leases.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use linkly_core::{Cache, Code, Entry, Filled, Lease, Lookup, Result, Tick};

#[derive(Debug, Default)]
pub(crate) struct MapCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Code, Entry>,
    generation: u128,
}

impl MapCache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Cache for MapCache {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.lock().entries.get(code).filter(|entry| entry.is_servable(now)).cloned()
    }

    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        let state = self.lock();
        let look_up = |code: &Code| {
            let entry = state.entries.get(code).filter(|entry| entry.is_servable(now)).cloned();
            let is_fresh = entry.as_ref().is_some_and(|entry| entry.is_fresh(now));
            Lookup::new(entry, (!is_fresh).then(|| Lease::new(code.clone(), state.generation)))
        };
        Ok(codes.iter().map(look_up).collect())
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        let mut state = self.lock();
        let mut fill = |(lease, entry): (Lease, Entry)| {
            if lease.token() != state.generation {
                return Filled::Voided;
            }
            if entry.is_servable(now) {
                state.entries.insert(lease.code().clone(), entry);
            }
            Filled::Filled
        };
        Ok(fills.into_iter().map(&mut fill).collect())
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        let mut state = self.lock();
        state.generation += 1;
        for code in codes {
            state.entries.remove(code);
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let mut state = self.lock();
        state.generation += 1;
        state.entries.clear();
        Ok(())
    }
}
