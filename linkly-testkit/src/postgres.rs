//! Postgres.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::ops::Deref;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::account::Account;
use crate::name;
use crate::program::{self, Program};
use crate::server::{self, Server, Setup};
use crate::supervisor::Supervisor;

const URL_VARIABLE: &str = "LINKLY_TEST_POSTGRES_URL";
pub(crate) const USER: &str = "postgres";

/// A Postgres server. Derefs to [`Server`], for what can be done to it.
///
/// It is set up like an app's and not like a test's: connections need a password, commits are synced to
/// disk, and text is sorted as an English reader expects it and not by its bytes, so that a missing
/// `COLLATE "C"` shows.
pub struct Postgres {
    url: String,
    /// `None` when the server is not ours.
    own: Option<Own>,
}

/// What is known of a server that the kit started.
pub(crate) struct Own {
    pub(crate) server: Server,
    pub(crate) password: String,
    /// A replica has the same.
    pub(crate) settings: Vec<(String, String)>,
}

impl Postgres {
    /// Starts a server with empty data.
    ///
    /// # Panics
    ///
    /// When Postgres is not installed, with what to install; when it does not start, with its log.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with settings of its own: `("max_connections", "5")`.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        let account = Account::other_than_root();
        let mut supervisor = Supervisor::start("postgres", account);
        let password = name::random();
        let password_file = supervisor.folder().join("password");
        fs::write(&password_file, &password).expect("the folder is new");
        let initdb = tool("initdb")
            .args(["--pgdata=data", "--username", USER, "--auth=scram-sha-256", "--pwfile=password", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US"])
            .run_by(account);
        server::prepare(&mut supervisor, &initdb);
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::serve(supervisor, account, password, settings)
    }

    /// Serves the data in the supervisor's folder.
    pub(crate) fn serve(
        supervisor: Supervisor,
        account: Option<Account>,
        password: String,
        settings: Vec<(String, String)>,
    ) -> Self {
        let server = Server::start(supervisor, |address| Setup {
            program: tool("postgres").args(arguments(address, &settings)).run_by(account),
            // Ends the clients' transactions, where SIGTERM waits for the clients to leave.
            stop_signal: "INT",
            answers: Box::new(move || is_ready(address)),
        });
        let url = format!("postgres://{USER}:{password}@{}/postgres", server.address());
        Self { url, own: Some(Own { server, password, settings }) }
    }

    /// # Panics
    ///
    /// For the server at `LINKLY_TEST_POSTGRES_URL`.
    pub(crate) fn own(&self) -> &Own {
        self.own.as_ref().unwrap_or_else(|| panic!("the server at {URL_VARIABLE} is not the tests' to control"))
    }

    /// The server of this test process, or the one at `LINKLY_TEST_POSTGRES_URL`, whose user must be allowed
    /// to create databases. What is created there stays there.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var(URL_VARIABLE) {
            Ok(url) => Self { url, own: None },
            Err(_) => Self::start(),
        })
    }

    /// The URL of the database `postgres`, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates an empty database and returns its URL.
    pub fn new_database(&self) -> String {
        let name = format!("linkly_{}", name::random());
        // From `template0`, which nobody can be connected to: that would hinder the copy.
        self.sql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        with_database(&self.url, &name)
    }

    /// Runs SQL in the database `postgres`, as [`psql`] does.
    ///
    /// # Panics
    ///
    /// When it fails, with the server's message.
    pub fn sql(&self, sql: &str) -> String {
        psql(&self.url, sql).unwrap_or_else(|message| panic!("{sql}\n{message}"))
    }
}

/// Runs SQL in the database at a URL and returns the rows as the program `psql` prints them: a line for each,
/// columns between `|`. More than one statement is one transaction.
///
/// # Errors
///
/// What the server, or the program, has against it.
pub fn psql(url: &str, sql: &str) -> Result<String, String> {
    let program = tool("psql");
    let output = Command::new(&program.path)
        .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
        .args(["--dbname", url, "--command", sql])
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// # Panics
///
/// For the server at `LINKLY_TEST_POSTGRES_URL`, which is not the kit's to control.
impl Deref for Postgres {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.own().server
    }
}

/// Without the password.
impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("server", &self.own.as_ref().map(|own| &own.server)).finish_non_exhaustive()
    }
}

pub(crate) fn tool(name: &str) -> Program {
    Program::new(program::postgres_folder().join(name))
}

fn arguments(address: SocketAddr, settings: &[(String, String)]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-D".into(), "data".into()];
    let mut set = |name: &str, value: &str| arguments.extend(["-c".into(), format!("{name}={value}").into()]);
    set("listen_addresses", &address.ip().to_string());
    set("port", &address.port().to_string());
    set("unix_socket_directories", "");
    // Several test processes of a few threads, each with pools of its own.
    set("max_connections", "200");
    // Little memory, since servers are many; the tests' data is small.
    set("shared_buffers", "32MB");
    for (name, value) in settings {
        set(name, value);
    }
    arguments
}

/// Also true of a pgbouncer.
pub(crate) fn is_ready(address: SocketAddr) -> bool {
    let program = tool("pg_isready");
    let asked = Command::new(&program.path)
        .args(["--quiet", "--timeout=1", "--host", &address.ip().to_string(), "--port", &address.port().to_string()])
        .status();
    asked.unwrap_or_else(|error| panic!("cannot run {program}: {error}")).success()
}

/// The URL of another database on the same server.
fn with_database(url: &str, database: &str) -> String {
    let host = url.find("://").map_or(0, |scheme| scheme + 3);
    let end_of_host = url[host..].find(['/', '?']).map_or(url.len(), |end| host + end);
    let query = url[end_of_host..].find('?').map_or("", |query| &url[end_of_host + query..]);
    format!("{}/{database}{query}", &url[..end_of_host])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_another_database_keeps_everything_else() {
        for (url, expected) in [
            ("postgres://u:p@h:1/postgres", "postgres://u:p@h:1/new"),
            ("postgres://h", "postgres://h/new"),
            ("postgresql://h/?sslmode=disable", "postgresql://h/new?sslmode=disable"),
            ("postgres://h?host=/run/postgresql", "postgres://h/new?host=/run/postgresql"),
        ] {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
