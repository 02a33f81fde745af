//! A replica answers what may lag, and nothing else.

mod fixture;

use std::time::Duration;

use fixture::{at, clicks, code, link};
use linkly_core::{
    ClickSink, ClickStats, ClickStatsExt, LinkStore, LinkStoreExt, ListClicks, ListLinks, Maintenance, Scope, Series,
    Step, TimeRange, Top,
};
use linkly_store_postgres::{PoolConfig, PostgresConfig, PostgresStore};
use linkly_testkit::Postgres;

fn at_replica(url: &str, primary: &Postgres, replica: &Postgres) -> String {
    url.replace(&primary.address().to_string(), &replica.address().to_string())
}

async fn listed(store: &PostgresStore) -> usize {
    store.list(&ListLinks::new(Scope::All)).await.unwrap().items.len()
}

/// How many clicks each of the statistics knows.
async fn known(store: &PostgresStore) -> [u64; 4] {
    let series = store.series(&Series::new(code("a"), TimeRange::all(), Step::Hour)).await.unwrap();
    let top = store.top(&Top::new(Scope::All, TimeRange::all())).await.unwrap();
    let rows = store.clicks(&ListClicks::new(TimeRange::all())).await.unwrap().items;
    [
        store.total(&code("a")).await.unwrap().clicks,
        series.iter().map(|bucket| bucket.clicks).sum(),
        top.iter().map(|link| link.clicks).sum(),
        rows.len() as u64,
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_and_statistics_lag_as_the_replica_does_and_nothing_else() {
    let primary = Postgres::start();
    let replica = tokio::task::block_in_place(|| primary.replica());
    let url = primary.new_database();
    let config = PostgresConfig::new(&url).with_replica_url(at_replica(&url, &primary, &replica));
    let store = PostgresStore::connect_with(config).await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    store.record(&clicks("a", 3)).await.unwrap();
    tokio::task::block_in_place(|| {
        replica.catch_up(&primary);
        replica.pause_replay();
    });
    let cursor = store.changes(None).await.unwrap().next;
    let mut edited = link("b");
    store.insert_one(&edited).await.unwrap();
    edited.title = Some("edited".into());
    store.update_one(&edited).await.unwrap();
    store.record(&clicks("a", 4)).await.unwrap();

    assert_eq!((listed(&store).await, known(&store).await), (1, [3; 4]));
    assert!(store.target(&code("b")).await.unwrap().is_some(), "a miss reads the primary");
    assert_eq!(store.get_one(&code("b")).await.unwrap().unwrap().version, 2);
    assert_eq!(store.changes(Some(&cursor)).await.unwrap().codes, [code("b")]);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences, []);

    tokio::task::block_in_place(|| {
        replica.resume_replay();
        replica.catch_up(&primary);
    });
    assert_eq!((listed(&store).await, known(&store).await), (2, [7; 4]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_replica_is_down_the_primary_answers() {
    let primary = Postgres::start();
    let replica = tokio::task::block_in_place(|| primary.replica());
    let url = primary.new_database();
    let pool = PoolConfig::default()
        .with_acquire_timeout(Duration::from_millis(500))
        .with_connect_timeout(Duration::from_millis(400));
    let config = PostgresConfig::new(&url)
        .with_replica_url(at_replica(&url, &primary, &replica))
        .with_pool(pool)
        .with_statement_timeout(Duration::from_millis(500));
    for kill in [true, false] {
        let store = PostgresStore::connect_with(config.clone()).await.unwrap();
        tokio::task::block_in_place(|| replica.catch_up(&primary));
        let before = listed(&store).await;
        store.insert_one(&link(&format!("a{kill}"))).await.unwrap();
        tokio::task::block_in_place(|| if kill { replica.kill() } else { replica.pause() });
        assert_eq!(listed(&store).await, before + 1);
        // It is left alone then: this one does not wait for it.
        let begun = std::time::Instant::now();
        assert_eq!(listed(&store).await, before + 1);
        assert!(begun.elapsed() < Duration::from_millis(400), "{:?}", begun.elapsed());
        tokio::task::block_in_place(|| if kill { replica.restart() } else { replica.resume() });
    }
}

/// A replica that has not got the tables yet is no reason to fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_the_tables_does_not_fail_a_list() {
    let primary = Postgres::start();
    let replica = tokio::task::block_in_place(|| primary.replica());
    let url = primary.new_database();
    tokio::task::block_in_place(|| {
        replica.catch_up(&primary);
        replica.pause_replay();
    });
    let config = PostgresConfig::new(&url).with_replica_url(at_replica(&url, &primary, &replica));
    let store = PostgresStore::connect_with(config).await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    assert_eq!(listed(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_apps_pool_can_be_the_replica() {
    let database = fixture::Database::new();
    let (other, store) = (fixture::Database::new().open().await, database.open().await);
    store.insert_one(&link("a")).await.unwrap();
    other.insert(&fixture::links(3)).await.unwrap();
    // Another database stands for one that lags, to show which one answers.
    let store = store.with_replica(other.pool().clone());
    assert_eq!(listed(&store).await, 3);
    assert!(store.target(&code("a")).await.unwrap().is_some());
    assert!(store.purge_clicks(at("2026-01-11T10:00:00Z"), 1).await.unwrap().done);
}
