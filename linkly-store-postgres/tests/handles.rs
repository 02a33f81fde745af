//! Several stores on one database, as several processes have them.

mod fixture;

use fixture::{Database, clicks, client, code, count, counted, link, links, run};
use linkly_core::{ClickSink, ClickStatsExt, Insert, LinkStore, LinkStoreExt, Maintenance, Update};
use linkly_testkit::{Postgres, eventually};

#[tokio::test]
async fn each_sees_what_the_other_wrote() {
    let database = Database::new();
    let (one, other) = (database.open().await, database.open().await);
    let start = other.changes(None).await.unwrap().next;
    let mut link = link("a");
    one.insert_one(&link).await.unwrap();
    assert_eq!(other.get_one(&code("a")).await.unwrap().as_ref(), Some(&link));
    link.title = Some("by the other".into());
    assert_eq!(other.update_one(&link).await.unwrap(), Update::Updated { version: 2 });
    assert_eq!(one.update_one(&link).await.unwrap(), Update::Updated { version: 2 }, "the same call again");
    link.title = Some("too late".into());
    assert_eq!(one.update_one(&link).await.unwrap(), Update::Conflict);
    one.record(&clicks("a", 3)).await.unwrap();
    assert_eq!(other.total(&code("a")).await.unwrap().clicks, 3);
    let changes = other.changes(Some(&start)).await.unwrap();
    assert_eq!((changes.codes.as_slice(), changes.lost, changes.more), ([code("a")].as_slice(), false, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_several_stores_lose_nothing() {
    let database = Database::new();
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let config = database.config();
            tokio::spawn(async move {
                let store = linkly_store_postgres::PostgresStore::connect_with(config).await.unwrap();
                let mut won = 0;
                for round in 0..20 {
                    store.record(&clicks(&format!("c{}", (number + round) % 3), 10)).await.unwrap();
                    let inserted = store.insert(&links(20)).await.unwrap();
                    won += inserted.iter().filter(|insert| **insert == Insert::Inserted).count();
                }
                won
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += task.await.unwrap();
    }
    assert_eq!(won, 20, "of many callers racing for one code, one has it");
    let store = database.open().await;
    assert_eq!(counted(&store).await, 800);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(count(&store, deadlocks).await, 0);
}

/// The same call from two processes at once: the second has not seen the first when it begins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_insert_that_is_sent_twice_at_once_is_inserted_twice_over() {
    let database = Database::new();
    let stores = [database.open().await, database.open().await];
    for round in 0..50 {
        let batch: Vec<_> = (0..20).map(|number| link(&format!("r{round}-{number}"))).collect();
        let sendings = stores.clone().map(|store| {
            let mut batch = batch.clone();
            batch.rotate_left(round % 20);
            tokio::spawn(async move { store.insert(&batch).await.unwrap() })
        });
        for sending in sendings {
            assert_eq!(sending.await.unwrap(), [Insert::Inserted; 20]);
        }
    }
    assert_eq!(count(&stores[0], "SELECT count(*) FROM links").await, 1_000);
}

#[tokio::test]
async fn a_cursor_of_another_database_has_lost_its_place() {
    let (database, other) = (Database::new(), Database::new());
    let (store, other) = (database.open().await, other.open().await);
    store.insert_one(&link("a")).await.unwrap();
    other.insert_one(&link("a")).await.unwrap();
    let cursor = store.changes(None).await.unwrap().next;
    assert!(!store.changes(Some(&cursor)).await.unwrap().lost);
    assert!(other.changes(Some(&cursor)).await.unwrap().lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_the_database_that_a_copy_was_made_of_has_lost_its_place() {
    let database = Database::new();
    let store = database.open().await;
    store.insert_one(&link("a")).await.unwrap();
    let cursor = store.changes(None).await.unwrap().next;
    store.close().await;
    let name = database.url.rsplit('/').next().unwrap();
    let sessions = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'");
    tokio::task::block_in_place(|| {
        eventually("the sessions have ended", || Postgres::shared().sql(&sessions) == "0");
    });
    Postgres::shared().sql(&format!("CREATE DATABASE {name}_copy TEMPLATE {name}"));
    run(&database.open().await, "DELETE FROM links").await;
    let copy = Database { url: format!("{}_copy", database.url) }.open().await;
    assert!(copy.changes(Some(&cursor)).await.unwrap().lost);
}

/// A change is reported as soon as it is committed and once, whatever else is open, also when its transaction
/// began before others that were reported already.
#[tokio::test]
async fn a_transaction_that_stays_open_neither_hides_nor_repeats_the_changes_of_others() {
    let database = Database::new();
    let (store, other) = (database.open().await, Database::new().open().await);
    // Also one in another database of the server.
    let mut elsewhere = client(&other).await;
    let elsewhere = elsewhere.transaction().await.unwrap();
    other.insert_in(&elsewhere, &link("x")).await.unwrap();
    let mut open = client(&store).await;
    let open = open.transaction().await.unwrap();
    store.insert_in(&open, &link("late")).await.unwrap();

    let mut cursor = store.changes(None).await.unwrap().next;
    for name in ["a", "b", "c"] {
        store.insert_one(&link(name)).await.unwrap();
        let changes = store.changes(Some(&cursor)).await.unwrap();
        assert_eq!((changes.codes, changes.more, changes.lost), (vec![code(name)], false, false));
        cursor = changes.next;
    }
    open.commit().await.unwrap();
    let changes = store.changes(Some(&cursor)).await.unwrap();
    assert_eq!(changes.codes, [code("late")]);
    assert!(store.changes(Some(&changes.next)).await.unwrap().codes.is_empty());
    elsewhere.rollback().await.unwrap();
    assert!(store.changes(Some(&changes.next)).await.unwrap().codes.is_empty());
}

/// A reader in the middle of what was new keeps to it: what is committed meanwhile comes in the next round.
#[tokio::test]
async fn changes_that_are_committed_between_two_pages_are_not_missed() {
    let store = Database::new().open().await;
    let mut open = client(&store).await;
    let open = open.transaction().await.unwrap();
    store.insert_in(&open, &link("before")).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    store.insert(&links(1_500)).await.unwrap();
    let first = store.changes(Some(&start)).await.unwrap();
    assert_eq!((first.codes.len(), first.more), (1_000, true));
    open.commit().await.unwrap();
    store.insert_one(&link("after")).await.unwrap();
    let second = store.changes(Some(&first.next)).await.unwrap();
    assert_eq!((second.codes.len(), second.more), (500, false));
    let third = store.changes(Some(&second.next)).await.unwrap();
    assert_eq!((third.codes, third.more), (vec![code("before"), code("after")], false));
}
