//! What the app writes with SQL of its own keeps the tables in order.

mod fixture;

use fixture::{File, at, clicks, code, count, counted, link};
use linkly_core::chrono::TimeDelta;
use linkly_core::{
    ClickSink, ClickStats, ClickStatsExt, Insert, LinkStore, LinkStoreExt, ListClicks, ListLinks, Maintenance,
    Reconciled, Scope, Series, Step, TimeRange, Update,
};
use linkly_store_sqlite::{SqliteStore, sqlx};

async fn run(store: &SqliteStore, sql: &'static str) {
    sqlx::query(sql).execute(store.writer()).await.unwrap();
}

/// Their ids carry when they were made, to the millisecond, so lists of a time find them.
#[tokio::test]
async fn links_of_three_columns_are_listed_among_those_of_their_time() {
    let file = File::new();
    let store = file.open().await;
    run(
        &store,
        "INSERT INTO links (code, url, created_at)
        WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 999)
        SELECT 'c' || n, 'https://iii.dev',
            printf('%d-%02d-11T10:%02d:%02d.%03d%s', 1950 + n % 150, 1 + n % 12, n % 60, n % 59, n,
                CASE n % 3 WHEN 0 THEN 'Z' WHEN 1 THEN '9+02:00' ELSE '' END)
        FROM n",
    )
    .await;
    let links = store.list(&ListLinks::new(Scope::All).with_limit(1_000)).await.unwrap().items;
    assert_eq!(links.len(), 1_000);
    for link in &links {
        link.check_new().unwrap_or_else(|error| panic!("{link:?}: {error}"));
    }
    for link in links.iter().step_by(50) {
        let end = link.created_at + TimeDelta::milliseconds(1);
        let query = ListLinks::new(Scope::All).with_created(Some(link.created_at), Some(end));
        assert!(store.list(&query).await.unwrap().items.contains(link), "{link:?}");
    }
}

#[tokio::test]
async fn an_update_by_the_app_is_a_change_and_ends_older_versions() {
    let file = File::new();
    let store = file.open().await;
    let mut read = link("a");
    read.tags = vec!["old".into()];
    store.insert_one(&read).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, r#"UPDATE links SET url = 'https://iii.dev/new', tags = '["new"]' WHERE code = 'a'"#).await;

    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a")]);
    assert_eq!(store.update_one(&read).await.unwrap(), Update::Conflict);
    let stored = store.get_one(&code("a")).await.unwrap().unwrap();
    assert_eq!((stored.version, stored.tags.as_slice()), (2, ["new".to_owned()].as_slice()));
    for (query, found) in [
        (ListLinks::new(Scope::All).with_tag("old"), 0),
        (ListLinks::new(Scope::All).with_tag("new"), 1),
        (ListLinks::new(Scope::All).with_url("https://iii.dev/a"), 0),
        (ListLinks::new(Scope::All).with_url("https://iii.dev/new"), 1),
    ] {
        assert_eq!(store.list(&query).await.unwrap().items.len(), found, "{query:?}");
    }
    assert_eq!(count(&store, "SELECT count(*) FROM links WHERE url_hash IS NULL").await, 1);
    store.optimize().await.unwrap();
    assert_eq!(count(&store, "SELECT count(*) FROM links WHERE url_hash IS NULL").await, 0);
    let found = store.list(&ListLinks::new(Scope::All).with_url("https://iii.dev/new")).await.unwrap();
    assert_eq!(found.items, [stored]);
}

#[tokio::test]
async fn a_code_that_the_app_renames_is_two_changes() {
    let file = File::new();
    let store = file.open().await;
    store.insert_one(&link("a")).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, "UPDATE links SET code = 'b'").await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a"), code("b")]);
}

