//! Building a [`Linkly`].

use std::sync::Arc;

use tokio::runtime::Handle;
use tracing::warn;

use super::changes::ChangeLog;
use super::config::Config;
use super::counters::Counters;
use super::events::Publisher;
use super::key::Keys;
use super::limited::Reservations;
use super::loader::Loader;
use super::writes::Writes;
use super::{Engine, Linkly, NoCache};
use crate::{
    Cache, Channel, ClickSink, Clock, CodeGenerator, CodePolicy, Error, Listener, Recorder, RecorderConfig, Result,
    Store, SystemClock, UrlPolicy,
};

/// Builds a [`Linkly`]. Setters never fail and do nothing; [`start`](Self::start) does.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Builder {
    store: Arc<dyn Store>,
    sink: Arc<dyn ClickSink>,
    spill: Option<Arc<dyn ClickSink>>,
    cache: Arc<dyn Cache>,
    channel: Option<Arc<dyn Channel>>,
    clock: Arc<dyn Clock>,
    config: Config,
    recorder: RecorderConfig,
    codes: CodePolicy,
    generator: CodeGenerator,
    urls: UrlPolicy,
}

impl Builder {
    pub(super) fn new<S: Store>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            sink: store.clone(),
            spill: None,
            store,
            cache: Arc::new(NoCache),
            channel: None,
            clock: Arc::new(SystemClock),
            config: Config::default(),
            recorder: RecorderConfig::default(),
            codes: CodePolicy::default(),
            generator: CodeGenerator::default(),
            urls: UrlPolicy::default(),
        }
    }

    /// The cache in front of the store. Default: none.
    pub fn cache(mut self, cache: impl Cache) -> Self {
        self.cache = Arc::new(cache);
        self
    }

    /// How this node hears at once of what others write, and they of what it writes. Default: none, and nodes hear
    /// of each other when they read the change log. The engine starts it, and closes it with its shutdown.
    pub fn channel(mut self, channel: impl Channel) -> Self {
        self.channel = Some(Arc::new(channel));
        self
    }

    /// Where clicks go. Default: the store. A durable queue in front of it goes here.
    pub fn clicks(mut self, sink: impl ClickSink) -> Self {
        self.sink = Arc::new(sink);
        self
    }

    /// Where clicks go that would overflow the recorder's queue, with [`Overflow::Spill`](crate::Overflow::Spill):
    /// a durable queue on this machine. It is shut down by who has opened it, after the engine.
    pub fn spill(mut self, sink: impl ClickSink) -> Self {
        self.spill = Some(Arc::new(sink));
        self
    }

    /// How the engine caches, waits and gives up.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// How clicks are recorded.
    pub fn recorder(mut self, config: RecorderConfig) -> Self {
        self.recorder = config;
        self
    }

    /// Which codes callers may choose.
    pub fn codes(mut self, policy: CodePolicy) -> Self {
        self.codes = policy;
        self
    }

    /// How codes are made for links without one.
    pub fn generator(mut self, generator: CodeGenerator) -> Self {
        self.generator = generator;
        self
    }

    /// Which URLs links may lead to.
    pub fn urls(mut self, policy: UrlPolicy) -> Self {
        self.urls = policy;
        self
    }

    /// Where the time is read. Default: the system's clocks.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Starts the engine on the runtime this is called from: starts the channel, spawns the click recorder and
    /// the change log's follower, and first reads what the store's change log has that the cache was not told of. (A
    /// cache that cannot say what it was told of is cleared.) A store or a cache that does not answer now does not
    /// keep the app from starting.
    ///
    /// All tasks run on this runtime, also when handles are used from another one (Actix has one for
    /// each worker).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when it is not called from within a Tokio runtime, or when a setting makes
    /// no sense.
    ///
    /// # Panics
    ///
    /// When the runtime's timer is not enabled.
    pub async fn start(self) -> Result<Linkly> {
        let runtime =
            Handle::try_current().map_err(|_| Error::invalid("runtime", "start() needs a running Tokio runtime"))?;
        self.config.check()?;
        self.recorder.check()?;
        let counters = Arc::new(Counters::default());
        let loader = Arc::new(Loader::new(
            self.store.clone(),
            self.cache.clone(),
            self.channel.clone(),
            self.clock.clone(),
            self.config.clone(),
            counters.clone(),
            runtime.clone(),
        ));
        if let Some(channel) = &self.channel {
            let listener: Arc<dyn Listener> = loader.clone();
            channel.start(Arc::downgrade(&listener), &runtime)?;
        }
        let changes = Arc::new(ChangeLog::new(loader.clone()));
        if !self.config.poll_changes.is_zero() {
            if let Err(error) = changes.catch_up().await {
                warn!(%error, "the change log could not be followed; the engine starts and tries again");
            }
            runtime.spawn(ChangeLog::follow(Arc::downgrade(&changes), self.config.poll_changes));
        }
        let keys = Keys { domain: None, folding: self.store.folding(), policy: Arc::new(self.codes) };
        let engine = Engine {
            recorder: match self.spill {
                None => Recorder::start(self.sink, self.recorder, &runtime)?,
                Some(spill) => Recorder::start_with_spill(self.sink, spill, self.recorder, &runtime)?,
            },
            writes: Writes::new(loader.clone(), runtime.clone()),
            reservations: Arc::new(Reservations::new(loader.clone(), runtime)),
            store: self.store,
            cache: self.cache,
            clock: self.clock,
            changes,
            counters,
            loader,
            events: Arc::new(Publisher::new(self.config.events)),
            generator: self.generator,
            urls: self.urls,
        };
        Ok(Linkly::new(engine, keys))
    }
}
