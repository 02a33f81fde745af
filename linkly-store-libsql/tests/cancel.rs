//! A future that is dropped leaves its call done or not done, never half, and the store in order.

mod fixture;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use fixture::{clicks, code, counted};
use linkly_core::{ClickSink, LinkStore, Use, Uuid};
use linkly_store_libsql::LibsqlStore;

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

/// Waits for the statement that a dropped future left running: the next write is behind it.
async fn settle(store: &LibsqlStore) {
    store.consume(&[Use::new(code("none"), Uuid::nil(), 1)]).await.unwrap();
}

async fn clicks_are_all_recorded_or_none(store: LibsqlStore, rounds: usize) {
    let (mut before, mut done) = (0, 0);
    for polls in POLLS.cycle().take(rounds) {
        let batch = clicks("a", 500);
        let was_done = dropped_after(polls, store.record(&batch)).await;
        settle(&store).await;
        let after = counted(&store).await;
        assert!(after == before + 500 || (after == before && !was_done), "{before} {after}");
        (before, done) = (after, done + usize::from(was_done));
    }
    assert!(done > 0 && done < rounds, "{done}: both are to be seen");
}

#[cfg(feature = "local")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_are_all_recorded_in_a_file_or_none() {
    let file = fixture::File::new();
    clicks_are_all_recorded_or_none(file.open().await, 100).await;
}

#[cfg(feature = "local")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_migration_can_be_begun_again() {
    for polls in 0..40 {
        let file = fixture::File::new();
        dropped_after(polls, LibsqlStore::connect_with(file.config())).await;
        let store = file.open().await;
        let versions = fixture::count(&store, "SELECT count(*) FROM linkly_meta WHERE key = 'schema_version'").await;
        assert_eq!(versions, 1);
    }
}

#[cfg(feature = "remote")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_are_all_recorded_on_a_server_or_none() {
    let sqld = linkly_testkit::Sqld::start();
    clicks_are_all_recorded_or_none(LibsqlStore::connect(sqld.url()).await.unwrap(), 40).await;
}
