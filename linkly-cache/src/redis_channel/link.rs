//! The channel's task: connects, hears and speaks until the connection is lost, and connects again.
//!
//! There are two connections, since one that is subscribed takes no other commands. They are made and given up
//! together: whether the one that is heard still leads anywhere is known by what this node itself says.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, select};
use linkly_core::{Backoff, Error, Listener};
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSubStream};
use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::Shared;
use super::message::{self, Kind, Unreadable};
use super::metrics::Clear;
use super::outbox::First;
use super::peers::{Heard, Peers, Silence};
use crate::redis_cache::error;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The most messages that are published in one round trip.
const AT_ONCE: usize = 64;

/// Why a connection has ended.
enum End {
    /// The channel was closed, or nobody listens any more.
    Closed,
    Failed(Error),
}

pub(super) async fn run(shared: Arc<Shared>, listener: Weak<dyn Listener>) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut down = false;
    for server in shared.servers.iter().cycle() {
        let end = connection(&shared, server, &listener, || {
            backoff.reset();
            down = false;
        });
        let end = end.await;
        shared.connected.send_replace(false);
        shared.counters.peers(0);
        let End::Failed(error) = end else { return };
        shared.counters.failed();
        // Once, and not with every try.
        if std::mem::replace(&mut down, true) {
            debug!(%error, "the invalidation channel is still down");
        } else {
            warn!(%error, "the invalidation channel is down; the change log tells of other nodes' writes meanwhile");
        }
        let mut closing = shared.closing.subscribe();
        if let Either::Right(_) = select(pin!(sleep(backoff.pause())), pin!(closed(&mut closing))).await {
            return;
        }
        if listener.strong_count() == 0 {
            return;
        }
    }
}

/// Connects, and hears and speaks for as long as that goes well.
async fn connection(shared: &Shared, server: &Client, listener: &Weak<dyn Listener>, connected: impl FnOnce()) -> End {
    let mut closing = shared.closing.subscribe();
    let (heard, spoken) = match select(pin!(open(shared, server)), pin!(closed(&mut closing))).await {
        Either::Left((Ok(opened), _)) => opened,
        Either::Left((Err(error), _)) => return End::Failed(error),
        Either::Right(_) => return End::Closed,
    };
    // What was said before is missed. What is said from now on waits in the subscription.
    if !clear(shared, listener, Clear::Connected).await {
        return End::Closed;
    }
    connected();
    shared.counters.connected();
    shared.connected.send_replace(true);
    info!(channel = shared.config.name(), "the invalidation channel is connected");
    select(pin!(hear(shared, heard, listener)), pin!(speak(shared, spoken))).await.factor_first().0
}

/// Both connections, of which the first is subscribed.
async fn open(shared: &Shared, server: &Client) -> Result<(PubSubStream, MultiplexedConnection), Error> {
    let config = &shared.config;
    #[cfg(feature = "redis-tls")]
    crate::redis_cache::tls::have_a_provider();
    let settings = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(config.connect_timeout()))
        .set_response_timeout(Some(config.timeout()));
    in_time(config.connect_timeout(), async {
        let spoken = server.get_multiplexed_async_connection_with_config(&settings).await?;
        let (mut sink, heard) = server.get_async_pubsub().await?.split();
        sink.subscribe(config.name()).await?;
        Ok((heard, spoken))
    })
    .await
}

async fn hear(shared: &Shared, mut heard: PubSubStream, listener: &Weak<dyn Listener>) -> End {
    let mut peers = Peers::new(shared.writer.sender, shared.config.heartbeat(), Instant::now());
    loop {
        // A message that is there comes before a deadline that has passed: what was said in time is no silence, also
        // when this process was held up.
        let message = timeout_at(peers.due(), heard.next()).await;
        let now = Instant::now();
        let living = match message {
            Ok(None) => return End::Failed(Error::unavailable(error::BACKEND, "the subscription has ended")),
            Ok(Some(message)) => obey(shared, &mut peers, message.get_payload_bytes(), now, listener).await,
            Err(_) => match peers.silence(now) {
                Silence { own: true, .. } => {
                    let reason = "what was published did not come back within three heartbeats";
                    return End::Failed(Error::unavailable(error::BACKEND, reason));
                }
                Silence { others: 0, .. } => true,
                Silence { others, .. } => clear(shared, listener, Clear::Silence(others)).await,
            },
        };
        shared.counters.peers(peers.others());
        if !living {
            return End::Closed;
        }
    }
}

