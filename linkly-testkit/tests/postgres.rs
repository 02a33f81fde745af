//! What the kit adds to Postgres.

use std::process::Command;

use linkly_testkit::{PgBouncer, PoolMode, Postgres, eventually, psql};

const BACKEND: &str = "SELECT pg_backend_pid()";

#[test]
fn a_killed_server_comes_back_with_its_rows() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE kept (word text)");
    postgres.sql("INSERT INTO kept VALUES ('one'), ('two')");
    postgres.kill();
    postgres.restart();
    assert_eq!(postgres.sql("SELECT * FROM kept"), "one\ntwo");
}

#[test]
fn a_pause_holds_every_process_of_the_server() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE done (n int)");
    std::thread::scope(|scope| {
        // A statement that takes its time in a process of its own.
        scope.spawn(|| postgres.sql("INSERT INTO done SELECT 1 FROM pg_sleep(0.3)"));
        eventually("the statement at work", || {
            postgres.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT%' AND state = 'active'") == "1"
        });
        postgres.pause();
        let states = children_of(postgres.pid().expect("it is paused, not gone"));
        postgres.resume();
        // Those that every server has, and the one at work.
        assert!(states.len() > 5, "{states:?}");
        assert!(states.iter().all(|state| state.starts_with('T')), "{states:?}");
    });
    assert_eq!(postgres.sql("SELECT count(*) FROM done"), "1");
}

/// The states of a process's children; `T` is stopped.
fn children_of(pid: u32) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-o", "ppid=", "-o", "stat="]).output().expect("ps runs");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let processes = output.lines().filter_map(|line| line.trim().split_once(' '));
    processes.filter(|(parent, _)| *parent == pid.to_string()).map(|(_, state)| state.trim().to_owned()).collect()
}

#[test]
fn each_new_database_is_empty_and_its_own() {
    let postgres = Postgres::shared();
    let [one, other] = [postgres.new_database(), postgres.new_database()];
    assert_ne!(one, other);
    psql(&one, "CREATE TABLE here (n int)").expect("the database is there");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(psql(&one, tables).as_deref(), Ok("1"));
    assert_eq!(psql(&other, tables).as_deref(), Ok("0"));
    assert!(std::ptr::eq(postgres, Postgres::shared()));
}

#[test]
fn text_is_not_sorted_by_its_bytes() {
    let sorted = Postgres::shared()
        .sql("SELECT string_agg(word, ' ' ORDER BY word) FROM unnest(ARRAY['b', 'A', 'a', 'B']) AS word");
    assert_eq!(sorted, "a A b B");
}

#[test]
fn a_connection_needs_the_password_and_nothing_shows_it() {
    let postgres = Postgres::shared();
    let (_, rest) =
        postgres.url().split_once("postgres:").and_then(|(_, rest)| rest.split_once("postgres:")).expect("a user");
    let (password, _) = rest.split_once('@').expect("a host");
    let refusal = psql(&postgres.url().replace(password, "guessed"), "SELECT 1").expect_err("the password is wrong");
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    assert!(!format!("{postgres:?}").contains(password));
    assert!(!postgres.log().contains(password));
}

#[test]
fn a_replica_follows_lags_and_takes_over() {
    let primary = Postgres::start();
    primary.sql("CREATE TABLE seen (n int)");
    let replica = primary.replica();
    let seen = || replica.sql("SELECT string_agg(n::text, ' ' ORDER BY n) FROM seen");
    primary.sql("INSERT INTO seen VALUES (1)");
    replica.catch_up(&primary);
    assert_eq!(seen(), "1");
    let refusal = psql(replica.url(), "INSERT INTO seen VALUES (9)").expect_err("a replica takes no writes");
    assert!(refusal.contains("read-only transaction"), "{refusal}");

    replica.pause_replay();
    primary.sql("INSERT INTO seen VALUES (2)");
    assert_eq!(seen(), "1");
    replica.resume_replay();
    replica.catch_up(&primary);
    assert_eq!(seen(), "1 2");

    replica.kill();
    primary.sql("INSERT INTO seen VALUES (3)");
    primary.restart();
    replica.restart();
    replica.catch_up(&primary);
    assert_eq!(seen(), "1 2 3");

    primary.kill();
    replica.promote();
    replica.sql("INSERT INTO seen VALUES (4)");
    assert_eq!(seen(), "1 2 3 4");
}

#[test]
fn a_replica_that_lags_still_takes_over() {
    let primary = Postgres::start();
    primary.sql("CREATE TABLE seen (n int)");
    let replica = primary.replica();
    replica.pause_replay();
    replica.promote();
    assert_eq!(replica.sql("INSERT INTO seen VALUES (1) RETURNING n"), "1");
}

#[test]
fn both_servers_of_a_pair_are_in_one_url() {
    let primary = Postgres::start();
    let replica = primary.replica();
    let addresses = [&primary, &replica].map(|server| server.address().to_string());
    let pair = primary.url().replace(&addresses[0], &addresses.join(","));
    let writable = format!("{pair}?target_session_attrs=read-write");
    assert_eq!(psql(&writable, "SELECT inet_server_port()"), Ok(primary.address().port().to_string()));
    primary.kill();
    replica.promote();
    assert_eq!(psql(&writable, "SELECT inet_server_port()"), Ok(replica.address().port().to_string()));
}

#[test]
fn a_pool_by_transaction_hands_one_connection_from_client_to_client() {
    let postgres = Postgres::start();
    let bouncer = PgBouncer::start(&postgres, PoolMode::Transaction);
    let database = postgres.new_database();
    let url = bouncer.url(&database);
    assert_ne!(url, database);
    let first = psql(&url, BACKEND);
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(psql(&url, BACKEND), first);
    assert_ne!(psql(&database, BACKEND), first);
}

#[test]
fn a_pool_by_statement_takes_no_transactions() {
    let postgres = Postgres::start();
    let bouncer = PgBouncer::start(&postgres, PoolMode::Statement);
    let refusal = psql(&bouncer.url(postgres.url()), "BEGIN").expect_err("it would be a transaction");
    assert!(refusal.contains("transaction blocks not allowed in statement pooling mode"), "{refusal}");
}
