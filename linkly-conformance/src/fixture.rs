//! What an implementation brings to its suite.

use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Cache, ClickSink, Store};

/// One database, empty at first: what [`store_suite!`](crate::store_suite) and
/// [`migration_suite!`](crate::migration_suite) open for each case.
///
/// A failed `open` or `handle` panics with its error, like any test.
pub trait StoreFixture: Sized + Send + Sync + 'static {
    /// The store under test.
    type Store: Store;

    /// How long one case may take before it counts as hung. Default: 120 seconds.
    const LIMIT: Duration = Duration::from_secs(120);

    /// Makes a database of its own for one case, empty and not migrated: a file in a new directory, a
    /// schema of a new name.
    fn open() -> impl Future<Output = Self> + Send;

    /// Connects to this database and migrates it, as one more process does when it starts. Called
    /// several times, also at once; handles share nothing but the database. A store that lives in one
    /// process gives a clone.
    fn handle(&self) -> impl Future<Output = Self::Store> + Send;

    /// Removes the database, whether the case passed or not. By default it is dropped.
    fn close(self) -> impl Future<Output = ()> + Send {
        async move { drop(self) }
    }
}

/// One queue of clicks, empty at first, in front of a sink: what [`queue_suite!`](crate::queue_suite) opens for each
/// case.
pub trait QueueFixture: Sized + Send + Sync + 'static {
    /// The queue under test.
    type Queue: ClickSink;

    /// How long one case may take before it counts as hung. Default: 120 seconds.
    const LIMIT: Duration = Duration::from_secs(120);

    /// Opens a queue of its own for one case, which delivers to `sink`.
    fn open(sink: Arc<dyn ClickSink>) -> impl Future<Output = Self> + Send;

    /// The queue.
    fn queue(&self) -> &Self::Queue;

    /// Waits until the sink has all that was recorded before this call.
    fn flush(&self) -> impl Future<Output = ()> + Send;
}

/// One cache, empty at first: what [`cache_suite!`](crate::cache_suite) opens for each case.
pub trait CacheFixture: Sized + Send + Sync + 'static {
    /// The cache under test.
    type Cache: Cache;

    /// How long one case may take before it counts as hung. Default: 120 seconds.
    const LIMIT: Duration = Duration::from_secs(120);

    /// By how much the cache may be late in ending an entry's life: zero for one in this process,
    /// which compares ticks; what a call takes for one that leaves the counting to a server. Default:
    /// zero.
    const SLACK: Duration = Duration::ZERO;

    /// Makes what the cache stands on, for one case alone: a key prefix of its own on a server.
    fn open() -> impl Future<Output = Self> + Send;

    /// Connects the cache. Called once.
    fn cache(&self) -> impl Future<Output = Self::Cache> + Send;

    /// Lets every lease that was given out so far run out its life on the server, with whatever else
    /// of the cache's own bookkeeping has one: its keys are deleted, or their time is waited for.
    /// Entries may stay or go. By default nothing is done: leases of a cache in this process have no
    /// life to run out.
    fn expire_leases(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Removes what was made, whether the case passed or not. By default it is dropped.
    fn close(self) -> impl Future<Output = ()> + Send {
        async move { drop(self) }
    }
}
