//! The app's own SQL, and links inside its transactions.

mod fixture;

use fixture::{code, count, execute, link};
use linkly_core::{
    ClickSink, ClickStatsExt, Delete, Error, Insert, LinkStore, LinkStoreExt, ListLinks, Maintenance, Scope, Update,
};
use linkly_store_libsql::libsql::TransactionBehavior;
use linkly_store_libsql::{LibsqlStore, Value};

async fn statements_take_parameters_and_return_rows(store: &LibsqlStore) {
    execute(store, "CREATE TABLE orders (name TEXT, number, bytes)").await;
    let odd = "it's ?1 -- \"é\"\n";
    let insert = "INSERT INTO orders VALUES (?1, ?2, ?3), (?1, -?2, NULL)";
    let values = || vec![Value::from(odd), Value::Integer(-7), Value::Blob(vec![0, 0xff])];
    assert_eq!(store.execute(insert, values()).await.unwrap(), 2);
    let select = "SELECT name, number, bytes, '?1' FROM orders WHERE name = ? AND number = ? /* ?9 */";
    let rows = store.query(select, values()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].text(0).as_deref(), rows[0].integer(1)), (Some(odd), Some(-7)));
    assert_eq!((rows[0].bytes(2), rows[0].text(3).as_deref()), (Some([0, 0xff].as_slice()), Some("?1")));
    let error = store.query("SELECT * FROM no_such_table_of_the_app", Vec::new()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no_such_table_of_the_app") && !text.contains("migrate"), "{text}");
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
}

async fn an_update_by_the_app_is_a_change_and_ends_older_versions(store: &LibsqlStore) {
    let mut read = link("edited");
    read.tags = vec!["old".into()];
    store.insert_one(&read).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    execute(store, r#"UPDATE links SET url = 'https://iii.dev/new', tags = '["new"]' WHERE code = 'edited'"#).await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("edited")]);
    assert_eq!(store.update_one(&read).await.unwrap(), Update::Conflict);
    assert!(store.list(&ListLinks::new(Scope::All).with_tag("old")).await.unwrap().items.is_empty());
    assert_eq!(store.list(&ListLinks::new(Scope::All).with_tag("new")).await.unwrap().items.len(), 1);
    store.optimize().await.unwrap();
    assert_eq!(count(store, "SELECT count(*) FROM links WHERE url_hash IS NULL").await, 0);
}

async fn a_link_is_there_when_the_apps_rows_are_and_not_before(store: &LibsqlStore) {
    execute(store, "CREATE TABLE carts (code TEXT)").await;
    let connection = store.connection().unwrap();
    let new = link("in-cart");
    for (commits, wanted) in [(false, 0), (true, 1)] {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).await.unwrap();
        transaction.execute("INSERT INTO carts VALUES ('in-cart')", ()).await.unwrap();
        assert_eq!(store.insert_in(&transaction, &new).await.unwrap(), Insert::Inserted);
        assert!(store.get_one(&new.code).await.unwrap().is_none());
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(count(store, "SELECT count(*) FROM carts").await, wanted);
        assert_eq!(store.get_one(&new.code).await.unwrap().is_some(), commits);
    }
    let mut bad = link("bad");
    bad.version = 0;
    assert!(store.insert_in(&connection, &bad).await.unwrap_err().is_invalid_input());
    assert_eq!(store.insert_in(&connection, &new).await.unwrap(), Insert::Inserted, "sent again");
    assert_eq!(store.insert_in(&connection, &link("in-cart")).await.unwrap(), Insert::CodeTaken);
    let mut moved = link("elsewhere");
    moved.id = new.id;
    assert!(matches!(store.insert_in(&connection, &moved).await, Err(Error::Refused { .. })));
    store.delete_one(Delete::new(new.code.clone(), new.id).with_release()).await.unwrap();
}

async fn clicks_of_the_app_are_counted(store: &LibsqlStore) {
    execute(store, "INSERT INTO clicks (code, clicked_at) VALUES ('x', '2026-01-11T10:00:00Z')").await;
    store.record(&fixture::clicks("x", 3)).await.unwrap();
    assert_eq!(store.total(&code("x")).await.unwrap().clicks, 4);
    assert_eq!(fixture::counted(store).await, 4);
}

/// A server takes no `ANALYZE`.
#[cfg(feature = "local")]
async fn statistics_that_the_app_gathers_of_small_tables_are_removed(store: &LibsqlStore) {
    execute(store, "CREATE TABLE small (name TEXT PRIMARY KEY)").await;
    execute(store, "INSERT INTO small VALUES ('a')").await;
    execute(store, "ANALYZE").await;
    assert_ne!(count(store, "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'links'").await, 0);
    store.optimize().await.unwrap();
    assert_eq!(count(store, "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'links'").await, 0);
    assert_ne!(count(store, "SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'small'").await, 0, "the app's stay");
    assert_eq!(store.get_one(&code("edited")).await.unwrap().unwrap().url, "https://iii.dev/new");
}

#[cfg(feature = "local")]
#[tokio::test]
async fn the_apps_sql_works_on_a_file() {
    let file = fixture::File::new();
    let store = file.open().await;
    statements_take_parameters_and_return_rows(&store).await;
    an_update_by_the_app_is_a_change_and_ends_older_versions(&store).await;
    a_link_is_there_when_the_apps_rows_are_and_not_before(&store).await;
    clicks_of_the_app_are_counted(&store).await;
    statistics_that_the_app_gathers_of_small_tables_are_removed(&store).await;
    let error = store.query("DELETE FROM links", Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("read-only"), "{error}");
    // All values, also those that a text would end at.
    let nul = store.query("SELECT CAST(?1 AS BLOB)", vec![Value::from("a\0b")]).await.unwrap();
    assert_eq!(nul[0].bytes(0), Some(b"a\0b".as_slice()));
}

#[cfg(feature = "local")]
#[tokio::test]
async fn a_database_in_memory_has_no_second_connection() {
    let store = LibsqlStore::connect("file::memory:").await.unwrap();
    statements_take_parameters_and_return_rows(&store).await;
    assert!(matches!(store.connection(), Err(Error::Refused { .. })));
}

#[cfg(feature = "remote")]
#[tokio::test]
async fn the_apps_sql_works_on_a_server() {
    let sqld = linkly_testkit::Sqld::start();
    let store = LibsqlStore::connect(sqld.url()).await.unwrap();
    statements_take_parameters_and_return_rows(&store).await;
    an_update_by_the_app_is_a_change_and_ends_older_versions(&store).await;
    a_link_is_there_when_the_apps_rows_are_and_not_before(&store).await;
    clicks_of_the_app_are_counted(&store).await;
    let nul = store.query("SELECT CAST(?1 AS BLOB)", vec![Value::from("a\0b")]).await.unwrap();
    assert_eq!(nul[0].bytes(0), Some(b"a\0b".as_slice()));
}