#[tokio::test]
async fn links_that_the_app_replaces_or_deletes_leave_nothing_in_lists() {
    let file = File::new();
    let store = file.open().await;
    let mut tagged = link("a");
    tagged.tags = vec!["t".into()];
    store.insert_one(&tagged).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, "REPLACE INTO links (code, url, created_at) VALUES ('a', 'https://iii.dev/b', '2026-01-12T10:00:00Z')")
        .await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a")]);
    let by_tag = ListLinks::new(Scope::All).with_tag("t");
    assert!(store.list(&by_tag).await.unwrap().items.is_empty());
    let replaced = store.get_one(&code("a")).await.unwrap().unwrap();
    assert_ne!(replaced.id, tagged.id);
    // Sent again, the first link does not come back.
    assert_eq!(store.insert_one(&tagged).await.unwrap(), Insert::CodeTaken);
    run(&store, "DELETE FROM links").await;
    assert!(store.get_one(&code("a")).await.unwrap().is_none());
    assert!(store.changes(Some(&start)).await.unwrap().codes.contains(&code("a")));
}

#[tokio::test]
async fn clicks_of_the_app_and_of_batches_are_counted_together() {
    let file = File::new();
    let store = file.open().await;
    for _ in 0..3 {
        run(
            &store,
            "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T10:00:00Z'), ('a', '2026-01-11T11:30:00Z')",
        )
        .await;
        store.record(&clicks("a", 10)).await.unwrap();
    }
    assert_eq!(counted(&store).await, 36);
    // Also after the newest rows are gone: numbers of rows never come again.
    run(&store, "INSERT INTO clicks (code, clicked_at, bot) SELECT code, clicked_at, 1 FROM clicks").await;
    store.optimize().await.unwrap();
    assert_eq!(counted(&store).await, 72);
    let total = store.total(&code("a")).await.unwrap();
    assert_eq!((total.clicks, total.bots, total.last_clicked_at), (72, 36, Some(at("2026-01-11T11:30:00Z"))));
    run(
        &store,
        "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T24:00:00Z'),
            ('a', '2026-01-11T10:30:10.1235Z'), ('a', '2026-01-11T10:59:59.9995Z')",
    )
    .await;
    store.changes(None).await.unwrap();
    assert_eq!(counted(&store).await, 75);
    let rows = store.clicks(&ListClicks::new(TimeRange::all()).with_limit(100)).await.unwrap().items;
    rows.iter().for_each(|click| click.check().unwrap());
    let last = rows.iter().map(|click| click.clicked_at).max();
    assert_eq!((rows.len(), last), (75, Some(at("2026-01-12T00:00:00Z"))));
    let hours = store.series(&Series::new(code("a"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [68, 6, 1]);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
}

#[tokio::test]
async fn a_click_of_the_app_that_cannot_be_counted_holds_up_no_other() {
    let file = File::new();
    let store = file.open().await;
    store.purge_clicks(at("2026-01-11T10:00:00Z"), 10).await.unwrap();
    for _ in 0..2 {
        run(
            &store,
            "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T09:59:59.999Z'), ('a', 'sometime'),
                ('a', '2026-01-11T10:00:00Z')",
        )
        .await;
        store.record(&clicks("a", 1)).await.unwrap();
    }
    // Looked at once, and kept.
    store.optimize().await.unwrap();
    assert_eq!(counted(&store).await, 4);
    assert_eq!(count(&store, "SELECT count(*) FROM clicks WHERE event_id IS NULL").await, 4);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
}

#[tokio::test]
async fn many_clicks_of_the_app_are_counted_a_part_at_a_time() {
    let file = File::new();
    let store = file.open().await;
    run(
        &store,
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 11500)
            INSERT INTO clicks (code, clicked_at) SELECT 'a', '2026-01-11T10:00:00Z' FROM numbers",
    )
    .await;
    store.record(&clicks("a", 1)).await.unwrap();
    assert_eq!(counted(&store).await, 1_001);
    store.optimize().await.unwrap();
    assert_eq!(counted(&store).await, 11_001);
    store.changes(None).await.unwrap();
    assert_eq!(counted(&store).await, 11_501);
}
