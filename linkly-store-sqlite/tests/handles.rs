//! Several stores on one file, as several processes have them.

mod fixture;

use fixture::{File, clicks, code, counted, link, links};
use linkly_core::{ClickSink, ClickStatsExt, Insert, LinkStore, LinkStoreExt, Maintenance, Update};

#[tokio::test]
async fn each_sees_what_the_other_wrote() {
    let file = File::new();
    let (one, other) = (file.open().await, file.open().await);
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
    let file = File::new();
    let tasks: Vec<_> = (0..4)
        .map(|number| {
            let config = file.config().with_busy_timeout(std::time::Duration::from_secs(60));
            tokio::spawn(async move {
                let store = linkly_store_sqlite::SqliteStore::connect_with(config).await.unwrap();
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
    assert_eq!(counted(&file.open().await).await, 800);
}

#[tokio::test]
async fn a_cursor_of_another_database_has_lost_its_place() {
    let (file, other) = (File::new(), File::new());
    let (store, other) = (file.open().await, other.open().await);
    store.insert_one(&link("a")).await.unwrap();
    other.insert_one(&link("a")).await.unwrap();
    let cursor = store.changes(None).await.unwrap().next;
    assert!(!store.changes(Some(&cursor)).await.unwrap().lost);
    assert!(other.changes(Some(&cursor)).await.unwrap().lost);
}
