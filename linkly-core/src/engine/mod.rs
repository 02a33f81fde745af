//! The engine: [`Linkly`] and what stands behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::{Cache, Clock, CodeGenerator, Domain, Recorder, RecorderReport, Result, Store, UrlPolicy};

mod breaker;
mod builder;
mod changes;
mod config;
mod counters;
mod elsewhere;
mod events;
mod invalidation;
mod joining;
mod key;
mod limited;
mod links;
mod loader;
mod metrics;
mod new_link;
mod no_cache;
mod resolve;
mod statistics;
mod visit;
mod writes;

use invalidation::{Scope, everywhere};

pub use builder::Builder;
pub use config::Config;
pub use events::{Event, Events};
pub use metrics::Metrics;
pub use new_link::{LinkPatch, NewLink};
pub use no_cache::NoCache;
pub use resolve::Resolution;
pub use visit::{Location, Visit, VisitContext};

/// Short links: create, resolve, count.
///
/// A handle, cheap to clone. One engine stands behind all handles of a [`builder`](Self::builder);
/// [`domain`](Self::domain) makes a handle for the links of one domain.
///
/// ```
/// use linkly_core::{Linkly, MemoryStore, NewLink, Visit, VisitContext};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let linkly = Linkly::builder(MemoryStore::new()).start().await?;
/// linkly.create(NewLink::new("iii.dev").with_code("iii")).await?;
///
/// let Visit::Redirect { status, location, .. } = linkly.visit("iii", &VisitContext::new()).await? else {
///     panic!("the link was just made");
/// };
/// assert_eq!((status, location.as_str()), (302, "https://iii.dev"));
///
/// linkly.flush().await?;
/// assert_eq!(linkly.stats("iii").await?.clicks, 1);
/// # Ok::<(), linkly_core::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Linkly(Arc<Handle>);

/// Behind one reference count: a framework clones its state for each request, on every thread, and each
/// count more is a cache line that they all write to.
struct Handle {
    engine: Arc<Engine>,
    keys: key::Keys,
}

#[derive(Debug)]
struct Engine {
    store: Arc<dyn Store>,
    cache: Arc<dyn Cache>,
    clock: Arc<dyn Clock>,
    counters: Arc<counters::Counters>,
    loader: Arc<loader::Loader>,
    writes: writes::Writes,
    reservations: Arc<limited::Reservations>,
    changes: Arc<changes::ChangeLog>,
    recorder: Recorder,
    events: Arc<events::Publisher>,
    generator: CodeGenerator,
    urls: UrlPolicy,
}

/// What [`Linkly::shutdown`] finished and what it did not.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What became of the clicks.
    pub clicks: RecorderReport,
    /// Whether every write of a link had ended by the deadline. One that had not may still happen.
    pub writes_ended: bool,
}

impl Linkly {
    /// Begins to build a handle on `store`.
    pub fn builder<S: Store>(store: S) -> Builder {
        Builder::new(store)
    }

    fn new(engine: Engine, keys: key::Keys) -> Self {
        Self(Arc::new(Handle { engine: Arc::new(engine), keys }))
    }

    /// A handle for the links of `domain`, on the same engine. It reaches no other links.
    #[must_use]
    pub fn domain(&self, domain: Domain) -> Self {
        let keys = key::Keys { domain: Some(domain), ..self.0.keys.clone() };
        Self(Arc::new(Handle { engine: self.0.engine.clone(), keys }))
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.0.engine.store
    }

    /// The recorder of clicks: its dead letters, its counters.
    pub fn recorder(&self) -> &Recorder {
        &self.0.engine.recorder
    }

    /// Forgets what is cached of a code. For links that the app writes beside Linkly, after its
    /// transaction has committed; without it they are seen when the change log is next read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode), or the cache's when three tries have failed, 50 and 100 ms
    /// apart.
    ///
    /// # Cancel safety
    ///
    /// It is finished also when this is dropped.
    pub async fn invalidate(&self, code: &str) -> Result<()> {
        let (code, loader) = ([self.0.keys.code(code)?], self.0.engine.loader.clone());
        self.0.engine.writes.finish(async move { everywhere(&loader, Scope::These(&code)).await }).await
    }

    /// Forgets whatever is cached, here, in what nodes share, and on the nodes that are on the
    /// [channel](Builder::channel).
    ///
    /// # Errors
    ///
    /// The cache's, as with [`invalidate`](Self::invalidate).
    ///
    /// # Cancel safety
    ///
    /// It is finished also when this is dropped.
    pub async fn invalidate_all(&self) -> Result<()> {
        let loader = self.0.engine.loader.clone();
        self.0.engine.writes.finish(async move { everywhere(&loader, Scope::All).await }).await
    }

    /// Reads the store's change log now and forgets what changed, instead of at the next interval. Without an
    /// [interval](crate::Config::poll_changes) the first call also drops whatever this process's memory holds: where
    /// the log stood when that was loaded is not known.
    ///
    /// # Errors
    ///
    /// The store's or the cache's.
    ///
    /// # Cancel safety
    ///
    /// What this has not told the cache when it is dropped is read again with the next look.
    pub async fn catch_up(&self) -> Result<()> {
        self.0.engine.changes.catch_up().await
    }

    /// Waits until every click recorded before this call is written, or has become a dead letter.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the recorder ended before.
    pub async fn flush(&self) -> Result<()> {
        self.0.engine.recorder.flush().await
    }

    /// Ends the engine: no further writes and clicks are taken, those on their way are finished, and
    /// after `deadline` at the latest this returns with what was and what was not. Call it when the
    /// server has stopped taking requests. `resolve` goes on answering; [`events`](Self::events) end.
    pub async fn shutdown(&self, deadline: Duration) -> Report {
        let start = Instant::now();
        // Writes go on while clicks are written: one that hangs must not take the time of the clicks.
        self.0.engine.writes.close();
        let clicks = self.0.engine.recorder.shutdown(deadline).await;
        let writes_ended = self.0.engine.writes.ended(deadline.saturating_sub(start.elapsed())).await;
        if let Some(channel) = &self.0.engine.loader.channel {
            // Once the writes have ended, since each of them is announced.
            let _ = timeout(deadline.saturating_sub(start.elapsed()), channel.close()).await;
        }
        self.0.engine.events.close();
        Report { clicks, writes_ended }
    }
}

impl fmt::Debug for Linkly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Linkly")
            .field("domain", &self.0.keys.domain)
            .field("store", &self.0.engine.store)
            .field("cache", &self.0.engine.cache)
            .finish_non_exhaustive()
    }
}
