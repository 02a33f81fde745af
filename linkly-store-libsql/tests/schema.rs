//! The schema of a file: made once however many start at once, and never guessed.
#![cfg(feature = "local")]

mod fixture;

use fixture::{File, code, count, execute, link};
use linkly_core::{Error, Folding, LinkStore, LinkStoreExt};
use linkly_store_libsql::libsql::Builder;
use linkly_store_libsql::{LibsqlConfig, LibsqlStore};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_that_start_at_once_make_one_database() {
    for _ in 0..5 {
        let file = File::new();
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let config = file.config();
                tokio::spawn(async move {
                    let store = LibsqlStore::connect_with(config).await.unwrap();
                    store.insert_one(&link(&format!("c{number}"))).await.unwrap();
                    store.close().await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let store = file.open().await;
        assert_eq!(count(&store, "SELECT count(*) FROM links").await, 8);
        assert_eq!(count(&store, "SELECT count(*) FROM linkly_meta WHERE key = 'schema_version'").await, 1);
    }
}

#[tokio::test]
async fn folders_and_file_are_created_and_the_write_ahead_log_is_used() {
    let file = File::new();
    let path = file.folder.path().join("a/b c/linkly.db");
    let store = LibsqlStore::connect(&format!("file:{}", path.display())).await.unwrap();
    assert!(path.exists());
    let mode = store.query("PRAGMA journal_mode", Vec::new()).await.unwrap();
    assert_eq!(mode[0].text(0).as_deref(), Some("wal"));
    store.close().await;
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_versions() {
    let file = File::new();
    let store = file.open().await;
    execute(&store, "UPDATE linkly_meta SET value = '7' WHERE key = 'schema_version'").await;
    store.close().await;
    let error = LibsqlStore::connect_with(file.config()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Schema { .. }) && text.contains("version 7") && text.contains("version 1"),
        "{text}"
    );
}

#[tokio::test]
async fn another_folding_than_the_databases_is_refused() {
    let file = File::new();
    LibsqlStore::connect_with(file.config().with_folding(Folding::Lower)).await.unwrap().close().await;
    let error = LibsqlStore::connect_with(file.config().with_folding(Folding::Sensitive)).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("lower"), "{error}");
    assert_eq!(file.open().await.folding(), Folding::Lower);
}

#[tokio::test]
async fn tables_of_something_else_are_left_alone() {
    for (table, named) in [
        ("CREATE TABLE links (id INTEGER PRIMARY KEY, href TEXT)", "href"),
        ("CREATE TABLE clicks (x INTEGER)", "clicks"),
        ("CREATE TABLE link_tags (link INTEGER)", "link_tags"),
    ] {
        let file = File::new();
        let other = LibsqlStore::connect_with(file.config().with_prefix("other_")).await.unwrap();
        execute(&other, table).await;
        let error = LibsqlStore::connect_with(file.config()).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains(named), "{error}");
        assert!(error.to_string().contains("choose a prefix"), "{error}");
        // Nothing of the attempt is left, and the prefix helps.
        assert_eq!(count(&other, "SELECT count(*) FROM sqlite_master WHERE name = 'linkly_meta'").await, 0);
        let own = LibsqlStore::connect_with(file.config().with_prefix("own_")).await.unwrap();
        own.insert_one(&link("a")).await.unwrap();
        assert!(other.get_one(&code("a")).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_database_of_the_apps_own_is_taken_and_migrated_when_told_to() {
    let file = File::new();
    let open = || async {
        let database = Builder::new_local(file.path()).build().await.unwrap();
        LibsqlStore::new(database, file.config()).await.unwrap()
    };
    let store = open().await;
    let error = store.insert_one(&link("a")).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("migrate()"), "{error}");
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    // One process more finds it migrated.
    assert!(open().await.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_file_has_no_replica_and_a_build_without_servers_says_so() {
    let replica = linkly_store_libsql::ReplicaConfig::new("copy.db");
    let error = LibsqlStore::connect_with(File::new().config().with_replica(replica)).await.unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("replica"), "{error}");
    if !cfg!(feature = "remote") {
        let error = LibsqlStore::connect_with(LibsqlConfig::new("libsql://iii.dev")).await.unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("remote"), "{error}");
    }
}
