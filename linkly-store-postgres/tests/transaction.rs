//! A link inside the app's own transaction.

mod fixture;

use fixture::{Database, client, code, count, link, run};
use linkly_core::{Delete, Error, Insert, LinkStoreExt, Maintenance};

#[tokio::test]
async fn it_is_there_when_the_apps_rows_are_and_not_before() {
    let store = Database::new().open().await;
    run(&store, "CREATE TABLE orders (code text)").await;
    let start = store.changes(None).await.unwrap().next;
    for (commits, wanted) in [(false, 0), (true, 1)] {
        let mut client = client(&store).await;
        let transaction = client.transaction().await.unwrap();
        transaction.execute("INSERT INTO orders VALUES ('a')", &[]).await.unwrap();
        assert_eq!(store.insert_in(&transaction, &link("a")).await.unwrap(), Insert::Inserted);
        assert!(store.get_one(&code("a")).await.unwrap().is_none());
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(count(&store, "SELECT count(*) FROM orders").await, wanted);
        assert_eq!(count(&store, "SELECT count(*) FROM links").await, wanted);
        assert_eq!(store.changes(Some(&start)).await.unwrap().codes.len() as i64, wanted);
    }
}

#[tokio::test]
async fn it_says_what_insert_says() {
    let store = Database::new().open().await;
    let (first, second) = (link("a"), link("a"));
    let mut client = client(&store).await;
    let transaction = client.transaction().await.unwrap();
    for (link, wanted) in [(&first, Insert::Inserted), (&first, Insert::Inserted), (&second, Insert::CodeTaken)] {
        assert_eq!(store.insert_in(&transaction, link).await.unwrap(), wanted);
    }
    let mut bad = link("b");
    bad.version = 0;
    assert!(store.insert_in(&transaction, &bad).await.unwrap_err().is_invalid_input());
    transaction.commit().await.unwrap();
    assert_eq!(store.get_one(&code("a")).await.unwrap(), Some(first.clone()));

    store.delete_one(Delete::new(first.code.clone(), first.id).with_release()).await.unwrap();
    let transaction = client.transaction().await.unwrap();
    assert_eq!(store.insert_in(&transaction, &first).await.unwrap(), Insert::Inserted, "sent again");
    let mut moved = link("elsewhere");
    moved.id = first.id;
    assert!(matches!(store.insert_in(&transaction, &moved).await, Err(Error::Refused { .. })));
    drop(transaction);
    assert_eq!(count(&store, "SELECT count(*) FROM links").await, 0);
}

#[tokio::test]
async fn the_same_code_elsewhere_waits_until_the_transaction_ends() {
    let store = Database::new().open().await;
    for (commits, wanted) in [(false, Insert::Inserted), (true, Insert::CodeTaken)] {
        let name = format!("a{commits}");
        let mut client = client(&store).await;
        let transaction = client.transaction().await.unwrap();
        store.insert_in(&transaction, &link(&name)).await.unwrap();
        let other = tokio::spawn({
            let (store, link) = (store.clone(), link(&name));
            async move { store.insert_one(&link).await.unwrap() }
        });
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
                     AND datname = current_database()";
        while count(&store, waits).await == 0 {
            tokio::task::yield_now().await;
        }
        if commits {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
        assert_eq!(other.await.unwrap(), wanted);
    }
}
