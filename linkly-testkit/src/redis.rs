//! Redis.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::sync::OnceLock;
use std::time::Duration;

use crate::name;
use crate::program::{self, Program};
use crate::server::{Server, Setup};
use crate::supervisor::Supervisor;

const URL_VARIABLE: &str = "LINKLY_TEST_REDIS_URL";

/// A Redis server. Derefs to [`Server`], for what can be done to it.
///
/// It writes what it is told into an append-only file before it answers, so that a killed server comes back
/// with everything it acknowledged.
pub struct Redis {
    url: String,
    /// `None` when the server is not ours.
    server: Option<Server>,
}

impl Redis {
    /// Starts an empty server.
    ///
    /// # Panics
    ///
    /// When Redis is not installed, with what to install; when it does not start, with its log.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments: `["--maxmemory", "10mb"]`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_with(arguments: &[&str]) -> Self {
        let path = program::required("redis-server", "redis-server");
        let server = Server::start(Supervisor::start("redis", None), |address| Setup {
            program: Program::new(&path)
                .args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()])
                .args(["--appendonly", "yes", "--save", ""])
                .args(arguments),
            stop_signal: "TERM",
            answers: Box::new(move || ask(address, "PING").is_ok_and(|answer| answer == "PONG")),
        });
        Self { url: format!("redis://{}", server.address()), server: Some(server) }
    }

    /// The server of this test process, or the one at `LINKLY_TEST_REDIS_URL`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Redis> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(URL_VARIABLE) {
            Ok(url) => Self { url, server: None },
            Err(_) => Self::start(),
        })
    }

    /// `redis://127.0.0.1:…`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A prefix for keys that nobody else has.
    pub fn new_prefix(&self) -> String {
        format!("linkly-{}:", name::random())
    }
}

/// # Panics
///
/// For the server at `LINKLY_TEST_REDIS_URL`, which is not the kit's to control.
impl Deref for Redis {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.as_ref().unwrap_or_else(|| panic!("the server at {URL_VARIABLE} is not the tests' to control"))
    }
}

/// Without a password that the URL may have.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Sends one command without spaces in its arguments and returns the answer, or the server's error as one.
/// An array is not understood.
pub(crate) fn ask(address: SocketAddr, command: &str) -> io::Result<String> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end();
    match line.split_at_checked(1) {
        Some(("+" | ":", answer)) => Ok(answer.to_owned()),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer)?;
            String::from_utf8(answer).map_err(io::Error::other)
        }
        _ => Err(io::Error::other(format!("{command}: {line}"))),
    }
}
