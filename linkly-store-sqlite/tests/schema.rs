//! The schema: made once however many start at once, and never guessed.

mod fixture;

use fixture::{File, code, count, link};
use linkly_core::{Error, Folding, LinkStore, LinkStoreExt};
use linkly_store_sqlite::{MIGRATIONS, SCHEMA_VERSION, SqliteConfig, SqliteStore, sqlx};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_that_start_at_once_make_one_database() {
    for _ in 0..5 {
        let file = File::new();
        let tasks: Vec<_> = (0..8)
            .map(|number| {
                let config = file.config();
                tokio::spawn(async move {
                    let store = SqliteStore::connect_with(config).await.unwrap();
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
async fn folders_and_file_are_created() {
    let file = File::new();
    let path = file.folder.path().join("a/b c/linkly.db");
    let store = SqliteStore::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    assert!(path.exists());
    assert_eq!(MIGRATIONS.last().unwrap().version, SCHEMA_VERSION);
    store.close().await;
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_versions() {
    let file = File::new();
    let store = file.open().await;
    let newer = "UPDATE linkly_meta SET value = '7' WHERE key = 'schema_version'";
    sqlx::query(newer).execute(store.writer()).await.unwrap();
    store.close().await;
    let error = SqliteStore::connect_with(file.config()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Schema { .. }) && text.contains("version 7") && text.contains("version 1"),
        "{text}"
    );
}

#[tokio::test]
async fn another_folding_than_the_databases_is_refused() {
    let file = File::new();
    SqliteStore::connect_with(file.config().with_folding(Folding::Lower)).await.unwrap().close().await;
    let error = SqliteStore::connect_with(file.config().with_folding(Folding::Sensitive)).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("lower"), "{error}");
    assert_eq!(file.open().await.folding(), Folding::Lower);
}

#[tokio::test]
async fn tables_of_something_else_are_left_alone() {
    for (table, named) in [
        ("CREATE TABLE links (id INTEGER PRIMARY KEY, href TEXT)", "href"),
        ("CREATE TABLE clicks (x INTEGER)", "clicks"),
        (
            "CREATE TABLE links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL, title TEXT)",
            "title",
        ),
        ("CREATE TABLE link_tags (link INTEGER)", "link_tags"),
    ] {
        let file = File::new();
        let other = SqliteStore::connect_with(file.config().with_prefix("other_")).await.unwrap();
        sqlx::query(table).execute(other.writer()).await.unwrap();
        let error = SqliteStore::connect_with(file.config()).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains(named), "{error}");
        assert!(error.to_string().contains("choose a prefix"), "{error}");
        // Nothing of the attempt is left, and the prefix helps.
        assert_eq!(count(&other, "SELECT count(*) FROM sqlite_master WHERE name = 'linkly_meta'").await, 0);
        let own = SqliteStore::connect_with(file.config().with_prefix("own_")).await.unwrap();
        own.insert_one(&link("a")).await.unwrap();
        assert!(other.get_one(&code("a")).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_call_before_the_migration_says_what_to_do() {
    let file = File::new();
    let pool = file.open().await;
    let [writer, readers] = [pool.writer().clone(), pool.pool().clone()];
    let store = SqliteStore::new_with(writer, readers, SqliteConfig::new("").with_prefix("new_")).await.unwrap();
    let error = store.insert_one(&link("a")).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("migrate()"), "{error}");
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
}

#[tokio::test]
async fn the_index_over_the_clicks_of_each_code_can_be_made_later() {
    let file = File::new();
    file.open().await.close().await;
    let named = "SELECT count(*) FROM sqlite_master WHERE name = 'clicks_by_code'";
    let store = SqliteStore::connect_with(file.config().with_clicks_by_code_index()).await.unwrap();
    assert_eq!(count(&store, named).await, 1);
    // Leaving the choice out does not drop it.
    assert_eq!(count(&file.open().await, named).await, 1);
}
