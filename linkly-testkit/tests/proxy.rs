//! What a proxy does to the connections of a Redis.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use linkly_testkit::{Postgres, Proxy, Redis, eventually, psql};

const PATIENCE: Duration = Duration::from_secs(60);

struct Client(BufReader<TcpStream>);

impl Client {
    fn of(proxy: &Proxy) -> Self {
        let stream = TcpStream::connect(proxy.address()).expect("the proxy lets it in");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self(BufReader::new(stream))
    }

    /// `None` when the connection has been cut.
    fn ask(&mut self, command: &str) -> Option<String> {
        write!(self.0.get_mut(), "{command}\r\n").ok()?;
        let mut answer = String::new();
        match self.0.read_line(&mut answer) {
            Ok(0) => None,
            Ok(_) => Some(answer.trim_end().to_owned()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither an answer nor a cut: {error}"),
        }
    }
}

fn redis_and_proxy() -> (Redis, Proxy) {
    let redis = Redis::start();
    let proxy = Proxy::in_front_of(redis.address());
    (redis, proxy)
}

fn length_of(redis: &Redis, key: &str) -> Option<String> {
    Client::of(&Proxy::in_front_of(redis.address())).ask(&format!("STRLEN {key}"))
}

#[test]
fn a_proxy_forwards() {
    let (redis, proxy) = redis_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("INCR n").as_deref(), Some(":1"));
    assert_eq!(client.ask("INCR n").as_deref(), Some(":2"));
    assert_eq!(proxy.url(redis.url()), format!("redis://{}", proxy.address()));
}

#[test]
fn a_cut_ends_the_connections_there_are_and_no_later_one() {
    let (_redis, proxy) = redis_and_proxy();
    let mut clients = [Client::of(&proxy), Client::of(&proxy)];
    for client in &mut clients {
        assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    }
    proxy.cut();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), None);
    }
    assert_eq!(Client::of(&proxy).ask("PING").as_deref(), Some("+PONG"));
}

#[test]
fn a_request_that_is_cut_off_from_its_answer_has_been_done() {
    let (redis, proxy) = redis_and_proxy();
    let [mut one, mut other] = [Client::of(&proxy), Client::of(&proxy)];
    proxy.cut_before_answer(3);
    assert_eq!(one.ask("APPEND word a").as_deref(), Some(":1"));
    assert_eq!(other.ask("APPEND word b").as_deref(), Some(":2"));
    assert_eq!(proxy.cuts(), 0);
    assert_eq!(one.ask("APPEND word c"), None);
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(length_of(&redis, "word").as_deref(), Some(":3"));
    assert_eq!(other.ask("APPEND word d").as_deref(), Some(":4"));
    assert_eq!(proxy.cuts(), 1);
}

#[test]
fn a_commit_that_is_cut_off_from_its_answer_has_been_done() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE kept (n int)");
    let proxy = Proxy::in_front_of(postgres.address());
    let url = proxy.url(postgres.url());
    // The start of a connection is three requests: hello, and two for the password.
    proxy.cut_before_answer(4);
    let lost = psql(&format!("{url}?sslmode=disable&gssencmode=disable"), "INSERT INTO kept VALUES (1)");
    assert!(lost.as_ref().is_err_and(|error| error.contains("server closed the connection")), "{lost:?}");
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(postgres.sql("SELECT n FROM kept"), "1");
}

#[test]
fn dropped_answers_leave_clients_waiting_and_end_their_connections() {
    let (redis, proxy) = redis_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    proxy.drop_answers();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.ask("SET word abc"));
        eventually("a dropped answer", || proxy.drops() == 1);
        assert_eq!(length_of(&redis, "word").as_deref(), Some(":3"));
        assert!(!waiting.is_finished());
        proxy.resume();
        assert_eq!(waiting.join().expect("no panic"), None);
    });
    assert_eq!(Client::of(&proxy).ask("PING").as_deref(), Some("+PONG"));
}

#[test]
fn answers_are_delayed_until_they_are_not() {
    let (_redis, proxy) = redis_and_proxy();
    let mut client = Client::of(&proxy);
    let delay = Duration::from_millis(150);
    proxy.delay(delay);
    let asked = Instant::now();
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    assert!(asked.elapsed() >= delay);
    proxy.delay(Duration::from_secs(3_600));
    proxy.resume();
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
}

#[test]
fn new_connections_are_refused_until_they_are_not() {
    let (_redis, proxy) = redis_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    proxy.refuse();
    proxy.refuse();
    let refusal = TcpStream::connect(proxy.address()).expect_err("it refuses");
    assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    proxy.resume();
    assert_eq!(Client::of(&proxy).ask("PING").as_deref(), Some("+PONG"));
}

#[test]
fn a_server_that_is_away_costs_the_client_its_connection_and_no_more() {
    let (redis, proxy) = redis_and_proxy();
    redis.stop();
    assert_eq!(Client::of(&proxy).ask("PING"), None);
    redis.restart();
    assert_eq!(Client::of(&proxy).ask("PING").as_deref(), Some("+PONG"));
}

#[test]
fn nobody_listens_when_the_proxy_is_dropped() {
    let (_redis, proxy) = redis_and_proxy();
    let mut client = Client::of(&proxy);
    assert_eq!(client.ask("PING").as_deref(), Some("+PONG"));
    let address = proxy.address();
    drop(proxy);
    assert_eq!(client.ask("PING"), None);
    assert_eq!(TcpStream::connect(address).expect_err("it is gone").kind(), ErrorKind::ConnectionRefused);
    let (_redis, refusing) = redis_and_proxy();
    refusing.refuse();
    drop(refusing);
}