/// Does what follows from a message; whether anybody listens.
async fn obey(shared: &Shared, peers: &mut Peers, bytes: &[u8], now: Instant, listener: &Weak<dyn Listener>) -> bool {
    let message = match message::read(bytes) {
        Ok(message) => message,
        Err(Unreadable::Damaged) => return clear(shared, listener, Clear::Damaged).await,
        Err(Unreadable::Foreign) => {
            shared.counters.foreign();
            return true;
        }
    };
    if message.sender != shared.writer.sender {
        shared.counters.received();
    }
    match peers.hear(message, now) {
        Heard::Nothing => listener.strong_count() > 0,
        Heard::Gap => clear(shared, listener, Clear::Gap).await,
        Heard::Everything => clear(shared, listener, Clear::Told).await,
        Heard::Codes(codes) => {
            let Some(listener) = listener.upgrade() else { return false };
            listener.written(&codes).await;
            shared.counters.codes(codes.len());
            true
        }
    }
}

async fn clear(shared: &Shared, listener: &Weak<dyn Listener>, why: Clear) -> bool {
    let Some(listener) = listener.upgrade() else { return false };
    if why != Clear::Connected {
        debug!(?why, "something on the invalidation channel may have been missed");
    }
    listener.missed().await;
    shared.counters.cleared(why);
    true
}

async fn speak(shared: &Shared, mut spoken: MultiplexedConnection) -> End {
    let mut heartbeat = interval(shared.config.heartbeat());
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut closing = shared.closing.subscribe();
    loop {
        let (tick, closed) = (pin!(heartbeat.tick()), pin!(closed(&mut closing)));
        let why = match select(select(tick, closed), pin!(shared.outbox.filled())).await {
            Either::Left((Either::Left(_), _)) => Some(Kind::Heartbeat),
            Either::Left((Either::Right(_), _)) => Some(Kind::Farewell),
            Either::Right(_) => None,
        };
        let First { mut messages, last, is_before_a_gap } = shared.outbox.first(AT_ONCE);
        let count = messages.len();
        let leaving = why == Some(Kind::Farewell) && count < AT_ONCE;
        let behind = match why {
            Some(Kind::Farewell) if leaving => Some(Kind::Farewell),
            Some(Kind::Heartbeat) => why,
            // The others need not wait to learn of it.
            _ => is_before_a_gap.then_some(Kind::Heartbeat),
        };
        messages.extend(behind.map(|kind| shared.writer.write(&kind, last).into()));
        if let Err(error) = publish(shared, &mut spoken, &messages).await {
            return End::Failed(error);
        }
        // Not before, so that what was perhaps not sent is sent again.
        shared.outbox.sent(count);
        shared.counters.sent(count);
        if leaving {
            return End::Closed;
        }
    }
}

async fn publish(shared: &Shared, spoken: &mut MultiplexedConnection, messages: &[Arc<[u8]>]) -> Result<(), Error> {
    let mut commands = Pipeline::with_capacity(messages.len());
    for message in messages {
        commands.cmd("PUBLISH").arg(shared.config.name()).arg(&message[..]);
    }
    in_time(shared.config.timeout(), async {
        for answer in spoken.req_packed_commands(&commands, 0, messages.len()).await? {
            answer.extract_error()?;
        }
        Ok(())
    })
    .await
}

async fn in_time<T>(deadline: Duration, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, Error> {
    match timeout(deadline, call).await {
        Ok(outcome) => outcome.map_err(error::map),
        Err(_) => Err(error::late(deadline)),
    }
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the channel is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}
