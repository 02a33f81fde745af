//! What the app writes with SQL of its own keeps the tables in order.

mod fixture;

use fixture::{Database, at, clicks, client, code, count, counted, link, run};
use linkly_core::chrono::TimeDelta;
use linkly_core::{
    ClickSink, ClickStats, ClickStatsExt, Insert, LinkStore, LinkStoreExt, ListClicks, ListLinks, Maintenance,
    Reconciled, Scope, Series, Step, TimeRange, Update,
};
use linkly_store_postgres::{Partitions, PostgresStore};

#[tokio::test]
async fn a_link_of_three_columns_is_one_like_any_other() {
    let store = Database::new().open().await;
    let start = store.changes(None).await.unwrap().next;
    run(
        &store,
        "INSERT INTO links (code, url, created_at) VALUES ('a', 'https://iii.dev', '2026-01-11T10:00:00.1239Z')",
    )
    .await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a")]);
    let mut stored = store.get_one(&code("a")).await.unwrap().unwrap();
    assert_eq!(linkly_core::time_of(stored.id), Some(at("2026-01-11T10:00:00.124Z")));
    assert_eq!((stored.version, stored.created_at), (1, at("2026-01-11T10:00:00.124Z")));
    stored.title = Some("edited".into());
    assert_eq!(store.update_one(&stored).await.unwrap(), Update::Updated { version: 2 });
}

/// Their ids carry when they were made, to the millisecond, so lists of a time find them.
#[tokio::test]
async fn links_of_three_columns_are_listed_among_those_of_their_time() {
    let store = Database::new().open().await;
    run(
        &store,
        "INSERT INTO links (code, url, created_at)
        SELECT 'c' || n, 'https://iii.dev',
            '1950-01-11T10:00:00Z'::timestamptz + n * interval '55 days 13 hours 1 second 1.0013 milliseconds'
        FROM generate_series(0, 999) AS n",
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
    let store = Database::new().open().await;
    let mut read = link("a");
    read.tags = vec!["old".into()];
    store.insert_one(&read).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, "UPDATE links SET url = 'https://iii.dev/new', tags = '{new}' WHERE code = 'a'").await;

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
    let store = Database::new().open().await;
    let mut tagged = link("a");
    tagged.tags = vec!["t".into()];
    store.insert_one(&tagged).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, "UPDATE links SET code = 'b'").await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a"), code("b")]);
    let found = store.list(&ListLinks::new(Scope::All).with_tag("t")).await.unwrap().items;
    assert_eq!(found.iter().map(|link| link.code.clone()).collect::<Vec<_>>(), [code("b")]);
}

#[tokio::test]
async fn links_that_the_app_deletes_leave_nothing_in_lists() {
    let store = Database::new().open().await;
    let mut tagged = link("a");
    tagged.tags = vec!["t".into()];
    store.insert_one(&tagged).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    run(&store, "DELETE FROM links").await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("a")]);
    assert!(store.list(&ListLinks::new(Scope::All).with_tag("t")).await.unwrap().items.is_empty());
    assert_eq!(count(&store, "SELECT count(*) FROM link_tags").await, 0);
    run(&store, "INSERT INTO links (code, url, created_at) VALUES ('a', 'https://iii.dev/b', now())").await;
    // Sent again, the first link does not come back.
    assert_eq!(store.insert_one(&tagged).await.unwrap(), Insert::CodeTaken);
}

/// What no rule of this library lets in is left out, and does not fail the rows beside it.
#[tokio::test]
async fn odd_rows_of_the_app_do_not_fail_the_others() {
    let store = Database::new().open().await;
    store.insert_one(&link("good")).await.unwrap();
    run(
        &store,
        "INSERT INTO links (code, url, created_at, expires_at, redirect, version, max_clicks, tags, metadata) VALUES
            ('time', 'https://iii.dev', now(), 'infinity', 200, -5, 99999999999, '{{a,b},{c,d}}', '[1e999]'),
            ('no code', 'https://iii.dev', now(), NULL, 302, 1, NULL, '{NULL,a}', NULL),
            ('unfit', 'javascript:alert(1)', now(), '-infinity', 302, 1, NULL, '{}', NULL)",
    )
    .await;
    let codes = ["good", "time", "unfit"].map(code);
    let targets = store.targets(&codes).await.unwrap();
    let [Some(good), Some(time), Some(unfit)] = &targets[..] else { panic!("{targets:?}") };
    assert!(good.check().is_ok() && time.check().is_ok() && unfit.check().is_err());
    let links = store.get(&codes).await.unwrap();
    assert!(links.iter().all(Option::is_some), "{links:?}");
    let time = links[1].as_ref().unwrap();
    assert_eq!((time.version, time.max_clicks, time.expires_at), (0, Some(u32::MAX), None));
    assert_eq!(store.list(&ListLinks::new(Scope::All)).await.unwrap().items.len(), 3);
}

