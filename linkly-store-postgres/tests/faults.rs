//! When the server dies, hangs or loses an answer: an error in time, nothing lost and nothing twice.

mod fixture;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fixture::{clicks, code, count, counted, link, links};
use linkly_core::chrono::TimeDelta;
use linkly_core::{
    Click, ClickSink, ClickStats, ClickStatsExt, Delete, Deleted, Insert, LinkStore, LinkStoreExt, ListClicks,
    ListLinks, Maintenance, PurgeExpired, Result, Scope, Series, Step, TimeRange, Top, Update, Use,
};
use linkly_store_postgres::{PoolConfig, PostgresConfig, PostgresStore};
use linkly_testkit::{Postgres, Proxy};

/// Sends a call again until it is answered.
async fn until_answered<T, F: Future<Output = Result<T>>>(mut call: impl FnMut() -> F) -> T {
    loop {
        match call().await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_in_the_middle_loses_no_click_and_counts_none_twice() {
    const BATCHES: usize = 40;
    let server = Arc::new(Postgres::start());
    let store = PostgresStore::connect(&server.new_database()).await.unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, acknowledged) = (store.clone(), acknowledged.clone());
            tokio::spawn(async move {
                for round in 0..BATCHES {
                    let batch = clicks(&format!("c{}", (writer + round) % 3), 50);
                    until_answered(|| store.record(&batch)).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for killed in 1..=3 {
        while acknowledged.load(Ordering::Relaxed) < killed * BATCHES {
            tokio::task::yield_now().await;
        }
        let server = server.clone();
        tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart();
        })
        .await
        .unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(counted(&store).await, 4 * BATCHES as i64 * 50);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_killed_in_the_middle_takes_no_link_back() {
    let server = Arc::new(Postgres::start());
    let store = PostgresStore::connect(&server.new_database()).await.unwrap();
    let done = Arc::new(AtomicUsize::new(0));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, done) = (store.clone(), done.clone());
            tokio::spawn(async move {
                for round in 0..60 {
                    let mut link = link(&format!("w{writer}-{round}"));
                    assert_eq!(until_answered(|| store.insert_one(&link)).await, Insert::Inserted);
                    link.title = Some("edited".into());
                    let updated = until_answered(|| store.update_one(&link)).await;
                    assert_eq!(updated, Update::Updated { version: 2 });
                    if round % 3 == 0 {
                        let delete = Delete::new(link.code.clone(), link.id).with_version(2).with_release();
                        let deleted = until_answered(|| store.delete_one(delete.clone())).await;
                        assert_eq!(deleted, Deleted::Deleted);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for killed in 1..=2 {
        while done.load(Ordering::Relaxed) < killed * 60 {
            tokio::task::yield_now().await;
        }
        let server = server.clone();
        tokio::task::spawn_blocking(move || {
            server.kill();
            server.restart();
        })
        .await
        .unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(count(&store, "SELECT count(*) FROM links WHERE version = 2 AND title = 'edited'").await, 160);
    assert_eq!(count(&store, "SELECT count(*) FROM links").await, 160);
}

/// A store whose one connection has sent every statement before, so that the next request is the statement itself.
async fn warm_store(url: &str) -> PostgresStore {
    let config = PostgresConfig::new(url).with_pool(PoolConfig::default().with_max(1));
    let store = PostgresStore::connect_with(config).await.unwrap();
    let mut warm = link("warm");
    warm.max_clicks = Some(100);
    store.insert(&[warm.clone(), warm.clone()]).await.unwrap();
    store.update(&[warm.clone(), warm.clone()]).await.unwrap();
    store.consume(&[Use::new(warm.code.clone(), warm.id, 1)]).await.unwrap();
    store.record(&clicks("warm", 1)).await.unwrap();
    store.delete_one(Delete::new(warm.code, warm.id)).await.unwrap();
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_lost_after_the_commit_changes_no_answer() {
    let postgres = Postgres::shared();
    let proxy = Proxy::in_front_of(postgres.address());
    let url = postgres.new_database();
    let store = warm_store(&proxy.url(&url)).await;
    // Not through the proxy: a statement of the app is closed by a message that nobody waits for.
    let direct = PostgresStore::connect(&url).await.unwrap();
    let before = counted(&direct).await;
    let mut cuts = 0;
    let mut cut = || {
        assert_eq!(proxy.cuts(), cuts, "each of them is lost");
        cuts += 1;
        proxy.cut_before_answer(1);
    };

    let batch = clicks("a", 100);
    cut();
    store.record(&batch).await.unwrap();
    assert_eq!(counted(&direct).await, before + 100);

    store.record(&batch).await.unwrap();
    let mut new = link("a");
    new.max_clicks = Some(10);
    let all = [new.clone(), link("warm"), link("b")];
    store.insert_one(&link("c")).await.unwrap();
    cut();
    assert_eq!(store.insert(&all).await.unwrap(), [Insert::Inserted, Insert::CodeTaken, Insert::Inserted]);
    store.update_one(&link("none")).await.unwrap();
    new.title = Some("edited".into());
    cut();
    assert_eq!(store.update_one(&new).await.unwrap(), Update::Updated { version: 2 });
    let uses = [Use::new(code("a"), new.id, 3)];
    assert_eq!(store.consume(&uses).await.unwrap(), [3]);
    // What is not safe to send again is not: the grant is lost, and never given twice.
    cut();
    assert!(store.consume(&uses).await.unwrap_err().is_transient());
    assert_eq!(store.get_one(&code("a")).await.unwrap().unwrap().consumed, 6);
    let delete = |link: &linkly_core::Link| Delete::new(link.code.clone(), link.id).with_release();
    store.delete_one(delete(&link("none"))).await.unwrap();
    cut();
    assert_eq!(store.delete_one(delete(&new)).await.unwrap(), Deleted::Deleted);
    assert_eq!(store.insert_one(&new).await.unwrap(), Insert::Inserted);
    assert_eq!(store.get_one(&code("a")).await.unwrap(), None);
    cut();
    let purged = store.purge_clicks("2026-01-11T11:00:00Z".parse().unwrap(), 1_000).await.unwrap();
    assert!(purged.done);
    assert_eq!(proxy.cuts(), cuts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_under_each_request_in_turn_loses_nothing() {
    let postgres = Postgres::shared();
    let proxy = Proxy::in_front_of(postgres.address());
    let url = postgres.new_database();
    let direct = PostgresStore::connect(&url).await.unwrap();
    let store = PostgresStore::connect(&proxy.url(&url)).await.unwrap();
    let mut seen = HashSet::new();
    for nth in 1..=12 {
        proxy.cut_before_answer(nth);
        let cuts = proxy.cuts();
        while proxy.cuts() == cuts {
            let batch = clicks("a", 10);
            let new = link(&format!("n{}", seen.len()));
            until_answered(|| store.record(&batch)).await;
            assert_eq!(until_answered(|| store.insert_one(&new)).await, Insert::Inserted);
            seen.insert(new.code);
        }
    }
    assert_eq!(counted(&direct).await, seen.len() as i64 * 10);
    assert_eq!(count(&direct, "SELECT count(*) FROM links").await, seen.len() as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_the_next_calls_succeed() {
    let server = Postgres::start();
    let store = PostgresStore::connect(&server.new_database()).await.unwrap();
    let mut limited = link("a");
    limited.max_clicks = Some(100);
    store.insert_one(&limited).await.unwrap();
    for round in 0..3 {
        // Several connections, each of which is broken then.
        let held = [fixture::client(&store).await, fixture::client(&store).await, fixture::client(&store).await];
        drop(held);
        tokio::task::block_in_place(|| server.restart());
        assert!(store.target(&code("a")).await.unwrap().is_some());
        store.record(&clicks("a", 10)).await.unwrap();
        assert_eq!(store.insert_one(&link(&format!("b{round}"))).await.unwrap(), Insert::Inserted);
        assert_eq!(store.consume(&[Use::new(code("a"), limited.id, 1)]).await.unwrap(), [1]);
        assert_eq!(counted(&store).await, (round + 1) * 10);
    }
}

/// Every call of every trait.
async fn call(store: &PostgresStore, number: usize) -> Option<Result<()>> {
    let (codes, all) = ([code("c1"), code("c2")], links(2));
    let (limited, range) = (Use::new(code("c1"), all[0].id, 1), TimeRange::all());
    let cursor = linkly_core::ChangeCursor::new("x");
    let purge = PurgeExpired::new(all[0].created_at);
    Some(match number {
        0 => store.insert(&all).await.map(drop),
        1 => store.targets(&codes).await.map(drop),
        2 => store.get(&codes).await.map(drop),
        3 => store.update(&all).await.map(drop),
        4 => store.delete(&[Delete::new(code("none"), all[0].id)]).await.map(drop),
        5 => store.consume(&[limited]).await.map(drop),
        6 => store.list(&ListLinks::new(Scope::All)).await.map(drop),
        7 => store.record(&clicks("c1", 3)).await,
        8 => store.totals(&codes).await.map(drop),
        9 => store.series(&Series::new(code("c1"), range, Step::Hour)).await.map(drop),
        10 => store.clicks(&ListClicks::new(range)).await.map(drop),
        11 => store.top(&Top::new(Scope::All, range)).await.map(drop),
        12 => store.changes(Some(&cursor)).await.map(drop),
        13 => store.purge_clicks(all[0].created_at, 10).await.map(drop),
        14 => store.purge_expired(&purge).await.map(drop),
        15 => store.reconcile(range).await.map(drop),
        16 => store.optimize().await,
        17 => store.size().await.map(drop),
        18 => store.ping().await,
        19 => store.migrate().await,
        _ => return None,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_stopped_every_call_ends_in_time() {
    let server = Postgres::start();
    let (acquire, statement) = (Duration::from_millis(400), Duration::from_millis(400));
    let pool = PoolConfig::default().with_max(3).with_acquire_timeout(acquire);
    let config = PostgresConfig::new(server.new_database())
        .with_pool(pool.with_connect_timeout(Duration::from_millis(300)))
        .with_statement_timeout(statement)
        .with_maintenance_timeout(Duration::from_millis(2_000));
    let store = PostgresStore::connect_with(config).await.unwrap();
    for round in 0..2 {
        let held = [fixture::client(&store).await, fixture::client(&store).await];
        drop(held);
        tokio::task::block_in_place(|| server.pause());
        let mut number = 0;
        loop {
            let begun = Instant::now();
            let Some(answer) = call(&store, number).await else { break };
            let (error, took) = (answer.unwrap_err(), begun.elapsed());
            assert!(error.is_transient(), "{number}: {error:?}");
            assert!(took < acquire + statement + Duration::from_millis(200), "{number}: {took:?}");
            number += 1;
        }
        assert_eq!(number, 20);
        tokio::task::block_in_place(|| server.resume());
        for number in 0..number {
            let answer = call(&store, number).await.unwrap();
            assert!(answer.is_ok(), "{round} {number}: {answer:?}");
        }
    }
    counted(&store).await;
}

/// A call that was given up may have been done: sent again it counts once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_given_up_is_sent_again_without_harm() {
    let postgres = Postgres::shared();
    let proxy = Proxy::in_front_of(postgres.address());
    let config = PostgresConfig::new(proxy.url(&postgres.new_database()));
    let config = config.with_statement_timeout(Duration::from_millis(300));
    let store = PostgresStore::connect_with(config).await.unwrap();
    store.record(&clicks("a", 10)).await.unwrap();
    let (batch, mut new) = (clicks("a", 100), link("a"));
    proxy.drop_answers();
    for _ in 0..2 {
        assert!(store.record(&batch).await.unwrap_err().is_transient());
        assert!(store.insert_one(&new).await.unwrap_err().is_transient());
    }
    proxy.resume();
    store.record(&batch).await.unwrap();
    assert_eq!(store.insert_one(&new).await.unwrap(), Insert::Inserted);
    new.title = Some("edited".into());
    proxy.drop_answers();
    assert!(store.update_one(&new).await.unwrap_err().is_transient());
    proxy.resume();
    assert_eq!(store.update_one(&new).await.unwrap(), Update::Updated { version: 2 });
    assert_eq!(counted(&store).await, 110);
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 110);
}

/// The server ends a statement by itself too, so that what nobody waits for holds no lock for long.
#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended_by_the_server() {
    let database = fixture::Database::new();
    let config = database.config().with_statement_timeout(Duration::from_millis(500));
    let store = PostgresStore::connect_with(config).await.unwrap();
    let other = database.open().await;
    let mut holder = fixture::client(&other).await;
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE links").await.unwrap();
    let error = store.insert_one(&link("a")).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
    while count(&other, waiting).await > 0 {
        tokio::task::yield_now().await;
    }
    lock.rollback().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
}

/// An app's transaction that takes the same rows in another order: one of the two is rolled back, and ours comes
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_deadlock_with_the_app_is_not_the_callers_to_know() {
    let database = fixture::Database::new();
    let store = database.open().await;
    let at = |name: &str, hours| Click::new(code(name), fixture::at("2026-01-11T10:00:00Z") + TimeDelta::hours(hours));
    store.record(&[at("a", 0), at("b", 0)]).await.unwrap();
    for _ in 0..3 {
        let mut client = fixture::client(&store).await;
        // The app is never the one that is rolled back: it looks for deadlocks after ours has.
        client.batch_execute("SET deadlock_timeout = '60s'").await.unwrap();
        let app = client.transaction().await.unwrap();
        app.batch_execute("UPDATE link_stats SET bots = bots WHERE code = 'b'").await.unwrap();
        let ours = tokio::spawn({
            let (store, batch) = (store.clone(), [at("a", 1), at("b", 1)]);
            async move { store.record(&batch).await }
        });
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
        while count(&store, waiting).await == 0 {
            tokio::task::yield_now().await;
        }
        app.batch_execute("UPDATE link_stats SET bots = bots WHERE code = 'a'").await.unwrap();
        app.commit().await.unwrap();
        ours.await.unwrap().unwrap();
        client.batch_execute("RESET deadlock_timeout").await.unwrap();
    }
    assert_eq!(counted(&store).await, 8);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    while count(&store, deadlocks).await < 3 {
        tokio::task::yield_now().await;
    }
}
