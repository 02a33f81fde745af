//! Counting again, the change log's length, and what is purged.

mod fixture;

use fixture::{File, MANY, at, clicks, code, count, counted, link, links};
use linkly_core::chrono::TimeDelta;
use linkly_core::{
    Click, ClickSink, ClickSinkExt, ClickStatsExt, Count, Delete, Deleted, Difference, LinkStore, LinkStoreExt,
    Maintenance, Reconciled, TimeRange, Totals,
};
use linkly_store_sqlite::sqlx;

#[tokio::test]
async fn counts_that_differ_are_mended_and_reported() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 3)).await.unwrap();
    store.record(&clicks("b", 2)).await.unwrap();
    for spoil in [
        "UPDATE click_hours SET clicks = 7, bots = 1 WHERE code = 'a'",
        "UPDATE link_stats SET clicks = 9 WHERE code = 'a'",
        "INSERT INTO click_hours VALUES ('ghost', '2026-01-11T10:00:00.000Z', 4, 0)",
        "DELETE FROM link_stats WHERE code = 'b'",
    ] {
        sqlx::query(spoil).execute(store.writer()).await.unwrap();
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
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 2)).await.unwrap();
    store.purge_clicks(at("2026-01-11T11:00:00Z"), 10).await.unwrap();
    for spoil in ["DELETE FROM link_stats", "INSERT INTO click_hours VALUES ('a', '2026-01-11T12:00:00.000Z', 4, 0)"] {
        sqlx::query(spoil).execute(store.writer()).await.unwrap();
    }
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences.len(), 2);
    assert_eq!(store.total(&code("a")).await.unwrap(), Totals::new(2, 0, Some(at("2026-01-11T10:00:00Z"))));
}

#[tokio::test]
async fn many_clicks_are_counted_again_a_part_at_a_time() {
    let file = File::new();
    let store = file.open().await;
    let start = at("2026-01-11T10:00:00Z");
    let rows: Vec<_> = (0..70_000)
        .map(|number| Click::new(code(&format!("c{}", number % 7)), start + TimeDelta::seconds(number * 10)))
        .collect();
    for batch in rows.chunks(10_000) {
        store.record(batch).await.unwrap();
    }
    sqlx::query("UPDATE click_hours SET clicks = clicks + 1 WHERE code = 'c3'").execute(store.writer()).await.unwrap();
    sqlx::query("UPDATE link_stats SET bots = 5 WHERE code = 'c5'").execute(store.writer()).await.unwrap();
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

#[tokio::test]
async fn what_was_purged_is_not_counted_again() {
    let file = File::new();
    let store = file.open().await;
    store.record(&clicks("a", 3)).await.unwrap();
    let later = Click::new(code("a"), at("2026-01-11T12:00:00Z"));
    store.record_one(&later).await.unwrap();
    let purged = store.purge_clicks(at("2026-01-11T11:59:00Z"), 2).await.unwrap();
    assert_eq!((purged.removed, purged.done, purged.watermark), (2, false, at("2026-01-11T11:00:00Z")));
    let purged = store.purge_clicks(at("2026-01-11T10:00:00Z"), 2).await.unwrap();
    assert_eq!((purged.removed, purged.done, purged.watermark), (1, true, at("2026-01-11T11:00:00Z")));
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 4);
    // Numbers of rows never come again, so the next batch counts itself and nothing else.
    store.purge_clicks(at("2026-02-01T00:00:00Z"), 100).await.unwrap();
    store.record_one(&Click::new(code("a"), at("2026-02-01T00:00:00Z"))).await.unwrap();
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 5);
}

#[tokio::test]
async fn the_change_log_is_read_in_pages_and_trims_itself() {
    let file = File::new();
    let store = file.open().await;
    let start = store.changes(None).await.unwrap().next;
    let batch = links(MANY);
    store.insert(&batch).await.unwrap();
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
    let churn = "UPDATE links SET version = version + 1";
    for _ in 0..52 {
        sqlx::query(churn).execute(store.writer()).await.unwrap();
    }
    let kept = count(&store, "SELECT count(*) FROM link_changes").await;
    assert!((100_000..=101_000).contains(&kept), "{kept}");
    assert!(store.changes(Some(&start)).await.unwrap().lost);
    let now = store.changes(None).await.unwrap().next;
    store.insert_one(&link("new")).await.unwrap();
    assert_eq!(store.changes(Some(&now)).await.unwrap().codes, [code("new")]);
    assert!(store.changes(Some(&linkly_core::ChangeCursor::new("odd"))).await.unwrap().lost);
}

#[tokio::test]
async fn letting_a_code_go_takes_every_row_of_its_clicks() {
    let file = File::new();
    let store = file.open().await;
    store.insert(&[link("a"), link("b")]).await.unwrap();
    let start = at("2026-01-11T10:00:00Z");
    let rows: Vec<_> = (0..500)
        .map(|number| Click::new(code(["a", "b"][number % 2]), start + TimeDelta::minutes(number as i64 * 7)))
        .collect();
    store.record(&rows).await.unwrap();
    sqlx::query("INSERT INTO clicks (code, clicked_at) VALUES ('a', 'unreadable')")
        .execute(store.writer())
        .await
        .unwrap();
    let a = store.get_one(&code("a")).await.unwrap().unwrap();
    store.delete_one(Delete::new(a.code, a.id).with_release()).await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM clicks WHERE code = 'a'").await, 0);
    assert_eq!(counted(&store).await, 250);
}

#[tokio::test]
async fn ids_of_released_links_are_forgotten_after_thirty_days() {
    let file = File::new();
    let store = file.open().await;
    let (old, new) = (link("old"), link("new"));
    store.insert(&[old.clone(), new.clone()]).await.unwrap();
    let deletes = [&old, &new].map(|link| Delete::new(link.code.clone(), link.id).with_release());
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::Deleted; 2]);
    for (age, link) in [(31, &old), (29, &new)] {
        let released =
            "UPDATE released_links SET released_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', ?1) WHERE code = ?2";
        let query = sqlx::query(released).bind(format!("-{age} days")).bind(link.code.as_str());
        assert_eq!(query.execute(store.writer()).await.unwrap().rows_affected(), 1);
    }
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::Deleted; 2]);
    store.optimize().await.unwrap();
    assert_eq!(store.delete(&deletes).await.unwrap(), [Deleted::NotFound, Deleted::Deleted]);
    assert_eq!(count(&store, "SELECT count(*) FROM released_links").await, 1);
}