async fn clicks_are_counted_together(store: &PostgresStore) {
    for _ in 0..3 {
        let two =
            "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T10:00:00Z'), ('a', '2026-01-11T11:30:00Z')";
        run(store, two).await;
        store.record(&clicks("a", 10)).await.unwrap();
    }
    run(store, "INSERT INTO clicks (code, clicked_at, bot) SELECT code, clicked_at, true FROM clicks").await;
    assert_eq!(counted(store).await, 72);
    let total = store.total(&code("a")).await.unwrap();
    assert_eq!((total.clicks, total.bots, total.last_clicked_at), (72, 36, Some(at("2026-01-11T11:30:00Z"))));
    run(
        store,
        "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T24:00:00Z'),
            ('a', '2026-01-11T10:30:10.1235Z'), ('a', '2026-01-11T05:59:59.999-05')",
    )
    .await;
    assert_eq!(counted(store).await, 75);
    let rows = store.clicks(&ListClicks::new(TimeRange::all()).with_limit(100)).await.unwrap().items;
    rows.iter().for_each(|click| click.check().unwrap());
    let last = rows.iter().map(|click| click.clicked_at).max();
    assert_eq!((rows.len(), last), (75, Some(at("2026-01-12T00:00:00Z"))));
    let hours = store.series(&Series::new(code("a"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [68, 6, 1]);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
}

#[tokio::test]
async fn clicks_of_the_app_and_of_batches_are_counted_together() {
    clicks_are_counted_together(&Database::new().open().await).await;
}

#[tokio::test]
async fn clicks_of_the_app_find_their_partitions() {
    let config = Database::new().config().with_partitions(Partitions::Day);
    let store = PostgresStore::connect_with(config).await.unwrap();
    run(&store, "SELECT linkly_make_partitions('day', '2026-01-11T00:00:00Z', 0)").await;
    clicks_are_counted_together(&store).await;
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_2026_01_11").await, 74);
    assert_eq!(count(&store, "SELECT count(*) FROM clicks_default").await, 1);
}

#[tokio::test]
async fn a_click_of_the_app_older_than_what_was_purged_is_refused() {
    let store = Database::new().open().await;
    store.purge_clicks(at("2026-01-11T11:00:00Z"), 10).await.unwrap();
    for (clicked_at, says) in
        [("2026-01-11T10:00:00Z", "older than what was purged"), ("1969-12-31T23:59:59Z", "older than what was purged")]
    {
        let old = format!("INSERT INTO clicks (code, clicked_at) VALUES ('a', '{clicked_at}')");
        let error = client(&store).await.batch_execute(&old).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains(says), "{error:?}");
    }
    assert_eq!(counted(&store).await, 0);
}

#[tokio::test]
async fn a_session_in_another_time_zone_writes_the_same_hours() {
    let database = Database::new();
    let store = database.open().await;
    let name = database.url.rsplit('/').next().unwrap();
    // Half an hour beside all others.
    run(&store, &format!("ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")).await;
    let store = database.open().await;
    store.record(&clicks("a", 3)).await.unwrap();
    run(&store, "INSERT INTO clicks (code, clicked_at) VALUES ('a', '2026-01-11T10:50:00Z')").await;
    let hours = store.series(&Series::new(code("a"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [4]);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    assert_eq!(store.clicks(&ListClicks::new(TimeRange::all()).with_code(code("a"))).await.unwrap().items.len(), 4);
    store.purge_clicks(at("2026-01-11T10:59:00Z"), 10).await.unwrap();
    assert_eq!(counted(&store).await, 4);
}
