//! Stores that are down, slow or refuse, and a clock that jumps, with a spool in front of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::chrono::Utc;
use linkly_core::{
    Acknowledge, Click, ClickSink, Code, Linkly, ListClicks, ManualClock, NewLink, RecorderConfig, Store, TimeRange,
    Uuid, VisitContext,
};
use linkly_queue::{Spool, SpoolConfig};
use linkly_store_postgres::PostgresStore;
use linkly_store_sqlite::SqliteStore;
use linkly_testkit::Postgres;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// A store that hangs is given up soon, and tried again soon.
fn hasty() -> SpoolConfig {
    let millis = Duration::from_millis;
    SpoolConfig::default().with_write_timeout(millis(500)).with_backoff(millis(10), millis(50))
}

async fn spool_before(store: impl Store, config: SpoolConfig) -> (Spool, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path().join("clicks.spool"), Arc::new(store), config).await.unwrap();
    (spool, folder)
}

fn clicks(count: usize) -> Vec<Click> {
    (0..count).map(|number| Click::new(Code::new(["a", "b"][number % 2]).unwrap(), Utc::now())).collect()
}

/// How often each click is in the store; totals are the same.
async fn rows(store: &dyn Store) -> HashMap<Uuid, usize> {
    let (mut rows, mut query) = (HashMap::new(), ListClicks::new(TimeRange::all()).with_limit(1_000));
    loop {
        let page = store.clicks(&query).await.unwrap();
        page.items.into_iter().for_each(|click| *rows.entry(click.id).or_default() += 1);
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let totals = store.totals(&["a", "b"].map(|code| Code::new(code).unwrap())).await.unwrap();
    assert_eq!(totals.iter().map(|total| total.clicks as usize).sum::<usize>(), rows.len());
    rows
}

async fn assert_delivered(spool: &Spool, store: &dyn Store, clicks: &[Click]) {
    timeout(Duration::from_secs(30), spool.flush()).await.expect("delivered in time").unwrap();
    let rows = rows(store).await;
    assert_eq!(rows.len(), clicks.len());
    assert!(clicks.iter().all(|click| rows.get(&click.id) == Some(&1)));
}

/// Records in batches; each is acknowledged at once, however the store is.
async fn record(spool: &Spool, clicks: &[Click]) {
    for some in clicks.chunks(100) {
        timeout(Duration::from_secs(10), spool.record(some)).await.expect("acknowledged in time").unwrap();
    }
}

/// Waits until the store was tried in vain.
async fn tried_in_vain(spool: &Spool) {
    let end = Instant::now() + Duration::from_secs(20);
    while spool.metrics().retried < 2 {
        assert!(Instant::now() < end, "{:?}", spool.metrics());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_postgres_is_down_is_delivered_when_it_is_back() {
    let server = Postgres::start();
    let store = Arc::new(PostgresStore::connect(&server.new_database()).await.unwrap());
    let (spool, _folder) = spool_before(store.clone(), hasty()).await;
    let clicks = clicks(3_000);
    record(&spool, &clicks[..1_000]).await;
    server.stop();
    record(&spool, &clicks[1_000..2_000]).await;
    tried_in_vain(&spool).await;
    assert!(spool.metrics().depth >= 1_000);
    server.restart();
    record(&spool, &clicks[2_000..]).await;
    assert_delivered(&spool, &*store, &clicks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_holds_up_every_statement_holds_up_no_caller() {
    let server = Postgres::start();
    let store = Arc::new(PostgresStore::connect(&server.new_database()).await.unwrap());
    let (spool, _folder) = spool_before(store.clone(), hasty()).await;
    let clicks = clicks(2_000);
    server.pause();
    record(&spool, &clicks).await;
    tried_in_vain(&spool).await;
    server.resume();
    assert_delivered(&spool, &*store, &clicks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_postgres_that_is_read_only_makes_no_dead_letters() {
    let server = Postgres::start();
    let store = Arc::new(PostgresStore::connect(&server.new_database()).await.unwrap());
    let (spool, _folder) = spool_before(store.clone(), hasty()).await;
    let clicks = clicks(2_000);
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("SELECT pg_reload_conf()");
    record(&spool, &clicks).await;
    tried_in_vain(&spool).await;
    assert_eq!((spool.metrics().dead, spool.metrics().delivered), (0, 0));
    server.sql("ALTER SYSTEM RESET default_transaction_read_only");
    server.sql("SELECT pg_reload_conf()");
    assert_delivered(&spool, &*store, &clicks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_backwards_loses_no_click_and_counts_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&format!("sqlite:{}/linkly.db", folder.path().display())).await.unwrap();
    let (spool, _folder) = spool_before(store.clone(), hasty()).await;
    let clock = Arc::new(ManualClock::at(Utc::now()));
    let linkly = Linkly::builder(store.clone())
        .clicks(spool.clone())
        .clock(Arc::clone(&clock))
        .recorder(RecorderConfig::default().with_acknowledge(Acknowledge::Durable))
        .start()
        .await
        .unwrap();
    linkly.create(NewLink::new("https://iii.dev").with_code("a")).await.unwrap();
    for round in 0..20 {
        for _ in 0..20 {
            linkly.visit("a", &VisitContext::new()).await.unwrap();
        }
        clock.set_now(Utc::now() - linkly_core::chrono::TimeDelta::hours(round * 7 % 5));
    }
    linkly.shutdown(Duration::from_secs(5)).await;
    spool.flush().await.unwrap();
    let rows = rows(&store).await;
    assert_eq!((rows.len(), rows.values().max()), (400, Some(&1)));
    assert!(spool.metrics().oldest_age < Duration::from_secs(60));
}
