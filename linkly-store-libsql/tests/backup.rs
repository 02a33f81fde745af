//! Copies of a whole database, and room on the disk.
#![cfg(feature = "local")]

mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fixture::{File, clicks, code, count, counted, link, links};
use linkly_core::{ClickSink, Error, LinkStore, LinkStoreExt, Maintenance};
use linkly_store_libsql::LibsqlStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_copy_that_is_made_while_writes_go_on_is_whole() {
    let file = File::new();
    let store = file.open().await;
    store.insert(&links(1_000)).await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        async move {
            let mut batches = 0;
            while !stop.load(Ordering::Relaxed) {
                store.record(&clicks(&format!("c{}", batches % 10), 100)).await.unwrap();
                batches += 1;
            }
            batches
        }
    });
    let mut copied = Vec::new();
    for number in 0..5 {
        let path = file.folder.path().join(format!("copy{number}.db"));
        store.backup_to(&path).await.unwrap();
        let copy = LibsqlStore::connect(&format!("file:{}", path.display())).await.unwrap();
        let check = copy.query("PRAGMA integrity_check", Vec::new()).await.unwrap();
        assert_eq!(check[0].text(0).as_deref(), Some("ok"));
        let rows = counted(&copy).await;
        assert_eq!(rows % 100, 0, "batches are whole");
        copied.push(rows);
        assert_eq!(count(&copy, "SELECT count(*) FROM links").await, 1_000);
        copy.insert_one(&link("new")).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    // Counted when the writer has ended: rows and totals are read one after the other.
    let batches: i64 = writer.await.unwrap();
    assert_eq!(counted(&store).await, batches * 100);
    assert!(copied.is_sorted(), "{copied:?}");
}

#[tokio::test]
async fn nothing_is_written_over() {
    let file = File::new();
    let store = file.open().await;
    let there = file.folder.path().join("there");
    std::fs::write(&there, "").unwrap();
    for path in [there.clone(), file.path()] {
        assert!(matches!(store.backup_to(&path).await, Err(Error::Refused { .. })));
    }
    assert_eq!(std::fs::read(&there).unwrap(), b"");
    let nowhere = store.backup_to(file.folder.path().join("none/copy.db")).await.unwrap_err();
    assert!(nowhere.to_string().contains("copying to") && nowhere.to_string().contains("copy.db"), "{nowhere}");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_nothing_behind() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 20_000)).await.unwrap();
    store.insert(&links(2_000)).await.unwrap();
    store.close().await;
    let mut bytes = std::fs::read(file.path()).unwrap();
    // The last third: the copy has begun when it comes to it.
    let from = bytes.len() / 3 * 2;
    bytes[from..].fill(0xa5);
    std::fs::write(file.path(), &bytes).unwrap();
    let store = file.open().await;
    let copy = file.folder.path().join("copy.db");
    for _ in 0..2 {
        let error = store.backup_to(&copy).await.unwrap_err();
        assert!(error.to_string().contains("copying to") && error.to_string().contains("damaged"), "{error}");
        let left: Vec<_> =
            std::fs::read_dir(file.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("copy")), "{left:?}");
    }
}

#[tokio::test]
async fn a_database_in_memory_is_copied_to_a_file() {
    let file = File::new();
    let store = LibsqlStore::connect("file::memory:").await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    store.backup_to(file.path()).await.unwrap();
    assert!(file.open().await.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn vacuum_gives_the_room_of_deleted_rows_back() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 5_000)).await.unwrap();
    let before = store.size().await.unwrap().bytes;
    store.purge_clicks("2027-01-01T00:00:00Z".parse().unwrap(), 10_000).await.unwrap();
    store.vacuum().await.unwrap();
    assert!(store.size().await.unwrap().bytes < before / 2);
}
