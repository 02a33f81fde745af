//! What a case is given: handles on the thing under test.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Cache, Store};

use crate::CaseFuture;

/// One database through two handles, as two processes would have it open. Derefs to the first.
///
/// ```
/// use linkly_conformance::{Handles, store};
/// use linkly_core::MemoryStore;
///
/// # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let handles = Handles::new(store.clone(), store);
/// store::insert::a_taken_code_is_refused_and_leaves_the_link_as_it_is(&handles).await;
/// # });
/// ```
#[derive(Clone, Debug)]
pub struct Handles([Arc<dyn Store>; 2]);

impl Handles {
    /// Two handles on one empty database.
    pub fn new(first: impl Store, second: impl Store) -> Self {
        Self([Arc::new(first), Arc::new(second)])
    }

    /// The second handle.
    pub fn other(&self) -> &dyn Store {
        &*self.0[1]
    }

    /// The first handle for even numbers, the second for odd ones: for tasks that run at once.
    pub fn nth(&self, number: usize) -> Arc<dyn Store> {
        self.0[number % 2].clone()
    }
}

impl Deref for Handles {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &*self.0[0]
    }
}

/// The cache under test, how late it may be, and what ends its leases. Derefs to the cache.
#[derive(Clone)]
pub struct CacheHandle {
    cache: Arc<dyn Cache>,
    slack: Duration,
    expire_leases: Arc<dyn Fn() -> CaseFuture + Send + Sync>,
}

impl CacheHandle {
    /// An empty cache that ends an entry's life to the tick, and whose leases have none.
    pub fn new(cache: impl Cache) -> Self {
        Self { cache: Arc::new(cache), slack: Duration::ZERO, expire_leases: Arc::new(|| Box::pin(async {})) }
    }

    /// By how much the cache may be late in ending an entry's life.
    #[must_use]
    pub fn with_slack(mut self, slack: Duration) -> Self {
        self.slack = slack;
        self
    }

    /// What lets every lease that was given out so far run out its life on a server:
    /// [`CacheFixture::expire_leases`](crate::CacheFixture::expire_leases).
    #[must_use]
    pub fn with_expire_leases(mut self, expire_leases: impl Fn() -> CaseFuture + Send + Sync + 'static) -> Self {
        self.expire_leases = Arc::new(expire_leases);
        self
    }

    /// The cache itself, for an engine.
    pub(crate) fn shared(&self) -> Arc<dyn Cache> {
        self.cache.clone()
    }

    pub(crate) fn slack(&self) -> Duration {
        self.slack
    }

    pub(crate) async fn expire_leases(&self) {
        (self.expire_leases)().await;
    }
}

impl fmt::Debug for CacheHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").field("cache", &self.cache).field("slack", &self.slack).finish_non_exhaustive()
    }
}

impl Deref for CacheHandle {
    type Target = dyn Cache;

    fn deref(&self) -> &Self::Target {
        &*self.cache
    }
}
