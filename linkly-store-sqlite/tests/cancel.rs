//! A future that is dropped leaves its call done or not done, never half, and the store in order.

mod fixture;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use fixture::{File, clicks, code, count, counted, link, links};
use linkly_core::chrono::TimeDelta;
use linkly_core::{ClickSink, Delete, LinkStore, LinkStoreExt, Maintenance, PurgeExpired, Use};
use linkly_store_sqlite::SqliteStore;

/// How often a future is polled before it is dropped: from never to until it is done.
const POLLS: std::ops::Range<usize> = 0..12;

/// Polls a future so often, each time when it asks for it, and drops it. Whether it was done.
async fn dropped_after<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(context).map(|_| true)
    })
    .await
}

/// Waits for the statement that a dropped future left running: the next write is behind it.
async fn settle(store: &SqliteStore) {
    store.consume(&[Use::new(code("none"), linkly_core::Uuid::nil(), 1)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_are_all_recorded_or_none() {
    let file = File::new();
    let store = file.open().await;
    let (mut before, mut done) = (0, 0);
    for polls in POLLS.cycle().take(100) {
        let batch = clicks("a", 500);
        let was_done = dropped_after(polls, store.record(&batch)).await;
        settle(&store).await;
        let after = counted(&store).await;
        assert!(after == before + 500 || (after == before && !was_done), "{before} {after}");
        (before, done) = (after, done + usize::from(was_done));
    }
    assert!(done > 0 && done < 100, "{done}: both are to be seen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_are_all_written_or_none() {
    let file = File::new();
    let store = file.open().await;
    for round in 0..60 {
        let polls = round % POLLS.end;
        let batch: Vec<_> = (0..100).map(|number| link(&format!("r{round}-{number}"))).collect();
        let whole = |found: i64| assert!(found == 0 || found == 100, "{found}");
        dropped_after(polls, store.insert(&batch)).await;
        settle(&store).await;
        whole(count(&store, "SELECT count(*) FROM links").await);
        store.insert(&batch).await.unwrap();

        let mut edited = batch.clone();
        edited.iter_mut().for_each(|link| link.title = Some("edited".into()));
        dropped_after(polls, store.update(&edited)).await;
        settle(&store).await;
        whole(count(&store, "SELECT count(*) FROM links WHERE version = 2").await);
        assert!(store.update(&edited).await.unwrap().iter().all(|update| *update != linkly_core::Update::Conflict));

        let deletes: Vec<_> = batch.iter().map(|link| Delete::new(link.code.clone(), link.id).with_release()).collect();
        dropped_after(polls, store.delete(&deletes)).await;
        settle(&store).await;
        let left = count(&store, "SELECT count(*) FROM links").await;
        whole(left);
        let released = count(&store, "SELECT count(*) FROM released_links").await;
        assert_eq!(released + left, (round as i64 + 1) * 100);
        store.delete(&deletes).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_maintenance_leaves_counts_whole() {
    let file = File::new();
    let store = file.open().await;
    let mut batch = links(50);
    batch.iter_mut().for_each(|link| link.expires_at = Some(link.created_at + TimeDelta::days(1)));
    for polls in POLLS {
        store.insert(&batch).await.unwrap();
        store.record(&clicks("c1", 100)).await.unwrap();
        let purge = PurgeExpired::new("2027-01-01T00:00:00Z".parse().unwrap()).with_release();
        dropped_after(polls, store.purge_expired(&purge)).await;
        settle(&store).await;
        counted(&store).await;
        store.purge_expired(&purge).await.unwrap();
        assert_eq!(counted(&store).await, 0);
        batch = links(50);
        batch.iter_mut().for_each(|link| link.expires_at = Some(link.created_at + TimeDelta::days(1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_migration_can_be_begun_again() {
    for polls in 0..120 {
        let file = File::new();
        dropped_after(polls, SqliteStore::connect_with(file.config())).await;
        let store = file.open().await;
        store.insert_one(&link("a")).await.unwrap();
        assert_eq!(count(&store, "SELECT count(*) FROM linkly_meta WHERE key = 'schema_version'").await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transaction_of_the_app_leaves_no_link() {
    use linkly_store_sqlite::sqlx::Connection;
    let file = File::new();
    let store = file.open().await;
    let new = link("a");
    for polls in 0..30 {
        let work = async {
            let mut connection = store.writer().acquire().await.unwrap();
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.unwrap();
            store.insert_in(&mut transaction, &new).await.unwrap();
            std::future::pending::<()>().await;
        };
        let mut work = Box::pin(work);
        for _ in 0..polls {
            tokio::select! { biased; () = &mut work => {}, () = tokio::task::yield_now() => {} }
        }
        drop(work);
        settle(&store).await;
        assert!(store.get_one(&code("a")).await.unwrap().is_none());
    }
}
