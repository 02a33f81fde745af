//! What other nodes have written, as the channel tells.
//!
//! It concerns this process's memory alone: the caches that nodes share were told by the node that wrote. And it
//! concerns the loads on their way, which may have read what was there before: whoever comes later starts another.
//! Were it the cache alone that is told, a resolve could still join such a load and be answered the old link for as
//! long as the store takes.

use std::future::Future;

use async_trait::async_trait;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::loader::{Loader, timed_out};
use crate::{Code, Listener, Result};

#[async_trait]
impl Listener for Loader {
    async fn written(&self, codes: &[Code]) {
        debug!(codes = codes.len(), "links were written on another node");
        self.counters.heard.add(codes.len() as u64);
        self.forget(self.cache.forget(codes)).await;
        self.detach(codes);
    }

    async fn missed(&self) {
        debug!("what other nodes have written may have been missed");
        self.counters.cleared.add(1);
        self.forget_all().await;
    }
}

impl Loader {
    /// Drops whatever is in this process's memory.
    pub(crate) async fn forget_all(&self) {
        self.forget(self.cache.forget_all()).await;
        self.detach_all();
    }

    /// When it fails, the change log makes up for it.
    async fn forget(&self, forgetting: impl Future<Output = Result<()>>) {
        let deadline = self.config.write_timeout;
        let outcome = timeout(deadline, forgetting).await;
        if let Err(error) = outcome.unwrap_or_else(|_| Err(timed_out("the cache", deadline))) {
            self.counters.cache_errors.add(1);
            warn!(%error, "the cache could not forget what another node has written");
        }
    }
}
