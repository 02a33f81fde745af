//! A database that another program made with the first columns of the first two tables opens, is upgraded
//! in place, and loses nothing.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    ClickStats, ClickStatsExt, Code, Folding, LinkStore, LinkStoreExt, ListClicks, ListLinks, Maintenance, Order,
    Reconciled, Scope, Series, Step, TimeRange, derived_id,
};
use linkly_store_sqlite::sqlx::sqlite::SqliteConnectOptions;
use linkly_store_sqlite::sqlx::{self, ConnectOptions, Connection, SqliteConnection};
use linkly_store_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;

const LINKS: &str =
    "CREATE TABLE IF NOT EXISTS links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL)";
const CLICKS: &str = "CREATE TABLE IF NOT EXISTS clicks (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, clicked_at TEXT NOT NULL)";
const CREATE: &str = "INSERT INTO links (code, url, created_at) VALUES (?, ?, ?)";
const CLICK: &str = "INSERT INTO clicks (code, clicked_at) VALUES (?, ?)";

/// The other program: a connection to the database in this folder.
async fn other_program(folder: &TempDir) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(folder.path().join("iii.db")).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    for table in [LINKS, CLICKS] {
        sqlx::query(table).execute(&mut connection).await.unwrap();
    }
    connection
}

async fn create(connection: &mut SqliteConnection, code: &str, url: &str, created_at: &str) {
    sqlx::query(CREATE).bind(code).bind(url).bind(created_at).execute(connection).await.unwrap();
}

async fn click(connection: &mut SqliteConnection, code: &str, clicked_at: &str) {
    sqlx::query(CLICK).bind(code).bind(clicked_at).execute(connection).await.unwrap();
}

fn config(folder: &TempDir) -> SqliteConfig {
    SqliteConfig::new(format!("sqlite:{}/iii.db", folder.path().display()))
}

fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn its_links_resolve_and_its_clicks_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    create(&mut other, "iii", "https://iii.dev", "2026-01-11T10:00:00.000Z").await;
    create(&mut other, "later", "https://iii.dev/later", "2026-01-11T12:30:00+02:00").await;
    for clicked_at in ["2026-01-11T10:00:01.123Z", "2026-01-11T11:59:59.999Z", "2026-01-11 12:00:00"] {
        click(&mut other, "iii", clicked_at).await;
    }
    other.close().await.unwrap();

    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    let report = store.migrate().await.unwrap();
    assert_eq!((report.links, report.clicks, report.unfit.len()), (2, 3, 0));
    assert_eq!(store.target(&code("iii")).await.unwrap().unwrap().url(), "https://iii.dev");
    let link = store.get_one(&code("iii")).await.unwrap().unwrap();
    assert_eq!((link.created_at, link.updated_at, link.version), (at("2026-01-11T10:00:00Z"), link.created_at, 1));
    assert_eq!(link.id, derived_id(link.created_at, 1));
    assert_eq!(store.get_one(&code("later")).await.unwrap().unwrap().created_at, at("2026-01-11T10:30:00Z"));
    let newest = store.list(&ListLinks::new(Scope::Plain)).await.unwrap();
    assert_eq!(newest.items.iter().map(|link| link.code.as_str()).collect::<Vec<_>>(), ["later", "iii"]);
    let to = store.list(&ListLinks::new(Scope::All).with_url("https://iii.dev")).await.unwrap();
    assert_eq!(to.items, [link]);

    let total = store.total(&code("iii")).await.unwrap();
    assert_eq!((total.clicks, total.last_clicked_at), (3, Some(at("2026-01-11T12:00:00Z"))));
    let hours = store.series(&Series::new(code("iii"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [1, 1, 1]);
    let clicks = store.clicks(&ListClicks::new(TimeRange::all()).with_oldest_first()).await.unwrap().items;
    let times = ["2026-01-11T10:00:01.123Z", "2026-01-11T11:59:59.999Z", "2026-01-11T12:00:00Z"].map(at);
    for (row, (click, time)) in clicks.iter().zip(times).enumerate() {
        assert_eq!((click.clicked_at, click.id), (time, derived_id(time, row as i64 + 1)));
        click.check().unwrap();
    }
    assert_eq!(clicks.len(), 3);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
}

/// Times as other programs write them, and how they are read: SQLite knows an hour 24, days that a month
/// has not, and digits behind the millisecond, which never reach the next second.
const ODD_TIMES: [(&str, &str); 8] = [
    ("2026-01-11T24:00:00Z", "2026-01-12T00:00:00Z"),
    ("2026-01-11T10:30:10.1235Z", "2026-01-11T10:30:10.124Z"),
    ("2026-01-11T10:30:10.1234999Z", "2026-01-11T10:30:10.123Z"),
    ("2026-01-11T10:59:59.9995Z", "2026-01-11T10:59:59.999Z"),
    ("2026-01-11T12:59:59.999Z", "2026-01-11T12:59:59.999Z"),
    ("2026-02-30 10:00:00", "2026-03-02T10:00:00Z"),
    ("2026-01-12", "2026-01-12T00:00:00Z"),
    ("1970-01-01T02:00:00+02:00", "1970-01-01T00:00:00Z"),
];
/// Before 1970 in UTC, and behind the year 9999.
const NO_TIMES: [&str; 3] = ["1970-01-01T00:00:00+02:00", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59-01:00"];

async fn write_odd_times(other: &mut SqliteConnection) {
    for (number, (time, _)) in ODD_TIMES.iter().enumerate() {
        create(other, &format!("odd{number}"), "https://iii.dev", time).await;
        click(other, "iii", time).await;
    }
    for time in NO_TIMES {
        click(other, "iii", time).await;
    }
}

async fn check_odd_times(store: &SqliteStore) {
    let mut times: Vec<_> = ODD_TIMES.iter().map(|(_, read)| at(read)).collect();
    for (number, time) in times.iter().enumerate() {
        let link = store.get_one(&code(&format!("odd{number}"))).await.unwrap().unwrap();
        assert_eq!((link.created_at, link.updated_at, linkly_core::time_of(link.id)), (*time, *time, Some(*time)));
        link.check().unwrap();
    }
    times.sort();
    let clicks = store.clicks(&ListClicks::new(TimeRange::all()).with_oldest_first()).await.unwrap().items;
    assert_eq!(clicks.iter().map(|click| click.clicked_at).collect::<Vec<_>>(), times);
    clicks.iter().for_each(|click| click.check().unwrap());
    let total = store.total(&code("iii")).await.unwrap();
    assert_eq!((total.clicks, total.last_clicked_at), (8, times.last().copied()));
    for step in [Step::Hour, Step::Day] {
        let series = store.series(&Series::new(code("iii"), TimeRange::all(), step)).await.unwrap();
        assert_eq!(series.iter().map(|bucket| bucket.clicks).sum::<u64>(), 8);
    }
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    for time in NO_TIMES {
        let kept =
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM clicks WHERE clicked_at = ? AND event_id IS NULL");
        assert_eq!(kept.bind(time).fetch_one(store.pool()).await.unwrap(), 1, "{time}");
    }
}

#[tokio::test]
async fn odd_times_that_were_there_before_are_counted_where_they_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    write_odd_times(&mut other).await;
    other.close().await.unwrap();
    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    let report = store.migrate().await.unwrap();
    let found: Vec<_> = report.unfit.iter().map(|unfit| (unfit.what.as_str(), unfit.rows)).collect();
    assert_eq!(found, [("clicks.clicked_at", 3)], "{report:#?}");
    check_odd_times(&store).await;
}

#[tokio::test]
async fn odd_times_that_the_other_program_writes_later_are_counted_where_they_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    write_odd_times(&mut other).await;
    store.optimize().await.unwrap();
    check_odd_times(&store).await;
}

