//! A copy of a server's database for lists and statistics: as old as it may be and no older, and nothing else is
//! read from it.
#![cfg(feature = "replica")]

mod fixture;

use std::path::Path;
use std::time::{Duration, Instant};

use fixture::{clicks, code, link, links};
use linkly_core::{ClickSink, ClickStatsExt, LinkStore, LinkStoreExt, ListLinks, Scope};
use linkly_store_libsql::{LibsqlConfig, LibsqlStore, ReplicaConfig};
use linkly_testkit::Sqld;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3_600);

async fn open(sqld: &Sqld, path: &Path, max_staleness: Duration) -> LibsqlStore {
    let replica = ReplicaConfig::new(path).with_max_staleness(max_staleness);
    let config = LibsqlConfig::new(sqld.url()).with_replica(replica).with_request_timeout(Duration::from_secs(1));
    LibsqlStore::connect_with(config).await.unwrap()
}

async fn listed(store: &LibsqlStore) -> usize {
    store.list(&ListLinks::new(Scope::All).with_limit(1_000)).await.unwrap().items.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_statistics_are_read_from_the_copy_and_all_else_on_the_server() {
    let (sqld, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let writing = LibsqlStore::connect(sqld.url()).await.unwrap();
    writing.insert(&links(10)).await.unwrap();
    writing.record(&clicks("c1", 5)).await.unwrap();
    let store = open(&sqld, &folder.path().join("a/replica.db"), LONG).await;
    assert_eq!(listed(&store).await, 10);

    writing.insert_one(&link("new")).await.unwrap();
    writing.record(&clicks("c1", 1)).await.unwrap();
    // The copy is as old as it may be; what redirects need is not.
    assert_eq!((listed(&store).await, store.total(&code("c1")).await.unwrap().clicks), (10, 5));
    assert!(store.target(&code("new")).await.unwrap().is_some());
    assert!(store.get_one(&code("new")).await.unwrap().is_some());

    // And answers while the server does not.
    sqld.pause();
    assert_eq!((listed(&store).await, store.total(&code("c1")).await.unwrap().clicks), (10, 5));
    assert!(store.target(&code("new")).await.unwrap_err().is_transient());
    sqld.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_never_older_than_asked_for() {
    let (sqld, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let writing = LibsqlStore::connect(sqld.url()).await.unwrap();
    let store = open(&sqld, &folder.path().join("replica.db"), Duration::ZERO).await;
    for count in 1..=20 {
        writing.insert_one(&link(&format!("c{count}"))).await.unwrap();
        let readers: Vec<_> = (0..8)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { listed(&store).await })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), count);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_follows_its_server_through_restarts_of_both() {
    let (sqld, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("replica.db");
    for round in 1..=3 {
        let store = open(&sqld, &path, Duration::ZERO).await;
        store.insert(&(0..100).map(|number| link(&format!("r{round}-{number}"))).collect::<Vec<_>>()).await.unwrap();
        assert_eq!(listed(&store).await, round * 100);
        sqld.kill();
        // Down, the server answers nothing, and the copy would be too old.
        assert!(store.list(&ListLinks::new(Scope::All)).await.unwrap_err().is_transient());
        sqld.restart();
        assert_eq!(listed(&store).await, round * 100);
        store.close().await;
    }
    let check = LibsqlStore::connect_with(LibsqlConfig::new(format!("file:{}", path.display()))).await.unwrap();
    let integrity = check.query("PRAGMA integrity_check", Vec::new()).await.unwrap();
    assert_eq!(integrity[0].text(0).as_deref(), Some("ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_copy_share_the_wait_for_a_server_that_does_not_answer() {
    let (sqld, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let store = open(&sqld, &folder.path().join("replica.db"), Duration::ZERO).await;
    store.insert(&links(10)).await.unwrap();
    assert_eq!(listed(&store).await, 10);
    sqld.pause();
    let begun = Instant::now();
    let readers: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.list(&ListLinks::new(Scope::All)).await })
        })
        .collect();
    for reader in readers {
        assert!(reader.await.unwrap().unwrap_err().is_transient());
    }
    // An update, one that whoever asked meanwhile needs, and two rounds of ten requests: a second each.
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    sqld.resume();
    assert_eq!(listed(&store).await, 10);
}

/// As after a restored backup, or when the file is another's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_cannot_be_brought_up_to_date_is_not_asked() {
    let (sqld, other) = (Sqld::start(), Sqld::start());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("replica.db");
    let store = open(&other, &path, Duration::ZERO).await;
    store.insert(&links(50)).await.unwrap();
    assert_eq!(listed(&store).await, 50);
    store.close().await;
    drop(store);
    // The copy of one server, under another.
    let store = open(&sqld, &path, Duration::ZERO).await;
    store.insert(&links(3)).await.unwrap();
    assert_eq!(listed(&store).await, 3);
    store.record(&clicks("c1", 7)).await.unwrap();
    assert_eq!(store.total(&code("c1")).await.unwrap().clicks, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_deleted_is_fetched_anew_and_one_that_is_damaged_is_named() {
    let (sqld, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let path = folder.path().join("replica.db");
    let store = open(&sqld, &path, Duration::ZERO).await;
    store.insert(&links(500)).await.unwrap();
    assert_eq!(listed(&store).await, 500);
    store.close().await;
    drop(store);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    let store = open(&sqld, &path, Duration::ZERO).await;
    assert_eq!(listed(&store).await, 500);
    store.close().await;
    drop(store);
    // What is left of the copy is no database.
    std::fs::write(&path, vec![b'?'; 64 * 1024]).unwrap();
    let replica = ReplicaConfig::new(&path);
    let config = LibsqlConfig::new(sqld.url()).with_replica(replica.with_max_staleness(Duration::ZERO));
    let refused = LibsqlStore::connect_with(config).await.unwrap_err();
    assert!(refused.to_string().contains("replica.db cannot be opened: delete it"), "{refused}");
}
