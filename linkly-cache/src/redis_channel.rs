//! How nodes tell each other what was written, by way of a Redis.

mod config;
mod link;
mod message;
mod metrics;
mod outbox;
mod peers;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Channel, Code, Error, Listener, Result};
use redis::Client;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

pub use config::RedisChannelConfig;
pub use metrics::RedisChannelMetrics;

use crate::redis_cache::error;
use message::{Kind, Writer};
use metrics::Counters;
use outbox::Outbox;

/// How long [`close`](Channel::close) waits for what is still to be sent.
const CLOSING: Duration = Duration::from_secs(2);

/// Tells the nodes of an app of each other's writes within milliseconds, by publishing them on a channel of a Redis
/// or a Redis Cluster.
///
/// It goes into `Linkly::builder(store).channel(channel)`, whatever cache there is: it is of use in front of a shared
/// cache, and also where nodes share nothing but the store. Every node has one, with the same prefix.
///
/// Redis forgets a message when it has sent it, so nothing is certain to arrive. Each message has its sender's number
/// in a sequence, and a heartbeat says every second what the last one was. Who is missing one, has begun to
/// hear, or hears nothing of another node for three heartbeats drops all that is in this process's memory, and
/// nothing else. How old an answer can be while the channel is down is the change log's to bound.
///
/// Nothing is connected before the engine starts. A connection that is lost is made anew, after a pause of at most
/// two seconds.
///
/// ```no_run
/// use linkly_cache::RedisChannel;
///
/// let channel = RedisChannel::open("redis://127.0.0.1")?;
/// # Ok::<(), linkly_core::Error>(())
/// ```
pub struct RedisChannel {
    shared: Arc<Shared>,
    started: AtomicBool,
}

/// What the channel and its task share.
struct Shared {
    /// Any of them will do: what is published on one node of a cluster reaches the subscribers of all.
    servers: Vec<Client>,
    config: RedisChannelConfig,
    writer: Writer,
    outbox: Outbox,
    counters: Counters,
    connected: watch::Sender<bool>,
    closing: watch::Sender<bool>,
}

impl RedisChannel {
    /// A channel on the server at this URL, with the defaults. URLs are those of
    /// [`RedisCache::open`](crate::RedisCache::open). Does no I/O.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when the URL is none.
    pub fn open(url: &str) -> Result<Self> {
        Self::open_with(url, RedisChannelConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Error::InvalidInput`] when a setting makes no sense.
    pub fn open_with(url: &str, config: RedisChannelConfig) -> Result<Self> {
        Self::open_cluster_with(&[url], config)
    }

    /// A channel over the app's own client, with two connections of its own and the defaults. Does no I/O.
    ///
    /// # Errors
    ///
    /// [`Error::Backend`] when the client's settings contradict each other.
    pub fn new(client: &Client) -> Result<Self> {
        Self::new_with(client, RedisChannelConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`Error::InvalidInput`] when a setting makes no sense.
    pub fn new_with(client: &Client, config: RedisChannelConfig) -> Result<Self> {
        Self::new_cluster_with(vec![client.clone()], config)
    }

    /// A channel on a Redis Cluster, by way of one of these nodes, and of another when that one is gone. Does no I/O.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and [`Error::InvalidInput`] without a node.
    pub fn open_cluster(urls: &[&str]) -> Result<Self> {
        Self::open_cluster_with(urls, RedisChannelConfig::default())
    }

    /// The same with these settings.
    ///
    /// # Errors
    ///
    /// Those of [`open_with`](Self::open_with), and [`Error::InvalidInput`] without a node.
    pub fn open_cluster_with(urls: &[&str], config: RedisChannelConfig) -> Result<Self> {
        let servers = urls.iter().map(|url| Client::open(*url)).collect::<Result<Vec<_>, _>>();
        Self::new_cluster_with(servers.map_err(error::map)?, config)
    }

    /// The same over the app's own clients of some nodes.
    ///
    /// # Errors
    ///
    /// Those of [`new_with`](Self::new_with), and [`Error::InvalidInput`] without a node.
    pub fn new_cluster_with(servers: Vec<Client>, config: RedisChannelConfig) -> Result<Self> {
        config.check()?;
        if servers.is_empty() {
            return Err(Error::invalid("servers", "a channel is on one server at least"));
        }
        let servers = servers.into_iter().map(|server| without_delay(&server)).collect::<Result<_>>()?;
        let shared = Shared {
            servers,
            // Drawn at each start: a process that comes back is another sender.
            writer: Writer::new(rand::random(), config.heartbeat()),
            config,
            outbox: Outbox::default(),
            counters: Counters::default(),
            connected: watch::Sender::new(false),
            closing: watch::Sender::new(false),
        };
        Ok(Self { shared: Arc::new(shared), started: AtomicBool::new(false) })
    }

    /// Returns once the channel hears and speaks, at once if it does already: for a check of readiness.
    pub async fn connected(&self) {
        // An error means that the sender is gone, which this holds.
        let _ = self.shared.connected.subscribe().wait_for(|connected| *connected).await;
    }

    /// What was counted since it was made.
    pub fn metrics(&self) -> RedisChannelMetrics {
        self.shared.counters.snapshot(*self.shared.connected.borrow(), self.shared.outbox.len())
    }
}

#[async_trait]
impl Channel for RedisChannel {
    fn start(&self, listener: Weak<dyn Listener>, runtime: &Handle) -> Result<()> {
        if self.started.swap(true, Ordering::Relaxed) {
            return Err(Error::invalid("channel", "it was started before: each engine has one of its own"));
        }
        runtime.spawn(link::run(self.shared.clone(), listener));
        Ok(())
    }

    fn announce(&self, codes: &[Code]) {
        self.shared.say(&message::split(codes));
    }

    fn announce_all(&self) {
        self.shared.say(&[Kind::Everything]);
    }

    async fn close(&self) {
        self.shared.closing.send_replace(true);
        let mut connected = self.shared.connected.subscribe();
        // An error means that it takes too long: it ends by itself then.
        let _ = timeout(CLOSING, connected.wait_for(|connected| !connected)).await;
    }
}

impl Shared {
    fn say(&self, what: &[Kind]) {
        let dropped = self.outbox.put(what.iter().map(|kind| move |number| self.writer.write(kind, number)));
        self.counters.dropped(dropped);
    }
}

/// The task ends, and says so to the others.
impl Drop for RedisChannel {
    fn drop(&mut self) {
        self.shared.closing.send_replace(true);
    }
}

/// Without the password that a client has.
impl fmt::Debug for RedisChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisChannel")
            .field("config", &self.shared.config)
            .field("connected", &*self.shared.connected.borrow())
            .finish_non_exhaustive()
    }
}

/// Off by default, which would hold back each small command until the one before is acknowledged.
fn without_delay(client: &Client) -> Result<Client> {
    let info = client.get_connection_info().clone();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Client::open(info.set_tcp_settings(tcp)).map_err(error::map)
}
