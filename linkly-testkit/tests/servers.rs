//! What can be done to a server, tried on each.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use linkly_testkit::{PgBouncer, PoolMode, Postgres, Redis, Server, Sqld};

/// What a Postgres answers before anybody has logged in: whether it would like TLS.
const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const PING: &[u8] = b"PING\r\n";
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Sends a request on a new connection and returns whether anything came back in time.
fn ask(server: &Server, request: &[u8], within: Duration) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&server.address(), within)?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(request)?;
    stream.read_exact(&mut [0])
}

/// Does to a server all that can be done; `request` is anything it answers.
fn goes_through_everything(server: &Server, request: &[u8]) {
    let answers = || ask(server, request, Duration::from_secs(60)).expect("it runs");
    let is_silent = || {
        let silence = ask(server, request, Duration::from_millis(100)).expect_err("it is paused");
        // What a timeout is called differs from system to system.
        assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    };
    let is_away = || {
        assert_eq!(server.pid(), None);
        let refusal = ask(server, request, Duration::from_secs(60)).expect_err("nobody listens");
        assert_eq!(refusal.kind(), ErrorKind::ConnectionRefused);
    };
    let address = server.address();
    answers();

    server.pause();
    is_silent();
    server.resume();
    answers();

    server.kill();
    is_away();
    server.kill();
    server.restart();
    answers();

    server.stop();
    is_away();
    server.stop();
    server.restart();
    answers();

    server.pause();
    server.kill();
    is_away();
    server.restart();
    let before = server.pid();
    server.pause();
    server.restart();
    assert_ne!(server.pid(), before);
    answers();
    assert_eq!(server.address(), address);
    assert!(server.log().lines().count() > 1, "{}", server.log());
}

#[test]
fn postgres_is_paused_resumed_killed_stopped_and_restarted() {
    goes_through_everything(&Postgres::start(), SSL_REQUEST);
}

#[test]
fn pgbouncer_is_paused_resumed_killed_stopped_and_restarted() {
    let postgres = Postgres::start();
    goes_through_everything(&PgBouncer::start(&postgres, PoolMode::Session), SSL_REQUEST);
}

#[test]
fn redis_is_paused_resumed_killed_stopped_and_restarted() {
    goes_through_everything(&Redis::start(), PING);
}

#[test]
fn sqld_is_paused_resumed_killed_stopped_and_restarted() {
    goes_through_everything(&Sqld::start(), HEALTH);
}

#[test]
#[should_panic(expected = "unrecognized configuration parameter \"no_such_setting\"")]
fn a_server_that_does_not_start_shows_its_log() {
    Postgres::start_with(&[("no_such_setting", "1")]);
}
