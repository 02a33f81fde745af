//! Limits of clicks.

mod fixture;

use fixture::{Database, code, link};
use linkly_core::{LinkStore, LinkStoreExt, Use};

#[tokio::test]
async fn an_id_under_another_links_code_is_granted_nothing() {
    let store = Database::new().open().await;
    let (mut limited, unlimited) = (link("limited"), link("unlimited"));
    limited.max_clicks = Some(5);
    store.insert(&[limited.clone(), unlimited.clone()]).await.unwrap();
    let uses = [
        Use::new(code("unlimited"), limited.id, 4),
        Use::new(code("none"), limited.id, 4),
        Use::new(code("limited"), limited.id, 4),
        Use::new(code("limited"), unlimited.id, 4),
        Use::new(code("unlimited"), unlimited.id, 4),
        Use::new(code("limited"), limited.id, 4),
    ];
    assert_eq!(store.consume(&uses).await.unwrap(), [0, 0, 4, 0, 4, 1]);
    assert_eq!(store.get_one(&code("limited")).await.unwrap().unwrap().consumed, 5);
    assert_eq!(store.consume(&uses).await.unwrap(), [0, 0, 0, 0, 4, 0]);
}

/// Each batch holds the same links in an order of its own: the locks are taken in one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn batches_with_the_same_links_in_any_order_are_granted_exactly_the_limits() {
    let store = Database::new().open().await;
    let mut all = fixture::links(20);
    all.iter_mut().for_each(|link| link.max_clicks = Some(100));
    store.insert(&all).await.unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let (store, mut uses) = (store.clone(), Vec::new());
            uses.extend(all.iter().map(|link| Use::new(link.code.clone(), link.id, 1)));
            uses.rotate_left(number * 3 % 20);
            if number % 2 == 0 {
                uses.reverse();
            }
            tokio::spawn(async move {
                let mut granted = 0;
                for _ in 0..25 {
                    granted += store.consume(&uses).await.unwrap().iter().sum::<u32>();
                }
                granted
            })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        granted += task.await.unwrap();
    }
    assert_eq!(granted, 2_000);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(fixture::count(&store, deadlocks).await, 0);
}