#[tokio::test]
async fn the_other_program_goes_on_writing() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    let start = store.changes(None).await.unwrap().next;
    create(&mut other, "iii", "https://iii.dev", "2026-01-11T10:00:00Z").await;
    for minute in [59, 10, 30] {
        click(&mut other, "iii", &format!("2026-01-11T10:{minute}:00.5Z")).await;
    }
    click(&mut other, "iii", "2026-01-11T13:00:00+02:00").await;

    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("iii")]);
    let link = store.get_one(&code("iii")).await.unwrap().unwrap();
    assert_eq!(linkly_core::time_of(link.id), Some(link.created_at));
    link.check().unwrap();
    let total = store.total(&code("iii")).await.unwrap();
    assert_eq!((total.clicks, total.last_clicked_at), (4, Some(at("2026-01-11T11:00:00Z"))));
    let hours = store.series(&Series::new(code("iii"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [3, 1]);
    let clicks = store.clicks(&ListClicks::new(TimeRange::all()).with_code(code("iii"))).await.unwrap().items;
    assert_eq!(clicks.len(), 4);
    clicks.iter().for_each(|click| click.check().unwrap());
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
}

#[tokio::test]
async fn rows_that_no_rule_would_let_in_are_reported_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    create(&mut other, "good", "https://iii.dev", "2026-01-11T10:00:00Z").await;
    for bad in ["a b", "", "/x", "//x", "é"] {
        create(&mut other, bad, "https://iii.dev", "2026-01-11T10:00:00Z").await;
        click(&mut other, bad, "2026-01-11T10:00:00Z").await;
    }
    sqlx::query("INSERT INTO links VALUES (NULL, 'https://iii.dev', '2026-01-11T10:00:00Z')")
        .execute(&mut other)
        .await
        .unwrap();
    sqlx::query("INSERT INTO links VALUES ('blob', x'ff00', '2026-01-11T10:00:00Z')")
        .execute(&mut other)
        .await
        .unwrap();
    create(&mut other, "unfit", "javascript:alert(1)", "2026-01-11T10:00:00Z").await;
    for (number, bad) in ["now", "12", "yesterday", "2026-13-45T00:00:00Z", ""].iter().enumerate() {
        create(&mut other, &format!("time{number}"), "https://iii.dev", bad).await;
        click(&mut other, "good", bad).await;
    }
    click(&mut other, "good", "2026-01-11T10:00:00Z").await;
    other.close().await.unwrap();

    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    let report = store.migrate().await.unwrap();
    let found: Vec<_> = report.unfit.iter().map(|unfit| (unfit.what.as_str(), unfit.rows)).collect();
    let wanted =
        [("links.code", 6), ("links.url", 2), ("links.created_at", 5), ("clicks.clicked_at", 5), ("clicks.code", 5)];
    assert_eq!(found, wanted, "{report:#?}");
    assert!(report.unfit[0].examples.contains(&"a b".to_owned()), "{report:#?}");
    let count = |table: &'static str| sqlx::query_scalar::<_, i64>(table).fetch_one(store.pool());
    assert_eq!(count("SELECT count(*) FROM links").await.unwrap(), 14);
    assert_eq!(count("SELECT count(*) FROM clicks").await.unwrap(), 11);
    assert_eq!(count("SELECT count(*) FROM clicks WHERE clicked_at = 'yesterday'").await.unwrap(), 1);

    // Reads leave out what cannot be a code and show the rest.
    for order in [Order::Newest, Order::Code] {
        let mut query = ListLinks::new(Scope::All).with_order(order).with_limit(2);
        let mut codes = Vec::new();
        loop {
            let page = store.list(&query).await.unwrap();
            codes.extend(page.items.into_iter().map(|link| link.code.as_str().to_owned()));
            query.after = page.next;
            if query.after.is_none() {
                break;
            }
        }
        codes.sort();
        assert_eq!(codes, ["blob", "good", "time0", "time1", "time2", "time3", "time4", "unfit"]);
    }
    let targets = store.targets(&["good", "unfit", "blob", "time0"].map(code)).await.unwrap();
    let fit: Vec<_> = targets.iter().flatten().map(|target| target.check().is_ok()).collect();
    assert_eq!(fit, [true, false, false, true]);
    assert_eq!(store.get_one(&code("time0")).await.unwrap().unwrap().created_at, DateTime::UNIX_EPOCH);
    assert_eq!(store.total(&code("good")).await.unwrap().clicks, 1);
    assert_eq!(store.clicks(&ListClicks::new(TimeRange::all())).await.unwrap().items.len(), 1);
    let start = store.changes(None).await.unwrap().next;
    sqlx::query("UPDATE links SET url = 'https://iii.dev/2'").execute(store.writer()).await.unwrap();
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes.len(), 8);

    // Who starts later is told the same.
    assert_eq!(SqliteStore::connect_with(config(&folder)).await.unwrap().migrate().await.unwrap(), report);
}

