//! A server that is killed, stopped, slow, or cut off in the middle of an answer: an error that passes, within the
//! deadline, and nothing lost or counted twice.
#![cfg(feature = "remote")]

mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fixture::{at, clicks, code, count, counted, execute, link, links};
use linkly_core::{
    ClickSink, ClickStats, ClickStatsExt, Delete, Deleted, Error, Insert, LinkStore, LinkStoreExt, ListClicks,
    ListLinks, Maintenance, PurgeExpired, Scope, TimeRange, Update, Use,
};
use linkly_store_libsql::libsql::Builder;
use linkly_store_libsql::{LibsqlConfig, LibsqlStore, PoolConfig};
use linkly_testkit::{Proxy, Sqld};

const DEADLINE: Duration = Duration::from_millis(500);

async fn open(url: &str) -> LibsqlStore {
    LibsqlStore::connect_with(LibsqlConfig::new(url)).await.unwrap()
}

/// Sends a call until it is answered, and gives the answer with how often it failed before.
async fn until_answered<T, F: Future<Output = linkly_core::Result<T>>>(mut call: impl FnMut() -> F) -> (T, usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut failed = 0;
    loop {
        match call().await {
            Ok(answer) => return (answer, failed),
            Err(error) => assert!(error.is_transient() && Instant::now() < deadline, "{error:?}"),
        }
        failed += 1;
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_among_batches_loses_nothing_that_was_acknowledged() {
    let sqld = Sqld::start();
    let store = open(sqld.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                let (mut batches, mut failed) = (0, 0);
                while !stop.load(Ordering::Relaxed) {
                    let batch = clicks(&format!("c{writer}"), 100);
                    failed += until_answered(|| store.record(&batch)).await.1;
                    batches += 1;
                }
                (batches, failed)
            })
        })
        .collect();
    for _ in 0..3 {
        let before = store.total(&code("c0")).await.unwrap().clicks;
        // Not before some batches more were written.
        until_answered(|| async {
            let now = store.total(&code("c0")).await?.clicks;
            let waiting = Error::Unavailable { backend: "test", reason: "no batch yet".into(), source: None };
            if now > before { Ok(()) } else { Err(waiting) }
        })
        .await;
        sqld.kill();
        sqld.restart();
        until_answered(|| store.ping()).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (mut batches, mut failed) = (0, 0);
    for writer in writers {
        let (written, of) = writer.await.unwrap();
        (batches, failed) = (batches + written, failed + of);
    }
    assert!(failed > 0, "no call met the killed server");
    assert_eq!(counted(&store).await, batches * 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_stopped_server_every_call_ends_within_its_deadline() {
    let sqld = Sqld::start();
    let config = LibsqlConfig::new(sqld.url()).with_request_timeout(DEADLINE);
    let store = LibsqlStore::connect_with(config).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    let new = link("a");
    let range = TimeRange::all();
    sqld.pause();
    macro_rules! fails {
        ($($call:expr),* $(,)?) => {$(
            let begun = Instant::now();
            let error = $call.await.unwrap_err();
            let took = begun.elapsed();
            let call = stringify!($call);
            assert!(matches!(error, Error::Unavailable { .. }), "{call}: {error:?}");
            assert!(error.to_string().contains("did not answer within 500ms"), "{call}: {error}");
            assert!(took >= DEADLINE && took < DEADLINE * 6, "{call}: {took:?}");
        )*};
    }
    fails!(
        store.insert_one(&new),
        store.target(&new.code),
        store.get_one(&new.code),
        store.update_one(&new),
        store.delete_one(Delete::new(new.code.clone(), new.id)),
        store.consume(&[Use::new(new.code.clone(), new.id, 1)]),
        store.list(&ListLinks::new(Scope::All)),
        store.record(&clicks("a", 10)),
        store.total(&new.code),
        store.clicks(&ListClicks::new(range)),
        store.changes(Some(&start)),
        store.purge_clicks(at("2020-01-01T00:00:00Z"), 10),
        store.purge_expired(&PurgeExpired::new(at("2020-01-01T00:00:00Z"))),
        store.reconcile(range),
        store.size(),
        store.ping(),
    );
    sqld.resume();
    // The server may still do what it was sent while it was stopped: all of it, or nothing.
    let (answer, _) = until_answered(|| async { store.insert_one(&link("b")).await }).await;
    assert_eq!(answer, Insert::Inserted);
    assert!(store.target(&code("b")).await.unwrap().is_some());
    assert_eq!(counted(&store).await % 10, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_before_the_answer_was_lost_is_not_done_twice() {
    let sqld = Sqld::start();
    let proxy = Proxy::in_front_of(sqld.address());
    let store = open(&proxy.url(sqld.url())).await;
    let witness = open(sqld.url()).await;

    // The server has done the next request when its answer is lost.
    async fn cut<T: std::fmt::Debug>(proxy: &Proxy, call: impl Future<Output = linkly_core::Result<T>>) {
        let before = proxy.cuts();
        proxy.cut_before_answer(1);
        let error = call.await.unwrap_err();
        assert!(error.is_transient() && proxy.cuts() == before + 1, "{error:?}");
    }

    let mut new = links(3);
    cut(&proxy, store.insert(&new)).await;
    assert_eq!(count(&witness, "SELECT count(*) FROM links").await, 3);
    assert_eq!(store.insert(&new).await.unwrap(), [Insert::Inserted; 3]);

    new.iter_mut().for_each(|link| link.title = Some("edited".into()));
    cut(&proxy, store.update(&new)).await;
    assert_eq!(count(&witness, "SELECT count(*) FROM links WHERE version = 2").await, 3);
    assert_eq!(store.update(&new).await.unwrap(), [Update::Updated { version: 2 }; 3]);
    assert_eq!(count(&witness, "SELECT count(*) FROM links WHERE version = 2").await, 3);

    let batch = clicks("c0", 1_000);
    cut(&proxy, store.record(&batch)).await;
    assert_eq!(counted(&witness).await, 1_000);
    store.record(&batch).await.unwrap();
    assert_eq!(counted(&witness).await, 1_000);

    let deletes: Vec<_> = new.iter().map(|link| Delete::new(link.code.clone(), link.id).with_release()).collect();
    cut(&proxy, store.delete(&deletes)).await;
    assert_eq!(count(&witness, "SELECT count(*) FROM links").await, 0);
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::Deleted; 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_whose_connection_breaks_is_sent_once_more() {
    let sqld = Sqld::start();
    let proxy = Proxy::in_front_of(sqld.address());
    let store = open(&proxy.url(sqld.url())).await;
    store.insert_one(&link("a")).await.unwrap();
    for cut in 1..=3 {
        proxy.cut_before_answer(1);
        assert!(store.target(&code("a")).await.unwrap().is_some());
        assert_eq!(proxy.cuts(), cut);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_whose_answer_is_lost_is_found_done() {
    let sqld = Sqld::start();
    let proxy = Proxy::in_front_of(sqld.address());
    // The fifth request: after the state, SQLite's version and both tables comes the transaction.
    proxy.cut_before_answer(5);
    let store = open(&proxy.url(sqld.url())).await;
    assert_eq!(proxy.cuts(), 1);
    store.insert_one(&link("a")).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM linkly_meta WHERE key = 'schema_version'").await, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_that() {
    let sqld = Sqld::start();
    sqld.kill();
    let error = LibsqlStore::connect(sqld.url()).await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("cannot be reached"), "{error:?}");
}

#[tokio::test]
async fn what_the_server_refuses_is_refused_and_costs_no_connection() {
    let sqld = Sqld::start();
    let store = open(sqld.url()).await;
    store.purge_clicks(at("2026-02-01T00:00:00Z"), 10).await.unwrap();
    // More than the connections that a server has to give.
    for _ in 0..150 {
        let error = store.record(&clicks("a", 1)).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }) && error.to_string().contains("older than"), "{error:?}");
    }
    let error = store.execute("INSERT INTO links (code, url) VALUES ('a', NULL)", Vec::new()).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    for error in [store.vacuum().await.unwrap_err(), store.backup_to("/tmp/none/copy.db").await.unwrap_err()] {
        assert!(!error.is_transient(), "{error:?}");
    }
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_free_connection_and_a_closed_store_are_transient() {
    let sqld = Sqld::start();
    let pool = PoolConfig::default().with_max(1).with_acquire_timeout(Duration::from_millis(20));
    let store = LibsqlStore::connect_with(LibsqlConfig::new(sqld.url()).with_pool(pool)).await.unwrap();
    sqld.pause();
    let (held, error) = tokio::join!(store.ping(), async {
        let error = store.ping().await.unwrap_err();
        sqld.resume();
        error
    });
    assert!(error.is_transient() && error.to_string().contains("pool.max"), "{error}");
    held.unwrap();
    store.close().await;
    for error in [store.ping().await.unwrap_err(), store.insert_one(&link("a")).await.unwrap_err()] {
        assert!(error.is_transient() && error.to_string().contains("closed"), "{error}");
    }
}

#[test]
fn a_store_serves_other_runtimes_while_its_own_lives() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sqld = Sqld::start();
    let (own, other) = (runtime(), runtime());
    let store = own.block_on(open(sqld.url()));
    other.block_on(async {
        store.insert_one(&link("a")).await.unwrap();
        assert!(store.target(&code("a")).await.unwrap().is_some());
    });
    drop(other);
    own.block_on(async { assert!(store.target(&code("a")).await.unwrap().is_some()) });
    drop(own);
    let error = runtime().block_on(store.ping()).unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn a_database_of_the_apps_own_is_taken() {
    let sqld = Sqld::start();
    let database = Builder::new_remote(sqld.url().to_owned(), String::new()).build().await.unwrap();
    let store = LibsqlStore::new(database, LibsqlConfig::new("libsql://named.elsewhere")).await.unwrap();
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    assert!(store.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_the_server_is_an_error_that_lasts() {
    let sqld = Sqld::start_with(&["--max-response-size", "20KB"]);
    let store = open(sqld.url()).await;
    store.insert(&links(1_000)).await.unwrap();
    let all = ListLinks::new(Scope::All);
    let error = store.list(&all.clone().with_limit(1_000)).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert_eq!(store.list(&all.with_limit(10)).await.unwrap().items.len(), 10);
}

/// Sixty-four callers at once, of whom each writes: they queue, and none is told that the server is busy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_queue_in_the_store() {
    let sqld = Sqld::start();
    let store = open(sqld.url()).await;
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.record(&clicks(&format!("c{number}"), 10)).await.unwrap() })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(counted(&store).await, 640);
    execute(&store, "DELETE FROM links").await;
}
