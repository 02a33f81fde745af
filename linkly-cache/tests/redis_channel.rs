//! Nodes that tell each other what was written: by way of one Redis, of a cluster, and while either fails.
//!
//! The change log is read by none of them, so whatever is seen was told on the channel.

#![cfg(all(feature = "memory", feature = "redis"))]

mod support;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use linkly_cache::redis::{self, aio::MultiplexedConnection};
use linkly_cache::{MemoryCache, RedisCache, RedisChannel, RedisChannelConfig, RedisChannelMetrics, Tiered};
use linkly_core::{Cache, Channel, Config, LinkPatch, Linkly, MemoryStore, NewLink, NoCache, Resolution};
use linkly_testkit::{Proxy, Redis, RedisCluster};
use support::{PATIENT, connect, patient};

const ONE: &str = "https://example.com/1";
const TWO: &str = "https://example.com/2";
/// Longer than any test takes: nothing is noticed by a heartbeat.
const NEVER: Duration = Duration::from_secs(60);
const USUAL: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(200);

struct Node {
    linkly: Linkly,
    channel: Arc<RedisChannel>,
}

fn settings(prefix: &str, heartbeat: Duration) -> RedisChannelConfig {
    RedisChannelConfig::new().with_prefix(prefix).with_heartbeat(heartbeat)
}

async fn start(store: &MemoryStore, cache: impl Cache, channel: RedisChannel) -> Node {
    let channel = Arc::new(channel);
    let config = Config::default().with_poll_changes(Duration::ZERO);
    let builder = Linkly::builder(store.clone()).cache(cache).channel(channel.clone()).config(config);
    Node { linkly: builder.start().await.unwrap(), channel }
}

/// With a cache in its own memory, and nothing that is shared but the store.
async fn node(store: &MemoryStore, url: &str, config: RedisChannelConfig) -> Node {
    let node = start(store, MemoryCache::new(), RedisChannel::open_with(url, config).unwrap()).await;
    node.channel.connected().await;
    node
}

impl Node {
    async fn resolved(&self) -> Option<String> {
        match self.linkly.resolve("a").await.unwrap() {
            Resolution::Found(target) => Some(target.url().to_owned()),
            _ => None,
        }
    }

    async fn update(&self, url: &str) {
        self.linkly.update("a", LinkPatch::new().with_url(url)).await.unwrap();
    }

    fn metrics(&self) -> RedisChannelMetrics {
        self.channel.metrics()
    }

    /// Resolves until the link leads there: how long it took.
    async fn until_resolved(&self, url: &str) -> Duration {
        let start = Instant::now();
        while self.resolved().await.as_deref() != Some(url) {
            assert!(start.elapsed() < PATIENT, "not {url} within {PATIENT:?}: {:?}", self.metrics());
            tokio::task::yield_now().await;
        }
        start.elapsed()
    }

    async fn until(&self, what: &str, holds: impl Fn(RedisChannelMetrics) -> bool) {
        let deadline = Instant::now() + PATIENT;
        while !holds(self.metrics()) {
            assert!(Instant::now() < deadline, "not within {PATIENT:?}: {what}: {:?}", self.metrics());
            tokio::task::yield_now().await;
        }
    }
}

/// Two nodes that hear each other, and have the link in their memory.
async fn met(one: &Node, two: &Node) {
    for node in [one, two] {
        node.until("the other is heard", |metrics| metrics.peers == 1).await;
    }
    created(one, two).await;
}

/// The link is in the memory of both.
async fn created(one: &Node, two: &Node) {
    one.linkly.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    two.until("it has heard of the link", |metrics| metrics.codes == 1).await;
    for node in [one, two] {
        assert_eq!(node.resolved().await.as_deref(), Some(ONE));
    }
}

async fn publish(server: &mut MultiplexedConnection, prefix: &str, message: &[u8]) {
    let heard: usize =
        redis::cmd("PUBLISH").arg(format!("{prefix}invalidations")).arg(message).query_async(server).await.unwrap();
    assert!(heard > 0, "nobody listens");
}

/// A message of a node that is none, as the format has it.
fn message(kind: u8, number: u64, rest: &[u8]) -> Vec<u8> {
    [&[1, kind][..], &7_u64.to_be_bytes(), &number.to_be_bytes(), &60_000_u32.to_be_bytes(), rest].concat()
}

