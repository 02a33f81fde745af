//! Servers that are there already, named by a variable.
//!
//! Each test runs itself again as a process of its own, which has the variable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use linkly_testkit::{Postgres, Redis, Server, Sqld, psql};

/// Runs a test of this file again, with a server given.
fn run_again(test: &str, variable: &str, url: &str) {
    let output = Command::new(std::env::current_exe().expect("a test is a file"))
        .args(["--exact", test, "--nocapture"])
        .env(variable, url)
        .output()
        .expect("it ran before");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// What is given is not stopped.
fn is_not_the_tests(server: impl Fn() -> &'static Server, variable: &str) {
    let panic = catch_unwind(AssertUnwindSafe(|| server().kill())).expect_err("it is not to be killed");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert_eq!(*message, format!("the server at {variable} is not the tests' to control"));
}

#[test]
fn a_given_postgres_is_shared_and_not_controlled() {
    let variable = "LINKLY_TEST_POSTGRES_URL";
    let Ok(given) = std::env::var(variable) else {
        let postgres = Postgres::start();
        run_again("a_given_postgres_is_shared_and_not_controlled", variable, postgres.url());
        assert_eq!(postgres.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'linkly%'"), "1");
        return;
    };
    assert_eq!(Postgres::shared().url(), given);
    assert_eq!(psql(&Postgres::shared().new_database(), "SELECT 1").as_deref(), Ok("1"));
    is_not_the_tests(|| Postgres::shared(), variable);
    assert!(!format!("{:?}", Postgres::shared()).contains("postgres:"));
}

#[test]
fn a_given_redis_is_shared_and_not_controlled() {
    let variable = "LINKLY_TEST_REDIS_URL";
    let Ok(given) = std::env::var(variable) else {
        return run_again("a_given_redis_is_shared_and_not_controlled", variable, Redis::start().url());
    };
    assert_eq!(Redis::shared().url(), given);
    is_not_the_tests(|| Redis::shared(), variable);
}

#[test]
fn a_given_sqld_is_shared_and_not_controlled() {
    let variable = "LINKLY_TEST_SQLD_URL";
    let Ok(given) = std::env::var(variable) else {
        return run_again("a_given_sqld_is_shared_and_not_controlled", variable, Sqld::start().url());
    };
    assert_eq!(Sqld::shared().url(), given);
    is_not_the_tests(|| Sqld::shared(), variable);
}
