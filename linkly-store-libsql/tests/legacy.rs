//! A database that another program made with the first columns of the first two tables opens, on a file and on a
//! server, is upgraded in place, and loses nothing. What is read of its times is tested in `linkly-store-sqlite`:
//! the statements are the same.

mod fixture;

use fixture::{at, code, count, counted, execute};
use linkly_core::{
    ClickStats, ClickStatsExt, LinkStore, LinkStoreExt, ListClicks, ListLinks, Maintenance, Reconciled, Scope, Series,
    Step, TimeRange, derived_id,
};
use linkly_store_libsql::libsql::{Connection, Value};
use linkly_store_libsql::{LibsqlConfig, LibsqlStore};

const LINKS: &str =
    "CREATE TABLE IF NOT EXISTS links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL)";
const CLICKS: &str = "CREATE TABLE IF NOT EXISTS clicks (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, clicked_at TEXT NOT NULL)";

async fn run(other: &Connection, sql: &str, values: &[&str]) {
    let values: Vec<Value> = values.iter().map(|value| Value::from(*value)).collect();
    other.execute(sql, values).await.unwrap();
}

async fn create(other: &Connection, code: &str, url: &str, created_at: &str) {
    run(other, "INSERT INTO links (code, url, created_at) VALUES (?, ?, ?)", &[code, url, created_at]).await;
}

async fn click(other: &Connection, code: &str, clicked_at: &str) {
    run(other, "INSERT INTO clicks (code, clicked_at) VALUES (?, ?)", &[code, clicked_at]).await;
}

/// Its rows, and some that no rule of this library would let in.
async fn write_rows(other: &Connection) {
    run(other, LINKS, &[]).await;
    run(other, CLICKS, &[]).await;
    create(other, "iii", "https://iii.dev", "2026-01-11T10:00:00.000Z").await;
    create(other, "later", "https://iii.dev/later", "2026-01-11T12:30:00+02:00").await;
    create(other, "a b", "https://iii.dev", "2026-01-11T10:00:00Z").await;
    create(other, "unfit", "javascript:alert(1)", "2026-01-11T10:00:00Z").await;
    create(other, "never", "https://iii.dev", "yesterday").await;
    // Text and bytes that are not UTF-8.
    run(other, "INSERT INTO links VALUES ('blob', x'ff00', '2026-01-11T10:00:00Z')", &[]).await;
    run(other, "INSERT INTO links VALUES (CAST(x'ff61' AS TEXT), 'https://iii.dev', '2026-01-11T10:00:00Z')", &[])
        .await;
    run(other, "INSERT INTO links VALUES ('text', CAST(x'6800ff' AS TEXT), '2026-01-11T10:00:00Z')", &[]).await;
    for clicked_at in ["2026-01-11T10:00:01.123Z", "2026-01-11T11:59:59.999Z", "2026-01-11 12:00:00", "sometime"] {
        click(other, "iii", clicked_at).await;
    }
    // Older SQLites round it up, newer ones down: text, id and hour do so together.
    click(other, "odd", "2026-01-11T10:59:59.9995Z").await;
}

async fn its_links_resolve_and_its_clicks_are_counted(config: LibsqlConfig) {
    let store = LibsqlStore::connect_with(config.clone()).await.unwrap();
    let report = store.migrate().await.unwrap();
    assert_eq!((report.links, report.clicks), (8, 5));
    let found: Vec<_> = report.unfit.iter().map(|unfit| (unfit.what.as_str(), unfit.rows)).collect();
    let wanted = [("links.code", 2), ("links.url", 3), ("links.created_at", 1), ("clicks.clicked_at", 1)];
    assert_eq!(found, wanted, "{report:#?}");
    assert_eq!(count(&store, "SELECT count(*) FROM links").await, 8);

    let targets = store.targets(&["iii", "unfit", "blob", "text", "never"].map(code)).await.unwrap();
    let fit: Vec<_> = targets.iter().flatten().map(|target| target.check().is_ok()).collect();
    assert_eq!(fit, [true, false, false, false, true]);
    assert_eq!(store.target(&code("text")).await.unwrap().unwrap().url(), "h\0\u{fffd}");
    let link = store.get_one(&code("iii")).await.unwrap().unwrap();
    assert_eq!((link.created_at, link.updated_at, link.version), (at("2026-01-11T10:00:00Z"), link.created_at, 1));
    assert_eq!(link.id, derived_id(link.created_at, 1));
    assert_eq!(store.get_one(&code("later")).await.unwrap().unwrap().created_at, at("2026-01-11T10:30:00Z"));
    for order in [linkly_core::Order::Newest, linkly_core::Order::Code] {
        let mut query = ListLinks::new(Scope::Plain).with_order(order).with_limit(2);
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
        assert_eq!(codes, ["blob", "iii", "later", "never", "text", "unfit"]);
    }
    let to = store.list(&ListLinks::new(Scope::All).with_url("https://iii.dev")).await.unwrap();
    assert_eq!(to.items.iter().map(|link| link.code.as_str()).collect::<Vec<_>>(), ["iii", "never"]);

    let total = store.total(&code("iii")).await.unwrap();
    assert_eq!((total.clicks, total.last_clicked_at), (3, Some(at("2026-01-11T12:00:00Z"))));
    let hours = store.series(&Series::new(code("iii"), TimeRange::all(), Step::Hour)).await.unwrap();
    assert_eq!(hours.iter().map(|bucket| bucket.clicks).collect::<Vec<_>>(), [1, 1, 1]);
    let clicks = store.clicks(&ListClicks::new(TimeRange::all()).with_oldest_first()).await.unwrap().items;
    assert_eq!(clicks.len(), 4);
    clicks.iter().for_each(|click| click.check().unwrap());
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));

    // The other program goes on writing.
    let start = store.changes(None).await.unwrap().next;
    execute(&store, "INSERT INTO links (code, url, created_at) VALUES ('new', 'https://iii.dev/new', '2026-01-12')")
        .await;
    execute(&store, "INSERT INTO clicks (code, clicked_at) VALUES ('iii', '2026-01-11T13:30:00Z')").await;
    assert_eq!(store.changes(Some(&start)).await.unwrap().codes, [code("new")]);
    assert_eq!(store.total(&code("iii")).await.unwrap().clicks, 4);
    store.get_one(&code("new")).await.unwrap().unwrap().check().unwrap();

    // Who starts later is told the same.
    assert_eq!(LibsqlStore::connect_with(config).await.unwrap().migrate().await.unwrap(), report);
}

