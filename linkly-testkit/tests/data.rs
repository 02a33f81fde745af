//! A killed server comes back with what it had acknowledged.
use linkly_testkit::Postgres;

#[test]
fn a_killed_postgres_keeps_its_rows() {
    let postgres = Postgres::start();
    postgres.sql("CREATE TABLE kept (word text)");
    postgres.sql("INSERT INTO kept VALUES ('one'), ('two')");
    postgres.kill();
    postgres.restart();
    assert_eq!(postgres.sql("SELECT * FROM kept"), "one\ntwo");
}
