//! pgbouncer, a pool of connections in front of Postgres.

use std::fmt;
use std::fs;
use std::ops::Deref;

use crate::account::Account;
use crate::postgres::{self, Postgres};
use crate::program::{self, Program};
use crate::server::{Server, Setup};
use crate::supervisor::Supervisor;

/// When a connection to Postgres goes from one client to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// After each transaction: what a session keeps, prepared statements among it, is lost or another's.
    Transaction,
    /// After each statement.
    Statement,
}

/// A pgbouncer in front of a [`Postgres`]. Derefs to [`Server`], for what can be done to it.
pub struct PgBouncer {
    server: Server,
    /// Host and port of the Postgres, as URLs have them.
    behind: String,
}

impl PgBouncer {
    /// Starts it with at most five connections to each database, so that clients really share them.
    ///
    /// # Panics
    ///
    /// When pgbouncer is not installed, with what to install; when it does not start, with its log; when the
    /// Postgres is not the kit's.
    pub fn start(postgres: &Postgres, mode: PoolMode) -> Self {
        let account = Account::other_than_root();
        let path = program::required("pgbouncer", "pgbouncer");
        let supervisor = Supervisor::start("pgbouncer", account);
        let folder = supervisor.folder().to_owned();
        let users = format!("\"{}\" \"{}\"\n", postgres::USER, postgres.own().password);
        fs::write(folder.join("users"), users).expect("the folder is new");
        let behind = postgres.address();
        let server = Server::start(supervisor, |address| {
            let mode = match mode {
                PoolMode::Session => "session",
                PoolMode::Transaction => "transaction",
                PoolMode::Statement => "statement",
            };
            let settings = format!(
                "[databases]\n\
                 * = host={} port={}\n\
                 [pgbouncer]\n\
                 listen_addr = {}\n\
                 listen_port = {}\n\
                 unix_socket_dir =\n\
                 auth_type = scram-sha-256\n\
                 auth_file = users\n\
                 pool_mode = {mode}\n\
                 default_pool_size = 5\n\
                 max_client_conn = 500\n",
                behind.ip(),
                behind.port(),
                address.ip(),
                address.port(),
            );
            fs::write(folder.join("settings"), settings).expect("the folder is there");
            Setup {
                program: Program::new(&path).args(["settings"]).run_by(account),
                // It has nothing to put in order. SIGTERM waits for the clients to leave since 1.23, and SIGINT and
                // SIGQUIT may be ignored: a shell's background jobs inherit that.
                stop_signal: "KILL",
                answers: Box::new(move || postgres::is_ready(address)),
            }
        });
        Self { server, behind: behind.to_string() }
    }

    /// The same database by way of the pool, from a URL that the [`Postgres`] gave.
    pub fn url(&self, database: &str) -> String {
        assert!(database.contains(&self.behind), "the database must be one of the Postgres at {}", self.behind);
        database.replace(&self.behind, &self.address().to_string())
    }
}

impl Deref for PgBouncer {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl fmt::Debug for PgBouncer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgBouncer").field("server", &self.server).field("behind", &self.behind).finish()
    }
}
