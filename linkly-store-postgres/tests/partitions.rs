//! Clicks in partitions.

mod fixture;

use fixture::{Database, at, clicks, code, count, counted, link, run};
use linkly_core::chrono::{DateTime, Datelike, TimeDelta, Utc};
use linkly_core::{
    Click, ClickSink, ClickStats, ClickStatsExt, Delete, LinkStoreExt, ListClicks, Maintenance, TimeRange,
};
use linkly_store_postgres::{Partitions, PostgresStore};

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'clicks'::regclass";

async fn open(by: Partitions) -> PostgresStore {
    PostgresStore::connect_with(Database::new().config().with_partitions(by)).await.unwrap()
}

/// As many clicks at each of these times.
fn at_each(times: &[&str], count: usize) -> Vec<Click> {
    times.iter().flat_map(|time| (0..count).map(|_| Click::new(code("a"), at(time)))).collect()
}

#[tokio::test]
async fn they_are_made_ahead_of_time_and_once() {
    for (by, ahead) in [(Partitions::Day, 7), (Partitions::Week, 4), (Partitions::Month, 3)] {
        let store = open(by).await;
        // Those of now and ahead, and the default one.
        assert_eq!(count(&store, PARTITIONS).await, ahead + 2, "{by:?}");
        let now = Utc::now();
        let rows: Vec<_> = (0..ahead).map(|n| Click::new(code("a"), now + later(by, n))).collect();
        store.record(&rows).await.unwrap();
        assert_eq!(count(&store, "SELECT count(*) FROM clicks_default").await, 0, "{by:?}");
        store.optimize().await.unwrap();
        assert!((ahead + 2..=ahead + 3).contains(&count(&store, PARTITIONS).await), "{by:?}");
        assert_eq!(counted(&store).await, ahead);
    }
}

fn later(by: Partitions, steps: i64) -> TimeDelta {
    match by {
        Partitions::Day => TimeDelta::days(steps),
        Partitions::Week => TimeDelta::weeks(steps),
        _ => TimeDelta::days(28 * steps),
    }
}

#[tokio::test]
async fn each_holds_its_time_in_utc() {
    let store = open(Partitions::Month).await;
    run(&store, "SET timezone = 'Asia/Kolkata'; SELECT linkly_make_partitions('month', '2026-01-05T10:00:00Z', 1)")
        .await;
    store
        .record(&at_each(&["2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00:00Z"], 1))
        .await
        .unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_2026_01_01").await, 2);
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_2026_02_01").await, 1);
    let store = open(Partitions::Week).await;
    run(&store, "SELECT linkly_make_partitions('week', '2026-01-11T23:00:00Z', 0)").await;
    let monday: DateTime<Utc> = at("2026-01-05T00:00:00Z");
    assert_eq!(monday.weekday(), linkly_core::chrono::Weekday::Mon);
    store.record(&[Click::new(code("a"), monday)]).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_2026_01_05").await, 1);
}

/// Clicks that came before their partition are in the default one, and move.
#[tokio::test]
async fn clicks_that_came_before_their_partition_move_into_it() {
    let store = open(Partitions::Day).await;
    store.record(&at_each(&["2026-01-10T12:00:00Z", "2026-01-11T12:00:00Z", "2026-01-12T12:00:00Z"], 5)).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_default").await, 15);
    run(&store, "SELECT linkly_make_partitions('day', '2026-01-11T23:00:00Z', 0)").await;
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_2026_01_11").await, 5);
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_default").await, 10);
    assert_eq!(counted(&store).await, 15);
    // The same click again is the same in whichever partition it is.
    let rows = store.clicks(&ListClicks::new(TimeRange::all())).await.unwrap().items;
    store.record(&rows).await.unwrap();
    assert_eq!(counted(&store).await, 15);
}

#[tokio::test]
async fn purging_drops_whole_partitions_and_leaves_the_counts() {
    let store = open(Partitions::Day).await;
    run(&store, "SELECT linkly_make_partitions('day', '2026-01-10T00:00:00Z', 2)").await;
    let times = ["2026-01-09T12:00:00Z", "2026-01-10T12:00:00Z", "2026-01-11T12:00:00Z", "2026-01-12T12:00:00Z"];
    store.record(&at_each(&times, 20)).await.unwrap();
    let before = count(&store, PARTITIONS).await;
    // Two days whole, and of the one before, which is in the default partition, a row.
    let purged = store.purge_clicks(at("2026-01-12T00:30:00Z"), 1).await.unwrap();
    assert_eq!((purged.removed, purged.done, purged.watermark), (41, false, at("2026-01-12T00:00:00Z")));
    assert_eq!(count(&store, PARTITIONS).await, before - 2);
    let purged = store.purge_clicks(at("2026-01-12T00:30:00Z"), 100).await.unwrap();
    assert_eq!((purged.removed, purged.done), (19, true));
    assert_eq!(count(&store, "SELECT count(*) FROM clicks").await, 20);
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 80);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences, []);
    assert!(store.record(&at_each(&["2026-01-11T23:59:59Z"], 1)).await.is_err());
}

/// Making and dropping partitions while clicks arrive loses none of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn they_come_and_go_while_clicks_arrive() {
    let store = open(Partitions::Day).await;
    let start = at("2026-01-11T12:00:00Z");
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..60 {
                    let day = start + TimeDelta::days((writer + round) % 10);
                    let batch: Vec<_> = (0..20).map(|_| Click::new(code("a"), day)).collect();
                    store.record(&batch).await.unwrap();
                }
            })
        })
        .collect();
    let (mut day, mut old) = (0, at("2025-01-01T00:00:00Z"));
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let make = format!(
            "SELECT linkly_make_partitions('day', '2026-01-11T00:00:00Z'::timestamptz + {day} * interval '1 day', 0)"
        );
        run(&store, &make).await;
        run(&store, &format!("SELECT linkly_make_partitions('day', '{old}', 0)")).await;
        old += TimeDelta::days(1);
        store.purge_clicks(old, 10).await.unwrap();
        day = (day + 1) % 10;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(counted(&store).await, 3_600);
}

#[tokio::test]
async fn letting_a_code_go_takes_its_clicks_out_of_every_partition() {
    let store = open(Partitions::Day).await;
    run(&store, "SELECT linkly_make_partitions('day', '2026-01-11T00:00:00Z', 0)").await;
    let a = link("a");
    store.insert_one(&a).await.unwrap();
    store.record(&at_each(&["2026-01-11T12:00:00Z", "2026-03-11T12:00:00Z"], 5)).await.unwrap();
    store.record(&clicks("b", 3)).await.unwrap();
    store.delete_one(Delete::new(a.code, a.id).with_release()).await.unwrap();
    assert_eq!(counted(&store).await, 3);
}
