//! A link inside the app's own transaction.

mod fixture;

use fixture::{File, code, count, link};
use linkly_core::{Delete, Error, Insert, LinkStoreExt, Maintenance};
use linkly_store_sqlite::sqlx::{self, Connection};

#[tokio::test]
async fn it_is_there_when_the_apps_rows_are_and_not_before() {
    let file = File::new();
    let store = file.open().await;
    sqlx::query("CREATE TABLE orders (code TEXT)").execute(store.writer()).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    for (commits, wanted) in [(false, 0), (true, 1)] {
        let mut connection = store.writer().acquire().await.unwrap();
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO orders VALUES ('a')").execute(&mut *transaction).await.unwrap();
        assert_eq!(store.insert_in(&mut transaction, &link("a")).await.unwrap(), Insert::Inserted);
        assert!(store.get_one(&code("a")).await.unwrap().is_none());
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        drop(connection);
        assert_eq!(count(&store, "SELECT count(*) FROM orders").await, wanted);
        assert_eq!(count(&store, "SELECT count(*) FROM links").await, wanted);
        assert_eq!(store.changes(Some(&start)).await.unwrap().codes.len() as i64, wanted);
    }
}

#[tokio::test]
async fn it_says_what_insert_says() {
    let file = File::new();
    let store = file.open().await;
    let (first, second) = (link("a"), link("a"));
    let mut connection = store.writer().acquire().await.unwrap();
    let mut transaction = connection.begin().await.unwrap();
    for (link, wanted) in [(&first, Insert::Inserted), (&first, Insert::Inserted), (&second, Insert::CodeTaken)] {
        assert_eq!(store.insert_in(&mut transaction, link).await.unwrap(), wanted);
    }
    let mut bad = link("b");
    bad.version = 0;
    assert!(store.insert_in(&mut transaction, &bad).await.unwrap_err().is_invalid_input());
    transaction.commit().await.unwrap();
    drop(connection);
    assert_eq!(store.get_one(&code("a")).await.unwrap(), Some(first.clone()));

    store.delete_one(Delete::new(first.code.clone(), first.id).with_release()).await.unwrap();
    let mut connection = store.writer().acquire().await.unwrap();
    assert_eq!(store.insert_in(&mut connection, &first).await.unwrap(), Insert::Inserted, "sent again");
    let mut moved = link("elsewhere");
    moved.id = first.id;
    assert!(matches!(store.insert_in(&mut connection, &moved).await, Err(Error::Refused { .. })));
    drop(connection);
    assert_eq!(count(&store, "SELECT count(*) FROM links").await, 0);
}
