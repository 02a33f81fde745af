//! A cache that cannot be told what was written, as long as a test says so.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use linkly_core::{Cache, Code, Entry, Error, Filled, Lease, Lookup, Result, Tick};

use super::MapCache;

#[derive(Debug, Default)]
pub(crate) struct DeafCache {
    map: MapCache,
    deaf: AtomicUsize,
    told: AtomicUsize,
}

impl DeafCache {
    /// The next so many times it is told something fail.
    pub(crate) fn set_deaf(&self, times: usize) {
        self.deaf.store(times, Ordering::SeqCst);
    }

    /// How often it was told something, in vain or not.
    pub(crate) fn told(&self) -> usize {
        self.told.load(Ordering::SeqCst)
    }

    fn hear(&self) -> Result<()> {
        self.told.fetch_add(1, Ordering::SeqCst);
        let hears_less = |left: usize| left.checked_sub(1);
        match self.deaf.fetch_update(Ordering::SeqCst, Ordering::SeqCst, hears_less) {
            Ok(_) => Err(Error::unavailable("test", "deaf")),
            Err(_) => Ok(()),
        }
    }
}

#[async_trait]
impl Cache for DeafCache {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.map.peek(code, now)
    }

    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        self.map.get(codes, now).await
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        self.map.fill(fills, now).await
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        self.hear()?;
        self.map.invalidate(codes).await
    }

    async fn clear(&self) -> Result<()> {
        self.hear()?;
        self.map.clear().await
    }
}
