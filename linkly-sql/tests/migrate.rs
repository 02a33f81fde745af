//! What comes after the transaction of a migration, when a crash came in between.

mod rusqlite_driver;

use std::path::Path;

use linkly_core::{LinkStore, ListLinks, Scope};
use linkly_sql::{Driver, MigrationReport, SchemaConfig, Sql, SqlStore, Statement};
use rusqlite::Connection;
use rusqlite_driver::Rusqlite;

/// A database of another program, with rows that no rule lets in.
fn other_program(path: &Path) {
    let other = Connection::open(path).unwrap();
    let rows = "
        CREATE TABLE links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL);
        CREATE TABLE clicks (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, clicked_at TEXT NOT NULL);
        INSERT INTO links VALUES ('iii', 'https://iii.dev', '2026-01-11T10:00:00Z'), ('a b', 'https://iii.dev', 'never');
        INSERT INTO clicks (code, clicked_at) VALUES ('iii', '2026-01-11T10:00:00Z'), ('iii', 'sometime');";
    other.execute_batch(rows).unwrap();
}

async fn open(path: &Path) -> SqlStore<Rusqlite> {
    Rusqlite::store(path, SchemaConfig::default()).await.unwrap()
}

async fn run(store: &SqlStore<Rusqlite>, sql: &'static str) {
    store.driver().write(Statement::new(Sql::Static(sql))).await.unwrap();
}

fn rows_of(report: &MigrationReport) -> Vec<(&str, u64)> {
    report.unfit.iter().map(|unfit| (unfit.what.as_str(), unfit.rows)).collect()
}

#[tokio::test]
async fn whoever_migrates_next_makes_up_for_a_crash_behind_the_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkly.db");
    other_program(&path);
    let first = open(&path).await;
    let report = first.migrate().await.unwrap();
    assert_eq!((report.links, report.clicks), (2, 2));
    assert_eq!(rows_of(&report), [("links.code", 1), ("links.created_at", 1), ("clicks.clicked_at", 1)]);

    // What a crash leaves, and rows that came since.
    run(&first, "DELETE FROM linkly_meta WHERE key = 'migration_report'").await;
    run(&first, "UPDATE links SET url_hash = NULL").await;
    run(&first, "INSERT INTO links (code, url, created_at) VALUES ('c d', 'https://iii.dev', 'later')").await;
    run(&first, "INSERT INTO clicks (code, clicked_at) VALUES ('iii', 'later')").await;
    let to = ListLinks::new(Scope::All).with_url("https://iii.dev");
    assert_eq!(first.list(&to).await.unwrap().items.len(), 1, "found without its hash");

    let second = open(&path).await;
    assert_eq!(second.migrate().await.unwrap(), report, "of the rows that were there before, and of no others");
    let hashed = Statement::new(Sql::Static("SELECT count(url_hash) FROM links"));
    assert_eq!(second.driver().read(hashed).await.unwrap()[0].integer(0), Some(2));
    assert_eq!(second.list(&to).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn the_report_of_a_new_database_is_empty_whatever_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("linkly.db");
    let store = open(&path).await;
    run(&store, "INSERT INTO links (code, url, created_at) VALUES ('a b', 'nowhere', 'never')").await;
    assert_eq!(open(&path).await.migrate().await.unwrap(), MigrationReport::default());
}
