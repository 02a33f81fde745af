//! A future that is dropped leaves its call done or not done, never half, and the store in order.

mod fixture;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use fixture::{Database, clicks, client, code, count, counted, link, links};
use linkly_core::chrono::TimeDelta;
use linkly_core::{ClickSink, Delete, LinkStore, LinkStoreExt, Maintenance, PurgeExpired, Update};
use linkly_store_postgres::PostgresStore;

/// How often a future is polled before it is dropped: from never to until it is done.
const POLLS: std::ops::Range<usize> = 0..8;

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

/// Waits for the statement that a dropped future left running: the server ends it, or the session.
async fn settle(store: &PostgresStore) {
    let running = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND pid <> pg_backend_pid() AND state <> 'idle'";
    while count(store, running).await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_are_all_recorded_or_none() {
    let store = Database::new().open().await;
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
    let store = Database::new().open().await;
    for round in 0..40 {
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
        assert!(store.update(&edited).await.unwrap().iter().all(|update| *update != Update::Conflict));

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
    let store = Database::new().open().await;
    let expiring = || {
        let mut batch = links(50);
        batch.iter_mut().for_each(|link| link.expires_at = Some(link.created_at + TimeDelta::days(1)));
        batch
    };
    for polls in POLLS {
        store.insert(&expiring()).await.unwrap();
        store.record(&clicks("c1", 100)).await.unwrap();
        let purge = PurgeExpired::new("2027-01-01T00:00:00Z".parse().unwrap()).with_release();
        dropped_after(polls, store.purge_expired(&purge)).await;
        settle(&store).await;
        counted(&store).await;
        store.purge_expired(&purge).await.unwrap();
        assert_eq!(counted(&store).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_migration_can_be_begun_again() {
    let database = Database::new();
    for polls in 0..40 {
        let config = database.config().with_schema(format!("s{polls}"));
        dropped_after(polls, PostgresStore::connect_with(config.clone())).await;
        let store = PostgresStore::connect_with(config).await.unwrap();
        store.insert_one(&link("a")).await.unwrap();
        let versions = format!("SELECT count(*) FROM s{polls}.linkly_meta WHERE key = 'schema_version'");
        assert_eq!(count(&store, &versions).await, 1);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_transaction_of_the_app_leaves_no_link() {
    let store = Database::new().open().await;
    let new = link("a");
    for polls in 0..12 {
        let work = async {
            let mut client = client(&store).await;
            let transaction = client.transaction().await.unwrap();
            store.insert_in(&transaction, &new).await.unwrap();
            std::future::pending::<()>().await;
        };
        dropped_after(polls, async {
            tokio::select! { () = work => {}, () = turns(polls) => {} }
        })
        .await;
        settle(&store).await;
        assert!(store.get_one(&code("a")).await.unwrap().is_none());
    }
}

/// Lets others go on so often.
async fn turns(count: usize) {
    for _ in 0..count * 50 {
        tokio::task::yield_now().await;
    }
}

/// A connection that nobody waits for any more is not handed to the next call, which would wait for its statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_call_holds_up_no_other() {
    let database = Database::new();
    let store = database.open().await;
    let mut holder = client(&store).await;
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE links").await.unwrap();
    for _ in 0..20 {
        let codes = [code("a")];
        let mut waiting = pin!(store.targets(&codes));
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock'";
        let before = count(&store, waits).await;
        while count(&store, waits).await == before {
            tokio::select! { biased; _ = &mut waiting => unreachable!("it is locked"), () = tokio::task::yield_now() => {} }
        }
    }
    store.ping().await.unwrap();
    lock.rollback().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
}