async fn many_rows_are_upgraded(other: &Connection, config: LibsqlConfig, rows: i64) {
    run(other, LINKS, &[]).await;
    run(other, CLICKS, &[]).await;
    let numbers = format!("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {})", rows - 1);
    for insert in [
        "INSERT INTO links SELECT 'c' || i, 'https://iii.dev/' || i, '2026-01-11T10:00:00Z' FROM n",
        "INSERT INTO clicks (code, clicked_at) SELECT 'c' || (i % 3000), strftime('%Y-%m-%dT%H:%M:%fZ', 1768125600 + i * 60, 'unixepoch') FROM n",
    ] {
        run(other, &insert.replacen("SELECT", &format!("{numbers} SELECT"), 1), &[]).await;
    }
    let store = LibsqlStore::connect_with(config).await.unwrap();
    let report = store.migrate().await.unwrap();
    assert_eq!((report.links, report.clicks, report.unfit.len()), (rows as u64, rows as u64, 0));
    assert_eq!(counted(&store).await, rows);
    assert_eq!(count(&store, "SELECT count(*) FROM links WHERE url_hash IS NULL").await, 0);
    let to = store.list(&ListLinks::new(Scope::All).with_url(format!("https://iii.dev/{}", rows - 1))).await.unwrap();
    assert_eq!(to.items.len(), 1);
}

#[cfg(feature = "local")]
mod on_a_file {
    use super::*;
    use fixture::File;
    use linkly_store_libsql::libsql::Builder;

    async fn other_program(file: &File) -> Connection {
        Builder::new_local(file.path()).build().await.unwrap().connect().unwrap()
    }

    #[tokio::test]
    async fn its_links_resolve_and_its_clicks_are_counted() {
        let file = File::new();
        write_rows(&other_program(&file).await).await;
        super::its_links_resolve_and_its_clicks_are_counted(file.config()).await;
    }

    #[tokio::test]
    async fn many_rows_are_upgraded_in_chunks() {
        let file = File::new();
        many_rows_are_upgraded(&other_program(&file).await, file.config(), 5_000).await;
    }
}

#[cfg(feature = "remote")]
mod on_a_server {
    use super::*;
    use linkly_store_libsql::libsql::Builder;
    use linkly_testkit::Sqld;

    async fn other_program(sqld: &Sqld) -> Connection {
        let database = Builder::new_remote(sqld.url().to_owned(), String::new()).build().await.unwrap();
        database.connect().unwrap()
    }

    #[tokio::test]
    async fn its_links_resolve_and_its_clicks_are_counted() {
        let sqld = Sqld::start();
        write_rows(&other_program(&sqld).await).await;
        super::its_links_resolve_and_its_clicks_are_counted(LibsqlConfig::new(sqld.url())).await;
    }

    /// More than a transaction that is held open at a server may take, five seconds: this one is a single request.
    #[tokio::test]
    async fn many_rows_are_upgraded_in_chunks() {
        let sqld = Sqld::start();
        many_rows_are_upgraded(&other_program(&sqld).await, LibsqlConfig::new(sqld.url()), 20_000).await;
    }
}
