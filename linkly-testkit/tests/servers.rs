//! What can be done to a server, tried on each.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use linkly_testkit::{Postgres, Redis, Server, Sqld};

/// Sends bytes and returns what came back within the time.
fn answer(server: &Server, request: &[u8], within: Duration) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&server.address(), within)?;
    stream.set_read_timeout(Some(within))?;
    stream.write_all(request)?;
    let mut buffer = [0; 4_096];
    let length = stream.read(&mut buffer)?;
    Ok(buffer[..length].to_vec())
}

/// Goes through a server's life; `request` is anything it answers.
fn a_life(server: &Server, request: &[u8]) {
    let soon = Duration::from_secs(30);
    let refused = || answer(server, request, soon).expect_err("it does not run").kind();
    let answers = || assert!(!answer(server, request, soon).expect("it runs").is_empty());
    let address = server.address();
    answers();

    server.pause();
    let silence = answer(server, request, Duration::from_millis(200)).expect_err("it is paused");
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
    server.resume();
    answers();

    server.kill();
    assert_eq!(refused(), ErrorKind::ConnectionRefused);
    assert_eq!(server.pid(), None);
    server.restart();
    answers();

    server.stop();
    assert_eq!(refused(), ErrorKind::ConnectionRefused);
    server.stop();
    server.restart();
    answers();

    server.pause();
    server.kill();
    assert_eq!(refused(), ErrorKind::ConnectionRefused);
    server.restart();
    server.pause();
    server.restart();
    answers();
    assert_eq!(server.address(), address);
}

/// `SSLRequest`, which is answered before anybody has logged in.
const POSTGRES_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
const REDIS_REQUEST: &[u8] = b"PING\r\n";
const SQLD_REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[test]
fn postgres_is_paused_resumed_stopped_killed_and_restarted() {
    a_life(&Postgres::start(), POSTGRES_REQUEST);
}

#[test]
fn redis_is_paused_resumed_stopped_killed_and_restarted() {
    a_life(&Redis::start(), REDIS_REQUEST);
}

#[test]
fn sqld_is_paused_resumed_stopped_killed_and_restarted() {
    a_life(&Sqld::start(), SQLD_REQUEST);
}
