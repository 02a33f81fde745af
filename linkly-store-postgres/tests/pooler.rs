//! A pooler in transaction mode, where the next statement may come to another server connection.

mod fixture;

use std::sync::Arc;

use fixture::{clicks, code, counted, link};
use linkly_core::{ClickSink, Error, Insert, LinkStoreExt, Maintenance};
use linkly_store_postgres::deadpool_postgres::tokio_postgres::{Config, NoTls};
use linkly_store_postgres::deadpool_postgres::{Manager, Pool};
use linkly_store_postgres::{PostgresConfig, PostgresStore, Statements};
use linkly_testkit::{PgBouncer, PoolMode, Postgres};

#[tokio::test]
async fn prepared_statements_behind_it_are_an_error_that_says_what_to_set() {
    let postgres = Postgres::shared();
    let pooler = PgBouncer::start(postgres, PoolMode::Transaction);
    let url = pooler.url(&postgres.new_database());
    let error = PostgresStore::connect(&url).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains("`unnamed`"), "{error:?}");
    let unnamed = PostgresConfig::new(&url).with_statements(Statements::Unnamed);
    PostgresStore::connect_with(unnamed).await.unwrap();

    // The app's own pool says nothing to the server when it connects, and two of its clients prepare the same
    // names on one connection.
    let pool = || {
        let config: Config = url.parse().unwrap();
        Pool::builder(Manager::new(config, NoTls)).max_size(8).build().unwrap()
    };
    let stores = [PostgresStore::new(pool()).await.unwrap(), PostgresStore::new(pool()).await.unwrap()];
    let calls = (0..64).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move { store.target(&code("a")).await.map(drop).and(store.ping().await) })
    });
    let mut failed = 0;
    for call in calls.collect::<Vec<_>>() {
        if let Err(error) = call.await.unwrap() {
            assert!(error.to_string().contains("`unnamed`"), "{error:?}");
            failed += 1;
        }
    }
    assert!(failed > 0, "names were shared");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_share_its_few_connections() {
    let postgres = Postgres::shared();
    let pooler = PgBouncer::start(postgres, PoolMode::Transaction);
    let config = PostgresConfig::new(pooler.url(&postgres.new_database())).with_statements(Statements::Unnamed);
    let store = Arc::new(PostgresStore::connect_with(config).await.unwrap());
    let tasks: Vec<_> = (0..20)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..10 {
                    let name = format!("t{task}-{round}");
                    assert_eq!(store.insert_one(&link(&name)).await.unwrap(), Insert::Inserted);
                    assert!(store.target(&code(&name)).await.unwrap().is_some());
                    store.record(&clicks(&format!("c{}", round % 3), 10)).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counted(&store).await, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_it_was_restarted_the_next_calls_succeed() {
    let postgres = Postgres::shared();
    let pooler = PgBouncer::start(postgres, PoolMode::Transaction);
    let config = PostgresConfig::new(pooler.url(&postgres.new_database())).with_statements(Statements::Unnamed);
    let store = PostgresStore::connect_with(config).await.unwrap();
    for round in 0..3 {
        store.record(&clicks("a", 10)).await.unwrap();
        let held = [fixture::client(&store).await, fixture::client(&store).await];
        drop(held);
        tokio::task::block_in_place(|| pooler.restart());
        assert_eq!(store.insert_one(&link(&format!("a{round}"))).await.unwrap(), Insert::Inserted);
        store.ping().await.unwrap();
    }
    assert_eq!(counted(&store).await, 30);
}
