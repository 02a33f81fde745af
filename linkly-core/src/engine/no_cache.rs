//! No cache at all.

use async_trait::async_trait;

use crate::{Cache, Code, Entry, Filled, Lease, Lookup, Result, Tick};

/// No cache: every resolve goes to the store, joined and in batches. What
/// [`Linkly`](crate::Linkly) uses when it is given none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

#[async_trait]
impl Cache for NoCache {
    async fn get(&self, codes: &[Code], _now: Tick) -> Result<Vec<Lookup>> {
        Ok(codes.iter().map(|_| Lookup::default()).collect())
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, _now: Tick) -> Result<Vec<Filled>> {
        Ok(fills.iter().map(|_| Filled::Voided).collect())
    }

    async fn invalidate(&self, _codes: &[Code]) -> Result<()> {
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        Ok(())
    }
}
