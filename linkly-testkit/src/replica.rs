//! Streaming replicas of a Postgres.

use crate::account::Account;
use crate::name;
use crate::postgres::{self, Postgres};
use crate::server;
use crate::supervisor::Supervisor;
use crate::wait;

impl Postgres {
    /// Starts a replica that streams from this server, through a replication slot, so that what it lacks is kept
    /// for it however long it lags. Its password and databases are this server's: a URL for it, or for both, is
    /// made by replacing the [`address`](crate::Server::address).
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start), and when this server is not the kit's.
    pub fn replica(&self) -> Self {
        let account = Account::other_than_root();
        let mut supervisor = Supervisor::start("replica", account);
        let slot = format!("linkly_{}", name::random());
        let copy = postgres::tool("pg_basebackup")
            .args(["--dbname", self.url(), "--pgdata=data", "--checkpoint=fast", "--no-sync"])
            .args(["--write-recovery-conf", "--create-slot", "--slot", &slot])
            .run_by(account);
        server::prepare(&mut supervisor, &copy);
        let mut settings = self.own().settings.clone();
        // How soon it comes back to a primary that was restarted; 5 s otherwise.
        settings.push(("wal_retrieve_retry_interval".to_owned(), "100ms".to_owned()));
        let replica = Self::serve(supervisor, account, self.own().password.clone(), settings);
        replica.catch_up(self);
        replica
    }

    /// Waits until this replica shows all that the primary has committed by now.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    pub fn catch_up(&self, primary: &Self) {
        let position = primary.sql("SELECT pg_current_wal_flush_lsn()");
        self.wait_for(&format!("pg_last_wal_replay_lsn() >= '{position}'"));
    }

    /// Makes this replica lag: it still receives what the primary commits, and shows none of it.
    pub fn pause_replay(&self) {
        self.sql("SELECT pg_wal_replay_pause()");
        self.wait_for("pg_get_wal_replay_pause_state() = 'paused'");
    }

    /// Lets this replica show what it has received.
    pub fn resume_replay(&self) {
        self.sql("SELECT pg_wal_replay_resume()");
    }

    /// Makes this replica a primary, as an operator does when the other one is lost.
    pub fn promote(&self) {
        self.sql("SELECT pg_promote(wait => true)");
        self.wait_for("NOT pg_is_in_recovery()");
    }

    fn wait_for(&self, condition: &str) {
        wait::eventually(condition, || self.sql(&format!("SELECT {condition}")) == "t");
    }
}
