//! The app's own pools, and ours.

mod fixture;

use std::time::Duration;

use fixture::{Database, client, code, count, link};
use linkly_core::{Error, LinkStoreExt, Maintenance};
use linkly_store_postgres::deadpool_postgres::tokio_postgres::{Config, NoTls};
use linkly_store_postgres::deadpool_postgres::{Manager, Pool};
use linkly_store_postgres::{PoolConfig, PostgresConfig, PostgresStore};
use linkly_testkit::eventually;

fn pool(database: &Database) -> Pool {
    let config: Config = database.url.parse().unwrap();
    Pool::builder(Manager::new(config, NoTls)).max_size(2).build().unwrap()
}

#[tokio::test]
async fn an_apps_pool_is_taken_as_it_is() {
    let database = Database::new();
    let store = PostgresStore::new(pool(&database)).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    assert!(store.target(&code("a")).await.unwrap().is_some());
    assert_eq!(store.pool().status().max_size, 2);
    // One process more finds it migrated.
    let again = PostgresStore::new(pool(&database)).await.unwrap();
    assert!(again.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn calls_wait_for_a_connection_no_longer_than_they_may() {
    let config = Database::new().config();
    let pool = PoolConfig::default().with_max(1).with_acquire_timeout(Duration::from_millis(500));
    let store = PostgresStore::connect_with(config.with_pool(pool)).await.unwrap();
    let held = client(&store).await;
    let error = store.ping().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("pool.max"), "{error}");
    drop(held);
    store.ping().await.unwrap();
    store.close().await;
    for error in [store.ping().await.unwrap_err(), store.insert_one(&link("a")).await.unwrap_err()] {
        assert!(error.is_transient() && error.to_string().contains("closed"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unused_connections_are_closed() {
    let config = Database::new().config();
    let pool = PoolConfig::default().with_idle_timeout(Duration::from_millis(100));
    let store = PostgresStore::connect_with(config.with_pool(pool)).await.unwrap();
    let held = [client(&store).await, client(&store).await, client(&store).await];
    drop(held);
    let size = store.pool().clone();
    tokio::task::block_in_place(|| eventually("none is left", || size.status().size == 0));
    store.ping().await.unwrap();
}

/// A pool outlives the runtime that called first: its connections run where it was made.
#[test]
fn connections_survive_the_runtime_of_the_call_that_opened_them() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, database) = (runtime(), Database::new());
    let store = first.block_on(database.open());
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
    for _ in 0..2 {
        let worker = runtime();
        worker.block_on(async {
            store.pool().retain(|_, _| false);
            store.ping().await.unwrap();
        });
        drop(worker);
        assert_eq!(first.block_on(count(&store, connections)), 1);
    }
}

#[tokio::test]
async fn settings_that_are_none_are_named() {
    let database = Database::new();
    for (config, named) in [
        (PostgresConfig::new("sqlite:a.db"), "url"),
        (PostgresConfig::new("postgres://app:secret@/x?port=x"), "url"),
        (PostgresConfig::new("postgres://app:secret@/app"), "url"),
        (database.config().with_schema("a-b"), "schema"),
        (database.config().with_pool(PoolConfig::default().with_max(0)), "pool.max"),
    ] {
        let error = PostgresStore::connect_with(config).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(error.is_invalid_input() && text.contains(named), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn what_the_server_does_not_let_in_says_why() {
    let database = Database::new();
    let (before, host) = database.url.split_once('@').unwrap();
    let password = before.rsplit(':').next().unwrap();
    for (url, says) in [
        (database.url.replace(password, "wrong"), "pg_hba.conf"),
        (database.url.replace("//postgres:", "//nobody:"), "pg_hba.conf"),
        (format!("{before}@{}/nothing", host.split('/').next().unwrap()), "does not exist: create it"),
    ] {
        let error = PostgresStore::connect(&url).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains(says), "{error:?}");
        assert!(!format!("{error} {error:?}").contains(password), "{error:?}");
    }
    let error = PostgresStore::connect("postgres://app@127.0.0.1:1/app").await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("connecting"), "{error:?}");
}