#[tokio::test]
async fn a_write_on_one_node_is_dropped_by_the_other_at_once() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let one = node(&store, redis.url(), settings(&prefix, USUAL)).await;
    let two = node(&store, redis.url(), settings(&prefix, USUAL)).await;
    met(&one, &two).await;
    let clears = two.metrics().clears;
    let mut took = Vec::new();
    for n in 0..20 {
        let url = format!("https://example.com/{n}/next");
        one.update(&url).await;
        took.push(two.until_resolved(&url).await);
    }
    took.sort();
    assert!(took[10] < Duration::from_millis(100), "the median of {took:?}");
    one.linkly.delete("a").await.unwrap();
    two.until("it has heard of the delete", |metrics| metrics.codes == 22).await;
    assert_eq!(two.resolved().await, None);
    let metrics = two.metrics();
    assert_eq!((metrics.clears, metrics.gaps, metrics.silences), (clears, 0, 0), "one code was dropped each time");
    assert_eq!((one.metrics().sent, one.metrics().codes, one.metrics().clears), (22, 0, 1), "its own it does not obey");
    one.linkly.invalidate_all().await.unwrap();
    two.until("everything is dropped", |metrics| metrics.cleared_by_others == 1).await;
    assert_eq!(two.linkly.metrics().cleared, clears + 1);
}

#[tokio::test]
async fn in_front_of_a_shared_cache_too() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let tiered = || {
        let far = RedisCache::open_with(redis.url(), patient(&prefix)).unwrap();
        Tiered::new(MemoryCache::new(), far)
    };
    let open = || RedisChannel::open_with(redis.url(), settings(&prefix, SOON)).unwrap();
    let (one, two) = (start(&store, tiered(), open()).await, start(&store, tiered(), open()).await);
    met(&one, &two).await;
    for n in 0..20 {
        let url = format!("https://example.com/{n}/next");
        one.update(&url).await;
        two.until_resolved(&url).await;
    }
    assert_eq!((two.metrics().codes, two.metrics().gaps), (21, 0));
    support::delete(redis.url(), &prefix, false).await;
}

#[tokio::test]
async fn by_way_of_any_node_of_a_cluster_and_of_another_when_that_one_is_gone() {
    let (store, cluster) = (MemoryStore::new(), RedisCluster::start());
    let [first, second, third] = cluster.nodes() else { panic!("there are three") };
    let open = |urls: &[&str]| RedisChannel::open_cluster_with(urls, settings("", SOON)).unwrap();
    let one = start(&store, MemoryCache::new(), open(&[first.url()])).await;
    let two = start(&store, MemoryCache::new(), open(&[second.url(), third.url()])).await;
    met(&one, &two).await;
    let codes = two.metrics().codes;
    one.update(TWO).await;
    two.until_resolved(TWO).await;
    assert_eq!(two.metrics().codes, codes + 1);
    second.kill();
    two.until("it is connected to another", |metrics| metrics.connections == 2 && metrics.peers == 1).await;
    one.update(ONE).await;
    two.until("it has heard of it", |metrics| metrics.codes > codes + 1).await;
    assert_eq!(two.resolved().await.as_deref(), Some(ONE));
}

#[tokio::test]
async fn many_codes_at_once_are_all_dropped() {
    let redis = Redis::shared();
    let prefix = redis.new_prefix();
    let store = MemoryStore::new();
    let one = node(&store, redis.url(), settings(&prefix, SOON)).await;
    let two = node(&store, redis.url(), settings(&prefix, SOON)).await;
    met(&one, &two).await;
    let codes: Vec<_> = (0..20_000).map(|n| support::code(&format!("c{n}"))).collect();
    one.channel.announce(&codes);
    two.until("all are heard", |metrics| metrics.codes == 20_001).await;
    assert!(one.metrics().sent > 5 && two.metrics().gaps == 0);
}

#[tokio::test]
async fn a_message_that_is_missing_is_noticed_by_the_next_and_by_a_heartbeat() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let node = node(&store, redis.url(), settings(&prefix, NEVER)).await;
    let mut server = connect(redis.url()).await;
    let [codes, everything, heartbeat, farewell] = [1, 2, 3, 4];
    // What another node has written meanwhile is in none of the messages.
    for (n, (kind, number, gaps)) in [
        (heartbeat, 0, 0),
        (codes, 1, 0),
        (codes, 3, 1),
        (heartbeat, 3, 1),
        (heartbeat, 4, 2),
        (everything, 6, 3),
        (farewell, 7, 4),
        (farewell, 0, 4),
    ]
    .into_iter()
    .enumerate()
    {
        publish(&mut server, &prefix, &message(kind, number, b"")).await;
        node.until("the message is heard", |metrics| metrics.received == n as u64 + 1).await;
        node.until("the gap is noticed", |metrics| metrics.gaps == gaps).await;
        assert_eq!(node.linkly.metrics().cleared, 1 + gaps, "message {n}");
    }
}

