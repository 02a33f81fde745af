//! The cache that nodes share.

mod answers;
mod breaker;
mod cluster;
mod config;
mod encoding;
pub(crate) mod error;
mod metrics;
mod node;
mod session;
mod shared;
#[cfg(feature = "redis-tls")]
pub(crate) mod tls;

use async_trait::async_trait;
use linkly_core::{Cache, ChangeCursor, Code, Entry, Error, Filled, Lease, Lookup, Result, Tick};

pub use config::RedisConfig;
pub use metrics::RedisCacheMetrics;

use cluster::Servers;
use metrics::Counters;
use shared::Shared;

/// Links in a Redis that several nodes share. A cache in process stands in front of it:
/// [`Tiered`](crate::Tiered).
///
/// Redis 7.0 or newer, or what speaks its protocol. Nothing is connected before the first call, and a server
/// that does not answer is a miss: after one deadline it is left out and asked again now and then.
///
/// One key for each code holds a lease or an entry. A miss takes its lease by `SET … NX GET` with a random
/// nonce, which other readers share; a fill compares the nonce and stores in one step, in a script; an
/// invalidation removes the key. So a fill whose lease was voided, has ended or was evicted finds no nonce and
/// is dropped. All keys begin with the `run_id` of the server's process: one that was restarted, or has taken
/// over, begins empty, whatever old entries it holds.
///
/// Entries end by the server's clock. An end may be late by as long as the entry was on its way to the server,
/// at most the deadline of a call while the server answers.
///
/// ```no_run
/// use linkly_cache::RedisCache;
///
/// let cache = RedisCache::open("redis://127.0.0.1")?;
/// # Ok::<(), linkly_core::Error>(())
/// ```
#[derive(Debug)]
pub struct RedisCache {
    shared: Shared,
    counters: Counters,
}

impl RedisCache {
    /// A cache on the server at `redis://user:password@host:port/database`, or `unix:///path`, with the
    /// defaults. With the feature `redis-tls` also `rediss://…`, which trusts what the system trusts; for another
    /// root, or a certificate of the client's own, give a [client](Self::new). Does no I/O.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`](linkly_core::Error::Backend) when the URL is none.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_with(url, RedisConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput) when a
    /// setting makes no sense.
    pub fn open_with(url: &str, config: RedisConfig) -> Result<Self> {
        Self::new_with(&redis::Client::open(url).map_err(error::map)?, config)
    }

    /// A cache over the app's own client, with a connection of its own and the defaults. Does no I/O.
    ///
    /// Of the client come the address, the user, the database and the TLS settings. A `ConnectionManager` is
    /// not taken: it connects again in the midst of things, and then nobody can tell whether it is still the
    /// same server that answers.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`](linkly_core::Error::Backend) when the client's settings contradict each other.
    pub fn new(client: &redis::Client) -> Result<Self> {
        Self::new_with(client, RedisConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput) when a
    /// setting makes no sense.
    pub fn new_with(client: &redis::Client, config: RedisConfig) -> Result<Self> {
        let epoch_key = config.epoch_key();
        Ok(Self::on(Shared::new(Servers::one(client, config)?, epoch_key)))
    }

    /// A cache on a Redis Cluster that is found by way of any of these nodes, with the defaults. Does no I/O.
    ///
    /// Each code is on the master that holds its slot, and a call goes to all masters it concerns at once. The codes
    /// of a node that fails are misses; the others are answered as long as the node with the cache's own key is
    /// there. While a slot is moved to another node its codes are misses too.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput) without a node.
    pub fn open_cluster(urls: &[&str]) -> Result<Self> {
        Self::open_cluster_with(urls, RedisConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`open_with`](Self::open_with), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput)
    /// without a node.
    pub fn open_cluster_with(urls: &[&str], config: RedisConfig) -> Result<Self> {
        let seeds = urls.iter().map(|url| redis::Client::open(*url)).collect::<Result<Vec<_>, _>>();
        Self::new_cluster_with(seeds.map_err(error::map)?, config)
    }

    /// The same over the app's own clients of some nodes. The user, the database and the TLS settings of the first
    /// are also those for nodes that are not among them.
    ///
    /// # Errors
    ///
    /// Those of [`new_with`](Self::new_with), and [`Error::InvalidInput`](linkly_core::Error::InvalidInput)
    /// without a node.
    pub fn new_cluster_with(seeds: Vec<redis::Client>, config: RedisConfig) -> Result<Self> {
        let epoch_key = config.epoch_key();
        Ok(Self::on(Shared::new(Servers::cluster(seeds, config)?, epoch_key)))
    }

    fn on(shared: Shared) -> Self {
        Self { shared, counters: Counters::default() }
    }

    /// What was counted since it was made. Where the cache goes into a [`Tiered`](crate::Tiered) and that into an
    /// engine, keep an [`Arc`](std::sync::Arc) of it, which is a cache too.
    pub fn metrics(&self) -> RedisCacheMetrics {
        self.counters.snapshot(self.shared.left_out())
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.shared.call(
            codes,
            |code| code,
            |session, scope, codes| async move { session.look_up(&scope, &codes, now).await },
        );
        let mut lookups = vec![Lookup::default(); codes.len()];
        for part in self.counters.watch(call.await)? {
            // A miss where a node of a cluster fails.
            for (at, lookup) in part.places.into_iter().zip(part.answer.unwrap_or_default()) {
                lookups[at] = lookup;
            }
        }
        self.counters.looked_up(&lookups);
        Ok(lookups)
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        if fills.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.shared.call(
            &fills,
            |(lease, _)| lease.code(),
            |session, scope, fills| async move { session.fill(&scope, &fills, now).await },
        );
        let mut answers = vec![Filled::Voided; fills.len()];
        for part in self.counters.watch(call.await)? {
            for (at, filled) in part.places.into_iter().zip(part.answer.unwrap_or_default()) {
                answers[at] = filled;
            }
        }
        self.counters.filled(&answers);
        Ok(answers)
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        if codes.is_empty() {
            return Ok(());
        }
        let call = self.shared.call(
            codes,
            |code| code,
            |session, scope, codes| async move { session.invalidate(&scope, &codes).await },
        );
        for part in self.counters.watch(call.await)? {
            self.counters.watch(part.answer.map_err(Error::from))?;
        }
        self.counters.invalidated(codes.len());
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        let call = self.shared.call_holder(|session, _| async move { session.clear().await });
        self.counters.watch(call.await)?;
        self.counters.cleared();
        Ok(())
    }

    /// Nothing is in this process's memory.
    async fn forget(&self, _codes: &[Code]) -> Result<()> {
        Ok(())
    }

    async fn forget_all(&self) -> Result<()> {
        Ok(())
    }

    async fn position(&self) -> Result<Option<ChangeCursor>> {
        let call = self.shared.call_holder(|session, scope| async move { session.position(&scope).await });
        self.counters.watch(call.await)
    }

    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        let call = self.shared.call_holder(|session, scope| async move { session.advance(&scope, from, to).await });
        self.counters.watch(call.await)
    }
}
