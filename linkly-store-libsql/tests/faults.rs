//! When the file, the folder or the disk is not as it should be: an error that says so and what to do,
//! and nothing lost.
#![cfg(feature = "local")]

mod fixture;

use std::fs;
use std::time::Duration;

use fixture::{File, clicks, code, count, counted, execute, link, links};
use linkly_core::{ClickSink, Error, LinkStore, LinkStoreExt, Maintenance};
use linkly_store_libsql::{LibsqlStore, PoolConfig};

fn says(error: &Error, wanted: &str) {
    assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains(wanted), "{error:?}");
    assert!(std::error::Error::source(error).is_some(), "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let file = File::new();
    let text = "Dear diary, ".repeat(1_000);
    fs::write(file.path(), &text).unwrap();
    let error = LibsqlStore::connect_with(file.config()).await.unwrap_err();
    assert!(error.to_string().contains("not an SQLite database") && error.to_string().contains("linkly.db"), "{error}");
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
    let error = match LibsqlStore::connect_with(file.config()).await {
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
        let error = LibsqlStore::connect(&format!("file:{folder}/a/linkly.db")).await.unwrap_err();
        says(&error, "cannot be created");
        assert!(error.to_string().contains(&folder), "{error}");
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_opened_is_named() {
    let file = File::new();
    fs::create_dir(file.path()).unwrap();
    let error = LibsqlStore::connect_with(file.config()).await.unwrap_err();
    assert!(error.to_string().contains("linkly.db: the file cannot be opened"), "{error}");
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_passes_when_there_is_room() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 10)).await.unwrap();
    execute(&store, "PRAGMA max_page_count = 1").await;
    let batch = clicks("b", 5_000);
    for _ in 0..2 {
        says(&store.record(&batch).await.unwrap_err(), "full");
        says(&store.insert(&links(5_000)).await.unwrap_err(), "full");
        assert_eq!(counted(&store).await, 10);
    }
    assert!(store.get_one(&code("c1")).await.unwrap().is_none());
    execute(&store, "PRAGMA max_page_count = 1000000").await;
    store.record(&batch).await.unwrap();
    store.insert(&links(5_000)).await.unwrap();
    assert_eq!(counted(&store).await, 5_010);
}

#[tokio::test]
async fn a_full_disk_does_not_spoil_the_migration() {
    let file = File::new();
    let store = file.open().await;
    // The connection that migrates is the one with the limit.
    let database = linkly_store_libsql::libsql::Builder::new_local(file.path()).build().await.unwrap();
    let second = LibsqlStore::new(database, file.config().with_prefix("second_")).await.unwrap();
    execute(&second, "PRAGMA max_page_count = 1").await;
    says(&second.migrate().await.unwrap_err(), "full");
    execute(&second, "PRAGMA max_page_count = 1000000").await;
    second.migrate().await.unwrap();
    second.insert(&links(100)).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM links").await, 0);
}

#[tokio::test]
async fn a_lock_that_is_held_too_long_is_transient() {
    let file = File::new();
    let config = file.config().with_busy_timeout(Duration::from_millis(20));
    let (first, second) = (file.open().await, LibsqlStore::connect_with(config).await.unwrap());
    let holder = first.connection().unwrap();
    holder.execute("BEGIN IMMEDIATE", ()).await.unwrap();
    let error = second.insert_one(&link("a")).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("write lock"), "{error}");
    // Reads go on, and a write passes when the lock is free.
    assert!(second.target(&code("a")).await.unwrap().is_none());
    holder.execute("ROLLBACK", ()).await.unwrap();
    second.insert_one(&link("a")).await.unwrap();
}

#[tokio::test]
async fn a_closed_store_and_no_free_connection_are_transient() {
    let file = File::new();
    let pool = PoolConfig::default().with_max(1).with_acquire_timeout(Duration::from_millis(20));
    let store = LibsqlStore::connect_with(file.config().with_pool(pool)).await.unwrap();
    let long =
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n";
    let (held, error) = tokio::join!(store.query(long, Vec::new()), store.ping());
    let error = error.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("pool.max"), "{error}");
    assert_eq!(held.unwrap()[0].integer(0), Some(3_000_000));
    store.ping().await.unwrap();
    store.close().await;
    for error in [store.ping().await.unwrap_err(), store.insert_one(&link("a")).await.unwrap_err()] {
        assert!(error.is_transient() && error.to_string().contains("closed"), "{error}");
    }
    // The last connection has copied the log into the file.
    assert!(!file.path().with_extension("db-wal").exists());
}

/// libsql panics at a text that is not UTF-8.
#[tokio::test]
async fn a_panic_of_the_driver_is_an_error_and_the_next_call_is_answered() {
    let file = File::new();
    for store in [file.open().await, LibsqlStore::connect("file::memory:").await.unwrap()] {
        store.insert_one(&link("a")).await.unwrap();
        for _ in 0..20 {
            let error = store.query("SELECT CAST(x'ff' AS TEXT)", Vec::new()).await.unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
        assert!(store.target(&code("a")).await.unwrap().is_some());
        store.insert_one(&link("b")).await.unwrap();
    }
}