#[tokio::test]
async fn codes_that_folding_makes_unreachable_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    create(&mut other, "Abc", "https://iii.dev", "2026-01-11T10:00:00Z").await;
    create(&mut other, "abc", "https://iii.dev/2", "2026-01-11T10:00:00Z").await;
    let store = SqliteStore::connect_with(config(&folder).with_folding(Folding::Lower)).await.unwrap();
    let report = store.migrate().await.unwrap();
    assert_eq!((report.unfit.len(), report.unfit[0].rows), (1, 1));
    assert_eq!(report.unfit[0].examples, ["Abc"]);
    assert_eq!(store.folding(), Folding::Lower);
}

#[tokio::test]
async fn many_rows_are_upgraded_in_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = other_program(&folder).await;
    let rows = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 4999)";
    for insert in [
        "INSERT INTO links SELECT 'c' || i, 'https://iii.dev/' || i, '2026-01-11T10:00:00Z' FROM n",
        "INSERT INTO clicks (code, clicked_at) SELECT 'c' || (i % 3000), strftime('%Y-%m-%dT%H:%M:%fZ', 1768125600 + i * 60, 'unixepoch') FROM n",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("{rows} {insert}"))).execute(&mut other).await.unwrap();
    }
    other.close().await.unwrap();
    let store = SqliteStore::connect_with(config(&folder)).await.unwrap();
    let report = store.migrate().await.unwrap();
    assert_eq!((report.links, report.clicks, report.unfit.len()), (5_000, 5_000, 0));
    let to = store.list(&ListLinks::new(Scope::All).with_url("https://iii.dev/4999")).await.unwrap();
    assert_eq!(to.items.len(), 1);
    assert_eq!(store.total(&code("c7")).await.unwrap().clicks, 2);
    let unhashed = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM links WHERE url_hash IS NULL");
    assert_eq!(unhashed.fetch_one(store.pool()).await.unwrap(), 0);
    let range = TimeRange::new(at("2026-01-11T10:00:00Z"), at("2026-01-11T10:00:00Z") + TimeDelta::days(30));
    assert_eq!(store.reconcile(range).await.unwrap(), Reconciled::new(Vec::new(), None));
}
