//! Counting again, the change log's length, and what is purged.

mod fixture;

use fixture::{Database, MANY, at, clicks, client, code, count, counted, link, links, run};
use linkly_core::chrono::TimeDelta;
use linkly_core::{
    Click, ClickSink, ClickSinkExt, ClickStatsExt, Count, Delete, Deleted, Difference, Error, LinkStore, LinkStoreExt,
    Maintenance, Reconciled, TimeRange, Totals,
};

#[tokio::test]
async fn counts_that_differ_are_mended_and_reported() {
    let store = Database::new().open().await;
    store.record(&clicks("a", 3)).await.unwrap();
    store.record(&clicks("b", 2)).await.unwrap();
    for spoil in [
        "UPDATE click_hours SET clicks = 7, bots = 1 WHERE code = 'a'",
        "UPDATE link_stats SET clicks = 9 WHERE code = 'a'",
        "INSERT INTO click_hours VALUES ('ghost', '2026-01-11T10:00:00.000Z', 4, 0)",
        "DELETE FROM link_stats WHERE code = 'b'",
    ] {
        run(&store, spoil).await;
    }
    let hour = at("2026-01-11T10:00:00Z");
    let of = |clicks, bots| Count { clicks, bots };
    let found = store.reconcile(TimeRange::all()).await.unwrap();
    let wanted = [
        Difference::new(code("a"), Some(hour), of(7, 1), of(3, 0)),
        Difference::new(code("ghost"), Some(hour), of(4, 0), of(0, 0)),
        Difference::new(code("a"), None, of(9, 0), of(3, 0)),
        Difference::new(code("b"), None, of(0, 0), of(2, 0)),
    ];
    assert_eq!(found.differences.len(), wanted.len(), "{found:?}");
    assert!(wanted.iter().all(|wanted| found.differences.contains(wanted)), "{found:?}");
    assert_eq!(found.next, None);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    assert_eq!(store.total(&code("a")).await.unwrap(), Totals::new(3, 0, Some(at("2026-01-11T10:20:30.456Z"))));
    // The one that was made anew was last clicked when its last row was.
    assert_eq!(store.total(&code("b")).await.unwrap(), Totals::new(2, 0, Some(at("2026-01-11T10:20:30.456Z"))));
    assert_eq!(counted(&store).await, 5);
}

#[tokio::test]
async fn a_total_that_is_made_anew_of_purged_rows_was_clicked_in_their_last_hour() {
    let store = Database::new().open().await;
    store.record(&clicks("a", 2)).await.unwrap();
    store.purge_clicks(at("2026-01-11T11:00:00Z"), 10).await.unwrap();
    for spoil in ["DELETE FROM link_stats", "INSERT INTO click_hours VALUES ('a', '2026-01-11T12:00:00.000Z', 4, 0)"] {
        run(&store, spoil).await;
    }
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences.len(), 2);
    assert_eq!(store.total(&code("a")).await.unwrap(), Totals::new(2, 0, Some(at("2026-01-11T10:00:00Z"))));
}

#[tokio::test]
async fn many_clicks_are_counted_again_a_part_at_a_time() {
    let store = Database::new().open().await;
    let start = at("2026-01-11T10:00:00Z");
    let rows: Vec<_> = (0..70_000)
        .map(|number| Click::new(code(&format!("c{}", number % 7)), start + TimeDelta::seconds(number * 10)))
        .collect();
    for batch in rows.chunks(10_000) {
        store.record(batch).await.unwrap();
    }
    run(&store, "UPDATE click_hours SET clicks = clicks + 1 WHERE code = 'c3'").await;
    run(&store, "UPDATE link_stats SET bots = 5 WHERE code = 'c5'").await;
    let hours = count(&store, "SELECT count(*) FROM click_hours WHERE code = 'c3'").await;
    let (mut range, mut calls, mut found) = (TimeRange::all(), 0, Vec::new());
    loop {
        let part = store.reconcile(range).await.unwrap();
        found.extend(part.differences);
        calls += 1;
        let Some(next) = part.next else { break };
        assert!(next > range.from);
        range.from = next;
    }
    assert!((3..=6).contains(&calls), "{calls}");
    assert_eq!(found.iter().filter(|found| found.hour.is_some()).count() as i64, hours);
    // After each part a total is the sum of its hours as they stand then.
    assert!(found.iter().any(|found| found.hour.is_none() && found.code == code("c5")), "{found:?}");
    assert_eq!(store.total(&code("c3")).await.unwrap().clicks, 10_000);
    assert_eq!(counted(&store).await, 70_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counting_again_while_clicks_come_finds_nothing_and_loses_nothing() {
    let store = Database::new().open().await;
    let writers: Vec<_> = (0..4)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..50 {
                    store.record(&clicks(&format!("c{}", (number + round) % 5), 20)).await.unwrap();
                }
            })
        })
        .collect();
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let found = store.reconcile(TimeRange::all()).await.unwrap();
        assert_eq!(found.differences, []);
        // And mending, of what differs: a count that is spoilt while clicks are added to it.
        run(&store, "UPDATE click_hours SET clicks = clicks + 1 WHERE code = 'c1'").await;
        store.reconcile(TimeRange::all()).await.unwrap();
    }
    for writer in writers {
        writer.await.unwrap();
    }
    store.reconcile(TimeRange::all()).await.unwrap();
    assert_eq!(counted(&store).await, 4_000);
}

