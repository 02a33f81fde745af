//! When the file, the folder or the disk is not as it should be: an error that says so and what to do,
//! and nothing lost.

mod fixture;

use std::fs;

use fixture::{File, clicks, code, counted, link, links};
use linkly_core::{ClickSink, Error, LinkStore, LinkStoreExt, Maintenance};
use linkly_store_sqlite::{SqliteStore, sqlx};

fn says(error: &Error, wanted: &str) {
    assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains(wanted), "{error:?}");
    assert!(std::error::Error::source(error).is_some(), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let file = File::new();
    let text = "Dear diary, ".repeat(1_000);
    fs::write(file.path(), &text).unwrap();
    let error = SqliteStore::connect_with(file.config()).await.unwrap_err();
    says(&error, "not an SQLite database");
    assert!(error.to_string().contains("linkly.db"), "{error}");
    assert_eq!(fs::read_to_string(file.path()).unwrap(), text);
}

#[tokio::test]
async fn a_damaged_file_is_reported() {
    let file = File::new();
    let store = file.open().await;
    store.insert(&links(2_000)).await.unwrap();
    store.close().await;
    let mut bytes = fs::read(file.path()).unwrap();
    // All but the first page, which holds the schema.
    bytes[4_096..].iter_mut().for_each(|byte| *byte = 0xa5);
    fs::write(file.path(), &bytes).unwrap();
    let error = match SqliteStore::connect_with(file.config()).await {
        Err(error) => error,
        Ok(store) => store.targets(&[code("c1"), code("c2")]).await.unwrap_err(),
    };
    says(&error, "damaged");
    assert!(fs::read(file.path()).unwrap().len() >= bytes.len());
}

#[tokio::test]
async fn a_folder_that_cannot_be_created_is_named() {
    let file = File::new();
    fs::write(file.folder.path().join("file"), "").unwrap();
    for folder in [file.folder.path().join("file").display().to_string(), "/proc/linkly".to_owned()] {
        let error = SqliteStore::connect(&format!("sqlite:{folder}/a/linkly.db")).await.unwrap_err();
        says(&error, "cannot be created");
        assert!(error.to_string().contains(&folder), "{error}");
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_named() {
    let file = File::new();
    fs::create_dir(file.path()).unwrap();
    let error = SqliteStore::connect_with(file.config()).await.unwrap_err();
    says(&error, "linkly.db: the file cannot be opened");
    let missing = format!("sqlite:{}/none.db?mode=rw", file.folder.path().display());
    says(&SqliteStore::connect(&missing).await.unwrap_err(), "none.db: the file cannot be opened");
    assert!(!file.folder.path().join("none.db").exists());
}

#[tokio::test]
async fn a_database_opened_to_read_answers_and_refuses_writes() {
    let file = File::new();
    let writing = file.open().await;
    writing.insert_one(&link("a")).await.unwrap();
    let url = format!("sqlite:{}?mode=ro", file.path().display());
    let reading = SqliteStore::connect(&url).await.unwrap();
    assert!(reading.target(&code("a")).await.unwrap().is_some());
    says(&reading.insert_one(&link("b")).await.unwrap_err(), "read-only");
    says(&reading.record(&clicks("a", 1)).await.unwrap_err(), "read-only");
    writing.insert_one(&link("b")).await.unwrap();
    assert!(reading.target(&code("b")).await.unwrap().is_some());
    reading.close().await;
    writing.close().await;
    let url = format!("sqlite:{}?immutable=1", file.path().display());
    let frozen = SqliteStore::connect(&url).await.unwrap();
    assert!(frozen.target(&code("b")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_database_that_needs_a_migration_cannot_be_opened_to_read() {
    let file = File::new();
    fs::write(file.path(), "").unwrap();
    let url = format!("sqlite:{}?mode=ro", file.path().display());
    says(&SqliteStore::connect(&url).await.unwrap_err(), "read-only");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes_when_there_is_room() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 10)).await.unwrap();
    sqlx::query("PRAGMA max_page_count = 1").fetch_all(store.writer()).await.unwrap();
    let batch = clicks("b", 5_000);
    for _ in 0..2 {
        says(&store.record(&batch).await.unwrap_err(), "full");
        says(&store.insert(&links(5_000)).await.unwrap_err(), "full");
        assert_eq!(counted(&store).await, 10);
    }
    assert!(store.get_one(&code("c1")).await.unwrap().is_none());
    sqlx::query("PRAGMA max_page_count = 1000000").fetch_all(store.writer()).await.unwrap();
    store.record(&batch).await.unwrap();
    store.insert(&links(5_000)).await.unwrap();
    assert_eq!(counted(&store).await, 5_010);
}

#[tokio::test]
async fn a_full_disk_does_not_spoil_the_migration() {
    let file = File::new();
    let store = file.open().await;
    store.insert(&links(100)).await.unwrap();
    let [writer, readers] = [store.writer().clone(), store.pool().clone()];
    let config = file.config().with_prefix("second_");
    let second = SqliteStore::new_with(writer, readers, config).await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(store.writer()).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 3);
    sqlx::query(sqlx::AssertSqlSafe(limit)).fetch_all(store.writer()).await.unwrap();
    says(&second.migrate().await.unwrap_err(), "full");
    // The connection was replaced, and with it its limit.
    second.migrate().await.unwrap();
    second.insert(&links(100)).await.unwrap();
    assert_eq!(fixture::count(&store, "SELECT count(*) FROM links").await, 100);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_transient() {
    let file = File::new();
    let config = file.config().with_busy_timeout(std::time::Duration::from_millis(1_000));
    let (first, second) = (file.open().await, SqliteStore::connect_with(config).await.unwrap());
    let mut holder = first.writer().acquire().await.unwrap();
    let transaction = sqlx::Connection::begin_with(&mut *holder, "BEGIN IMMEDIATE").await.unwrap();
    let error = second.insert_one(&link("a")).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("write lock"), "{error}");
    // Reads go on, and a write passes when the lock is free.
    assert!(second.target(&code("a")).await.unwrap().is_none());
    transaction.rollback().await.unwrap();
    second.insert_one(&link("a")).await.unwrap();
}

#[tokio::test]
async fn no_free_connection_and_a_closed_store_are_transient() {
    let file = File::new();
    let mut config = file.config();
    config.pool = config.pool.with_max(1).with_acquire_timeout(std::time::Duration::from_millis(1_000));
    let store = SqliteStore::connect_with(config).await.unwrap();
    let reader = store.pool().acquire().await.unwrap();
    let error = store.ping().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("pool.max"), "{error}");
    drop(reader);
    store.ping().await.unwrap();
    store.close().await;
    for error in [store.ping().await.unwrap_err(), store.insert_one(&link("a")).await.unwrap_err()] {
        assert!(error.is_transient() && error.to_string().contains("closed"), "{error}");
    }
}
