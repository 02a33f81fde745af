//! Files pass between libSQL and SQLite: here SQLite is the `sqlite3` program.
#![cfg(feature = "local")]

mod fixture;

use std::path::Path;
use std::process::Command;

use fixture::{File, clicks, code, link, links};
use linkly_core::{ClickSink, ClickStatsExt, LinkStore, LinkStoreExt};

/// What SQLite answers.
fn sqlite3(path: &Path, sql: &str) -> String {
    let run = Command::new("sqlite3").args(["-cmd", ".timeout 5000"]).arg(path).arg(sql).output();
    let run = run.expect("sqlite3 is installed (Debian: sqlite3; `cargo xtask setup`)");
    assert!(run.status.success(), "{sql}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().to_owned()
}

#[tokio::test]
async fn a_file_of_sqlite_opens_in_libsql() {
    let file = File::new();
    let tables = "
        CREATE TABLE IF NOT EXISTS links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS clicks (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, clicked_at TEXT NOT NULL);
        INSERT INTO links VALUES ('iii', 'https://iii.dev', '2026-01-11T10:00:00.000Z');
        INSERT INTO clicks (code, clicked_at) VALUES ('iii', '2026-01-11T10:00:01.123Z'), ('iii', '2026-01-11T11:00:00.000Z');";
    sqlite3(&file.path(), tables);
    let store = file.open().await;
    assert_eq!(store.target(&code("iii")).await.unwrap().unwrap().url(), "https://iii.dev");
    assert_eq!(store.total(&code("iii")).await.unwrap().clicks, 2);
}

#[tokio::test]
async fn a_file_of_libsql_opens_in_sqlite_also_while_it_is_open() {
    let file = File::new();
    let store = file.open().await;
    store.insert(&links(100)).await.unwrap();
    store.record(&clicks("c1", 50)).await.unwrap();
    let asked = [
        ("PRAGMA integrity_check", "ok"),
        ("SELECT count(*) FROM links", "100"),
        ("SELECT count(*) FROM clicks WHERE code = 'c1'", "50"),
        ("SELECT clicks FROM link_stats WHERE code = 'c1'", "50"),
    ];
    for (sql, answer) in asked {
        assert_eq!(sqlite3(&file.path(), sql), answer, "{sql}");
    }
    store.insert_one(&link("later")).await.unwrap();
    assert_eq!(sqlite3(&file.path(), "SELECT url FROM links WHERE code = 'later'"), "https://iii.dev/later");
    store.close().await;
    for (sql, _) in asked {
        sqlite3(&file.path(), sql);
    }
    assert!(file.open().await.target(&code("later")).await.unwrap().is_some());
}