#[tokio::test]
async fn what_was_purged_is_not_counted_again() {
    let store = Database::new().open().await;
    store.record(&clicks("a", 3)).await.unwrap();
    let later = Click::new(code("a"), at("2026-01-11T12:00:00Z"));
    store.record_one(&later).await.unwrap();
    let purged = store.purge_clicks(at("2026-01-11T11:59:00Z"), 2).await.unwrap();
    assert_eq!((purged.removed, purged.done, purged.watermark), (2, false, at("2026-01-11T11:00:00Z")));
    let purged = store.purge_clicks(at("2026-01-11T10:00:00Z"), 2).await.unwrap();
    assert_eq!((purged.removed, purged.done, purged.watermark), (1, true, at("2026-01-11T11:00:00Z")));
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    // Nor when its hour was found to differ before it was purged.
    let recount = "SELECT linkly_recount(ARRAY['a', 'a'], ARRAY['2026-01-11T10:00:00Z', NULL]::timestamptz[])";
    run(&store, recount).await;
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 4);
}

#[tokio::test]
async fn the_change_log_is_read_in_pages_and_trims_itself() {
    let store = Database::new().open().await;
    let start = store.changes(None).await.unwrap().next;
    store.insert(&links(MANY)).await.unwrap();
    let (mut cursor, mut codes) = (start.clone(), 0);
    loop {
        let page = store.changes(Some(&cursor)).await.unwrap();
        assert!(!page.lost);
        codes += page.codes.len();
        cursor = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(codes, MANY);
    for _ in 0..52 {
        run(&store, "UPDATE links SET version = version + 1").await;
    }
    let kept = count(&store, "SELECT count(*) FROM link_changes").await;
    assert!((100_000..=101_000).contains(&kept), "{kept}");
    assert!(store.changes(Some(&start)).await.unwrap().lost);
    let now = store.changes(None).await.unwrap().next;
    store.insert_one(&link("new")).await.unwrap();
    assert_eq!(store.changes(Some(&now)).await.unwrap().codes, [code("new")]);
    assert!(store.changes(Some(&linkly_core::ChangeCursor::new("odd"))).await.unwrap().lost);
}

/// Of a transaction that was open when the log was read, and was trimmed when it had ended.
#[tokio::test]
async fn a_cursor_knows_that_changes_it_waits_for_were_trimmed() {
    let store = Database::new().open().await;
    let mut open = client(&store).await;
    let open = open.transaction().await.unwrap();
    store.insert_in(&open, &link("late")).await.unwrap();
    store.insert(&links(1_000)).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    for _ in 0..102 {
        run(&store, "UPDATE links SET version = version + 1").await;
    }
    let seen = store.changes(None).await.unwrap().next;
    assert!(store.changes(Some(&start)).await.unwrap().lost);
    assert!(!store.changes(Some(&seen)).await.unwrap().lost, "what is open cannot have been trimmed");
    open.commit().await.unwrap();
    assert_eq!(store.changes(Some(&seen)).await.unwrap().codes, [code("late")]);
    store.optimize().await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM link_changes WHERE code = 'late'").await, 0);
    for _ in 0..2 {
        run(&store, "UPDATE links SET version = version + 1").await;
    }
    assert!(store.changes(Some(&seen)).await.unwrap().lost);
}

#[tokio::test]
async fn letting_a_code_go_takes_every_row_of_its_clicks() {
    let store = Database::new().open().await;
    store.insert(&[link("a"), link("b")]).await.unwrap();
    let start = at("2026-01-11T10:00:00Z");
    let rows: Vec<_> = (0..500)
        .map(|number| Click::new(code(["a", "b"][number % 2]), start + TimeDelta::minutes(number as i64 * 7)))
        .collect();
    store.record(&rows).await.unwrap();
    let a = store.get_one(&code("a")).await.unwrap().unwrap();
    store.delete_one(Delete::new(a.code, a.id).with_release()).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM clicks WHERE code = 'a'").await, 0);
    assert_eq!(counted(&store).await, 250);
}

/// Clicks that arrive while their code is let go are gone with it or refused, and never counted for the link that
/// has the code next.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clicks_that_arrive_while_their_code_is_let_go_count_for_nobody() {
    let store = Database::new().open().await;
    for _ in 0..30 {
        let link = link("a");
        store.insert_one(&link).await.unwrap();
        let writers: Vec<_> = (0..3)
            .map(|_| {
                let (store, id) = (store.clone(), link.id);
                tokio::spawn(async move {
                    loop {
                        let mut batch = clicks("a", 5);
                        batch.iter_mut().for_each(|click| click.link_id = Some(id));
                        match store.record(&batch).await {
                            Ok(()) => {}
                            Err(Error::Refused { .. }) => return,
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                })
            })
            .collect();
        while store.total(&code("a")).await.unwrap().clicks == 0 {
            tokio::task::yield_now().await;
        }
        store.delete_one(Delete::new(link.code, link.id).with_release()).await.unwrap();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(store.total(&code("a")).await.unwrap(), Totals::default());
        assert_eq!(counted(&store).await, 0);
    }
}

#[tokio::test]
async fn ids_of_released_links_are_forgotten_after_thirty_days() {
    let store = Database::new().open().await;
    let (old, new) = (link("old"), link("new"));
    store.insert(&[old.clone(), new.clone()]).await.unwrap();
    let deletes = [&old, &new].map(|link| Delete::new(link.code.clone(), link.id).with_release());
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::Deleted; 2]);
    for (age, code) in [(31, "old"), (29, "new")] {
        let sql =
            format!("UPDATE released_links SET released_at = now() - interval '{age} days' WHERE code = '{code}'");
        run(&store, &sql).await;
    }
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::Deleted; 2]);
    store.optimize().await.unwrap();
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::NotFound, Deleted::Deleted]);
    assert_eq!(count(&store, "SELECT count(*) FROM released_links").await, 1);
}