#[tokio::test]
async fn messages_that_there_is_no_room_for_are_noticed_as_missing() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let proxy = Proxy::in_front_of(redis.address());
    let one = node(&store, &proxy.url(redis.url()), settings(&prefix, NEVER)).await;
    let two = node(&store, redis.url(), settings(&prefix, NEVER)).await;
    created(&one, &two).await;
    proxy.refuse();
    proxy.cut();
    for _ in 0..2_000 {
        one.channel.announce(&[support::code("b")]);
    }
    one.update(TWO).await;
    assert_eq!(two.resolved().await.as_deref(), Some(ONE), "it cannot know");
    assert!(one.metrics().dropped > 900 && one.metrics().waiting > 1_000, "{:?}", one.metrics());
    proxy.resume();
    two.until_resolved(TWO).await;
    assert_eq!((two.metrics().gaps, two.metrics().silences), (1, 0));
}

#[tokio::test]
async fn a_node_that_was_cut_off_drops_everything_when_it_hears_again() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let proxy = Proxy::in_front_of(redis.address());
    let one = node(&store, redis.url(), settings(&prefix, NEVER)).await;
    let two = node(&store, &proxy.url(redis.url()), settings(&prefix, NEVER)).await;
    created(&one, &two).await;
    proxy.refuse();
    proxy.cut();
    two.until("it has noticed", |metrics| !metrics.connected && metrics.errors > 0).await;
    one.update(TWO).await;
    assert_eq!(two.resolved().await.as_deref(), Some(ONE), "its memory goes on answering");
    proxy.resume();
    two.until("it is connected again", |metrics| metrics.connected).await;
    assert_eq!(two.resolved().await.as_deref(), Some(TWO), "and before that it has dropped everything");
}

#[tokio::test]
async fn a_node_that_is_not_heard_any_more_is_noticed_and_one_that_has_left_is_not() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let proxy = Proxy::in_front_of(redis.address());
    let one = node(&store, &proxy.url(redis.url()), settings(&prefix, SOON)).await;
    let two = node(&store, redis.url(), settings(&prefix, SOON)).await;
    met(&one, &two).await;
    proxy.refuse();
    proxy.cut();
    one.update(TWO).await;
    two.until_resolved(TWO).await;
    let metrics = two.metrics();
    assert_eq!((metrics.silences, metrics.peers, metrics.connected), (1, 0, true));
    proxy.resume();
    two.until("it is heard again", |metrics| metrics.peers == 1).await;
    one.linkly.shutdown(PATIENT).await;
    two.until("it has left", |metrics| metrics.peers == 0).await;
    assert_eq!(two.metrics().silences, 1);
}

#[tokio::test]
async fn while_redis_hangs_nodes_go_on_and_when_it_is_back_nothing_old_is_served() {
    let (store, redis) = (MemoryStore::new(), Redis::start());
    let impatient = settings("", SOON).with_timeout(SOON).with_connect_timeout(SOON);
    let one = node(&store, redis.url(), impatient.clone()).await;
    let two = node(&store, redis.url(), impatient).await;
    met(&one, &two).await;
    redis.pause();
    for node in [&one, &two] {
        node.until("it has noticed", |metrics| !metrics.connected).await;
    }
    let start = Instant::now();
    one.update(TWO).await;
    assert!(start.elapsed() < PATIENT, "a write does not wait for the channel");
    assert_eq!(one.resolved().await.as_deref(), Some(TWO));
    assert_eq!(two.resolved().await.as_deref(), Some(ONE));
    redis.resume();
    two.until("it is connected again", |metrics| metrics.connected).await;
    assert_eq!(two.resolved().await.as_deref(), Some(TWO));
    for node in [&one, &two] {
        node.until("the other is heard again", |metrics| metrics.connected && metrics.peers == 1).await;
    }
    one.update(ONE).await;
    two.until_resolved(ONE).await;
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_used_again() {
    let (store, redis) = (MemoryStore::new(), Redis::start());
    let one = node(&store, redis.url(), settings("", SOON)).await;
    let two = node(&store, redis.url(), settings("", SOON)).await;
    met(&one, &two).await;
    redis.kill();
    one.update(TWO).await;
    redis.restart();
    two.until_resolved(TWO).await;
    for node in [&one, &two] {
        node.until("the other is heard again", |metrics| metrics.connected && metrics.peers == 1).await;
    }
    let codes = two.metrics().codes;
    one.update(ONE).await;
    two.until("it has heard of it", |metrics| metrics.codes > codes).await;
    assert_eq!(two.resolved().await.as_deref(), Some(ONE));
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_is_sent_again_and_obeyed_once() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let proxy = Proxy::in_front_of(redis.address());
    let one = node(&store, &proxy.url(redis.url()), settings(&prefix, NEVER)).await;
    let two = node(&store, redis.url(), settings(&prefix, NEVER)).await;
    created(&one, &two).await;
    one.until("it has been acknowledged", |metrics| metrics.waiting == 0).await;
    proxy.cut_before_answer(1);
    one.update(TWO).await;
    two.until_resolved(TWO).await;
    one.until("it has been acknowledged", |metrics| metrics.waiting == 0 && metrics.connections == 2).await;
    two.until("it was heard twice", |metrics| metrics.received >= 4).await;
    assert_eq!((two.metrics().codes, two.metrics().gaps), (2, 0));
}

#[tokio::test]
async fn strangers_on_the_channel_harm_nothing() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let one = node(&store, redis.url(), settings(&prefix, SOON)).await;
    let two = node(&store, redis.url(), settings(&prefix, SOON)).await;
    met(&one, &two).await;
    let clears = two.metrics().clears;
    let mut server = connect(redis.url()).await;
    for foreign in [&b""[..], b"hello", &[2; 22], &[0xff; 100_000]] {
        publish(&mut server, &prefix, foreign).await;
    }
    two.until("all are heard", |metrics| metrics.foreign == 4).await;
    assert_eq!(two.metrics().clears, clears, "another release says nothing to this one");
    for damaged in [message(9, 1, b""), message(1, 1, &[0, 200, b'x']), message(1, 1, b"\0\x01/"), vec![1]] {
        publish(&mut server, &prefix, &damaged).await;
    }
    two.until("all are heard", |metrics| metrics.damaged == 4).await;
    assert_eq!(two.metrics().clears, clears + 4, "what is damaged may have been about any link");
    one.update(TWO).await;
    two.until_resolved(TWO).await;
    assert!(two.metrics().connected && two.metrics().errors == 0);
}

