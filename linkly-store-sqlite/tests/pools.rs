//! The app's own pools.

mod fixture;

use std::time::Duration;

use fixture::{File, code, link};
use linkly_core::{Error, LinkStoreExt};
use linkly_store_sqlite::sqlx;
use linkly_store_sqlite::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use linkly_store_sqlite::{SqliteConfig, SqliteStore};

fn options(file: &File) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file.path()).create_if_missing(true)
}

async fn pool(options: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

#[tokio::test]
async fn fit_pools_are_taken_as_they_are() {
    let file = File::new();
    let writer = pool(options(&file).journal_mode(SqliteJournalMode::Wal)).await;
    let store = SqliteStore::new(writer.clone(), pool(options(&file)).await).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    assert!(store.target(&code("a")).await.unwrap().is_some());
    // One process more finds it migrated.
    let again = SqliteStore::new(writer, pool(options(&file)).await).await.unwrap();
    assert!(again.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn all_that_is_missing_is_named() {
    let file = File::new();
    let unfit = options(&file)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(Duration::ZERO)
        .pragma("query_only", "ON");
    let error = SqliteStore::new(pool(unfit).await, pool(options(&file)).await).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::InvalidInput { .. }), "{text}");
    for named in ["journal_mode", "synchronous", "query_only", "busy_timeout of the writer"] {
        assert!(text.contains(named), "{text}");
    }
}

#[tokio::test]
async fn a_file_with_its_journal_in_memory_is_no_database_in_memory() {
    let file = File::new();
    let writer = pool(options(&file).journal_mode(SqliteJournalMode::Memory)).await;
    let error = SqliteStore::new(writer, pool(options(&file)).await).await.unwrap_err();
    assert!(error.to_string().contains("journal_mode of the writer is memory, it must be WAL"), "{error}");
}

#[tokio::test]
async fn pools_of_two_databases_are_refused() {
    let (file, other) = (File::new(), File::new());
    let writer = pool(options(&file).journal_mode(SqliteJournalMode::Wal)).await;
    let memory = pool(SqliteConnectOptions::new()).await;
    for (writer, readers) in [
        (writer.clone(), pool(options(&other)).await),
        (writer.clone(), memory.clone()),
        (memory, pool(options(&file)).await),
    ] {
        let error = SqliteStore::new(writer, readers).await.unwrap_err().to_string();
        assert!(error.contains("must have one database") && error.contains("linkly.db"), "{error}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn two_ways_to_one_file_are_one() {
    let file = File::new();
    let way = file.folder.path().join("way.db");
    let writer = pool(options(&file).journal_mode(SqliteJournalMode::Wal)).await;
    std::os::unix::fs::symlink(file.path(), &way).unwrap();
    SqliteStore::new(writer, pool(SqliteConnectOptions::new().filename(way)).await).await.unwrap();
}

#[tokio::test]
async fn a_pool_in_memory_serves_as_both() {
    let memory = pool(SqliteConnectOptions::new()).await;
    let store = SqliteStore::new(memory.clone(), memory).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    assert!(store.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn the_stores_readers_cannot_write() {
    let file = File::new();
    let store = file.open().await;
    let error = sqlx::query("DELETE FROM links").execute(store.pool()).await.unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
}

#[tokio::test]
async fn a_stores_debug_shows_nothing_behind_the_question_mark() {
    let memory = pool(SqliteConnectOptions::new()).await;
    let config = SqliteConfig::new("sqlite:./linkly.db?key=secret");
    let store = SqliteStore::new_with(memory.clone(), memory, config).await.unwrap();
    let shown = format!("{store:?}");
    assert!(shown.contains("linkly.db") && !shown.contains("key") && !shown.contains("secret"), "{shown}");
}
