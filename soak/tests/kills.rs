//! A few kills of each subject; `cargo xtask soak` makes many.

use std::process::Command;

fn kill(subject: &str) {
    let soak =
        Command::new(env!("CARGO_BIN_EXE_linkly-soak")).args(["--kills", "6", "--subject", subject]).output().unwrap();
    let error = String::from_utf8_lossy(&soak.stderr);
    assert!(soak.status.success(), "{error}");
    let told = String::from_utf8_lossy(&soak.stdout);
    assert!(told.contains("6 kills") && !told.contains(" 0 acknowledged"), "{told}");
}

#[test]
fn a_killed_recorder_has_lost_no_durable_click() {
    kill("recorder");
}

#[test]
fn a_killed_recorder_has_lost_no_more_enqueued_clicks_than_its_queue_holds() {
    kill("recorder-enqueued");
}

#[test]
fn a_killed_spool_before_sqlite_has_lost_no_click() {
    kill("spool-sqlite");
}

#[test]
fn a_killed_spool_before_postgres_has_lost_no_click() {
    kill("spool-postgres");
}

#[test]
fn a_killed_recorder_that_spills_has_lost_no_durable_click() {
    kill("spill-sqlite");
}

#[test]
fn a_killed_app_with_a_stream_of_redis_has_lost_no_click() {
    kill("stream-postgres");
}
