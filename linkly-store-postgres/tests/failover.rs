//! The promoted replica is found by a URL of several hosts.

mod fixture;

use std::time::Duration;

use fixture::{clicks, code, counted, link};
use linkly_core::{ClickSink, Insert, LinkStoreExt, Maintenance, Result};
use linkly_store_postgres::{PoolConfig, PostgresConfig, PostgresStore};
use linkly_testkit::Postgres;

/// A database of a primary, and a URL that names its replica too.
fn pair() -> (Postgres, Postgres, PostgresConfig) {
    let primary = Postgres::start();
    let replica = primary.replica();
    let url = primary.new_database();
    let hosts = format!("{},{}", primary.address(), replica.address());
    let url = url.replace(&primary.address().to_string(), &hosts) + "?target_session_attrs=read-write";
    let pool = PoolConfig::default()
        .with_acquire_timeout(Duration::from_millis(1_500))
        .with_connect_timeout(Duration::from_millis(500));
    let config = PostgresConfig::new(url).with_pool(pool).with_statement_timeout(Duration::from_millis(500));
    (primary, replica, config)
}

async fn fill(store: &PostgresStore) {
    store.insert_one(&link("a")).await.unwrap();
    store.record(&clicks("a", 10)).await.unwrap();
    // Several connections, all of which lead to the old primary.
    let held = [fixture::client(store).await, fixture::client(store).await];
    drop(held);
}

async fn goes_on(store: &PostgresStore, new: &str) {
    assert!(store.target(&code("a")).await.unwrap().is_some());
    store.record(&clicks("a", 10)).await.unwrap();
    assert_eq!(store.insert_one(&link(new)).await.unwrap(), Insert::Inserted);
    assert_eq!(counted(store).await, 20);
}

/// What a call says that comes while nobody is the primary: nothing that is not transient.
fn transient<T: std::fmt::Debug>(answer: &Result<T>) {
    assert!(answer.as_ref().is_err_and(linkly_core::Error::is_transient), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_primary_is_lost_the_promoted_replica_serves() {
    let (primary, replica, config) = tokio::task::block_in_place(pair);
    let store = PostgresStore::connect_with(config).await.unwrap();
    fill(&store).await;
    let cursor = store.changes(None).await.unwrap().next;
    tokio::task::block_in_place(|| {
        replica.catch_up(&primary);
        primary.kill();
    });
    transient(&store.insert_one(&link("b")).await);
    transient(&store.target(&code("a")).await);
    tokio::task::block_in_place(|| replica.promote());
    goes_on(&store, "b").await;
    // Numbers of transactions may come again on the new primary, so nothing that is told by them holds.
    assert!(store.changes(Some(&cursor)).await.unwrap().lost);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_primary_hangs_the_promoted_replica_serves() {
    let (primary, replica, config) = tokio::task::block_in_place(pair);
    let store = PostgresStore::connect_with(config).await.unwrap();
    fill(&store).await;
    tokio::task::block_in_place(|| {
        replica.catch_up(&primary);
        primary.pause();
        replica.promote();
    });
    // Those that still lead there wait for it, once each.
    for _ in 0..store.pool().status().size {
        transient(&store.target(&code("a")).await);
    }
    goes_on(&store, "b").await;
    tokio::task::block_in_place(|| primary.resume());
}

/// A primary that is demoted without ending its sessions, as some managed services do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_only_read_are_discarded() {
    let (primary, replica, config) = tokio::task::block_in_place(pair);
    let store = PostgresStore::connect_with(config).await.unwrap();
    fill(&store).await;
    tokio::task::block_in_place(|| {
        replica.catch_up(&primary);
        replica.promote();
        primary.sql("ALTER SYSTEM SET default_transaction_read_only = on");
        primary.sql("SELECT pg_reload_conf()");
        linkly_testkit::eventually("the old primary only reads", || {
            primary.sql("SHOW default_transaction_read_only") == "on"
        });
    });
    goes_on(&store, "b").await;
    let last = store.pool().get().await.unwrap();
    let port: i32 = last.query_one_scalar("SELECT inet_server_port()", &[]).await.unwrap();
    assert_eq!(port, i32::from(replica.address().port()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_only_reads_is_unavailable_to_writes() {
    let server = Postgres::start();
    let store = PostgresStore::connect(&server.new_database()).await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    tokio::task::block_in_place(|| {
        server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
        server.restart();
    });
    let error = store.insert_one(&link("b")).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("only reads"), "{error:?}");
    assert!(store.target(&code("a")).await.unwrap().is_some());
}