#[tokio::test]
async fn two_apps_on_one_redis_do_not_hear_each_other() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefixes = [redis.new_prefix(), redis.new_prefix()];
    let one = node(&store, redis.url(), settings(&prefixes[0], USUAL)).await;
    let two = node(&store, redis.url(), settings(&prefixes[0], USUAL)).await;
    let other = node(&store, redis.url(), settings(&prefixes[1], SOON)).await;
    met(&one, &two).await;
    other.linkly.invalidate("a").await.unwrap();
    other.until("it was sent", |metrics| metrics.sent == 1).await;
    let received = two.metrics().received;
    two.until("more is heard", |metrics| metrics.received > received + 1).await;
    assert_eq!((two.metrics().codes, two.metrics().peers), (1, 1));
    assert_eq!((other.metrics().received, other.metrics().peers), (0, 0));
}

#[tokio::test]
async fn a_channel_ends_with_its_engine_whether_it_was_shut_down_or_dropped() {
    let (store, redis) = (MemoryStore::new(), Redis::shared());
    let prefix = redis.new_prefix();
    let mut server = connect(redis.url()).await;
    let name = format!("{prefix}invalidations");
    let mut subscribers = async || {
        let (_, count): (String, usize) =
            redis::cmd("PUBSUB").arg("NUMSUB").arg(&name).query_async(&mut server).await.unwrap();
        count
    };
    for shut_down in [true, false] {
        let node = node(&store, redis.url(), settings(&prefix, SOON)).await;
        assert_eq!(subscribers().await, 1);
        // What waits is still sent.
        node.linkly.invalidate("a").await.unwrap();
        let channel = node.channel;
        if shut_down {
            node.linkly.shutdown(PATIENT).await;
            assert_eq!((channel.metrics().connected, channel.metrics().waiting), (false, 0));
        }
        drop(node.linkly);
        let deadline = Instant::now() + PATIENT;
        while subscribers().await > 0 {
            assert!(Instant::now() < deadline, "it still listens, shut down: {shut_down}");
        }
    }
}

#[tokio::test]
async fn nothing_is_connected_before_the_start_and_a_server_that_is_down_holds_nothing_up() {
    let redis = Redis::start();
    redis.kill();
    let channel = RedisChannel::open_with(redis.url(), settings("", SOON)).unwrap();
    let node = start(&MemoryStore::new(), NoCache, channel).await;
    node.linkly.create(NewLink::new(ONE).with_code("a")).await.unwrap();
    assert_eq!(node.resolved().await.as_deref(), Some(ONE));
    node.until("it has tried", |metrics| metrics.errors > 1).await;
    {
        let mut connected = Box::pin(node.channel.connected());
        poll_fn(|context| {
            assert!(connected.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }
    redis.restart();
    node.channel.connected().await;
    node.until("what waited was sent", |metrics| metrics.sent == 1).await;
}

#[tokio::test]
async fn an_engine_of_its_own_for_each_channel() {
    let redis = Redis::shared();
    let store = MemoryStore::new();
    let node = node(&store, redis.url(), settings(&redis.new_prefix(), SOON)).await;
    let twice = Linkly::builder(store).channel(node.channel.clone()).start().await.unwrap_err();
    assert!(twice.to_string().contains("it was started before"), "{twice}");
    assert!(RedisChannel::open("not a url").is_err());
    assert!(RedisChannel::open_cluster(&[]).is_err());
}
