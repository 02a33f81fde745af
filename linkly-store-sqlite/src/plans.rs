//! What SQLite makes of the statements: no table is read through, and nothing is sorted that an index
//! has in order.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    Click, ClickSink, Code, Domain, Link, LinkStore, ListClicks, ListLinks, Maintenance, Order, Scope, TimeRange, Top,
    Uuid,
};
use sqlx::Row;

use crate::clicks::clicks_sql;
use crate::links::{CONSUME, HOLDERS, LINKS, TARGET, TARGETS, UPDATE};
use crate::list::{After, list_sql};
use crate::maintenance::{CHANGES, EXPIRED, FORGET, HASH, IS_PURGED, PURGE, UNHASHED};
use crate::reconcile::BOUNDS;
use crate::stats::{SERIES, TOTALS, top_sql};
use crate::{MIGRATIONS, SqliteConfig, SqliteStore};

/// A store with some rows in every table, whose planner knows them.
async fn store(config: SqliteConfig) -> SqliteStore {
    let store = SqliteStore::connect_with(config).await.unwrap();
    let start: DateTime<Utc> = "2026-01-11T10:00:00Z".parse().unwrap();
    let (mut links, mut clicks) = (Vec::new(), Vec::new());
    for number in 0..2_000 {
        let at = start + TimeDelta::minutes(number);
        let domain = Domain::new(&format!("d{}.com", number % 3)).unwrap();
        let name = format!("c{number}");
        let code = if number % 2 == 0 { Code::new(&name) } else { Code::in_domain(&domain, &name) }.unwrap();
        let mut link = Link::new(code.clone(), format!("https://iii.dev/{}", number % 50), at);
        link.tags = vec![format!("t{}", number % 5)];
        link.expires_at = (number % 10 == 0).then(|| at + TimeDelta::days(1));
        links.push(link);
        clicks.push(Click::new(code, at));
    }
    store.insert(&links).await.unwrap();
    store.record(&clicks).await.unwrap();
    store.optimize().await.unwrap();
    sqlx::query("ANALYZE").execute(store.writer()).await.unwrap();
    store
}

async fn plan(store: &SqliteStore, sql: &str) -> Vec<String> {
    let explain = store.built_sql(format!("EXPLAIN QUERY PLAN {sql}"));
    let rows = sqlx::query(explain).fetch_all(store.writer()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    rows.iter().map(|row| row.get::<String, _>(3)).collect()
}

/// Reading one of our tables from one end to the other.
fn is_scan(step: &str) -> bool {
    let tables = [
        "l",
        "c",
        "h",
        "s",
        "t",
        "r",
        "links",
        "clicks",
        "click_hours",
        "link_stats",
        "link_tags",
        "link_changes",
        "released_links",
    ];
    let read = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
    read.is_some_and(|table| tables.contains(&table)) && !step.contains("VIRTUAL TABLE")
}

fn is_sort(step: &str) -> bool {
    step.starts_with("USE TEMP B-TREE")
}

#[tokio::test]
async fn no_statement_reads_a_table_through() {
    let store = store(SqliteConfig::new("sqlite::memory:")).await;
    let texts = [
        TARGET, TARGETS, LINKS, HOLDERS, UPDATE, CONSUME, TOTALS, SERIES, PURGE, IS_PURGED, EXPIRED, UNHASHED, HASH,
        BOUNDS, CHANGES, FORGET,
    ];
    for text in texts {
        let plan = plan(&store, text).await;
        assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{text}\n{plan:#?}");
    }
}

/// The statements inside the triggers, which EXPLAIN does not show, on their own.
#[tokio::test]
async fn no_batch_reads_a_table_through() {
    let store = store(SqliteConfig::new("sqlite::memory:")).await;
    let files = MIGRATIONS[0].files.iter().filter(|(name, _)| ["0001_batches.sql", "0001_record.sql"].contains(name));
    let lines = files.flat_map(|(_, text)| text.lines()).filter(|line| !line.trim_start().starts_with("--"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let bodies = code.split(" BEGIN\n").skip(1).map(|rest| rest.split("\nEND;").next().unwrap());
    let statements: Vec<_> = bodies.flat_map(|body| body.split(';')).map(str::trim).filter(|s| !s.is_empty()).collect();
    assert!(statements.len() > 12, "{statements:#?}");
    let parameters = ["batch", "at", "ids", "times", "visitors", "entries", "dictionary", "hours", "mark", "all_new"];
    for statement in statements.into_iter().filter(|statement| !statement.contains("RAISE")) {
        let bound = parameters.iter().zip(1..).fold(statement.to_owned(), |statement, (name, number)| {
            statement.replace(&format!("NEW.{name}"), &format!("?{number}"))
        });
        let plan = plan(&store, &bound).await;
        assert!(!plan.iter().any(|step| is_scan(step)), "{bound}\n{plan:#?}");
    }
}

/// No cursor, and cursors before, in and behind the domains.
fn cursors(order: Order) -> Vec<Option<After>> {
    match order {
        Order::Newest => vec![None, Some(After::Id(Uuid::max()))],
        Order::Code => [None, Some("-a"), Some("//d1.com/c1"), Some("c1")]
            .map(|code| code.map(|code| After::Code(code.to_owned())))
            .into(),
    }
}

#[tokio::test]
async fn every_page_of_links_comes_out_of_an_index() {
    let store = store(SqliteConfig::new("sqlite::memory:")).await;
    let domain = Scope::Domain(Domain::new("d1.com").unwrap());
    for scope in [Scope::Plain, domain, Scope::All] {
        for order in [Order::Newest, Order::Code] {
            for (tag, url) in [(false, false), (true, false), (false, true), (true, true)] {
                for cursor in cursors(order) {
                    let mut query = ListLinks::new(scope.clone()).with_order(order);
                    query.tag = tag.then(|| "t1".to_owned());
                    query.url = url.then(|| "https://iii.dev/1".to_owned());
                    let plan = plan(&store, &list_sql(&query, cursor.as_ref())).await;
                    // All links, in the order of an index, are read from its end: that is no scan.
                    let is_whole = scope == Scope::All && !tag && !url && cursor.is_none();
                    let scans =
                        plan.iter().filter(|step| is_scan(step) && !(is_whole && step.contains("INDEX"))).count();
                    // The links to one URL are put in the order of their codes.
                    let sorts = plan.iter().filter(|step| is_sort(step)).count();
                    let may_sort = url && order == Order::Code;
                    assert!(scans == 0 && (sorts == 0 || may_sort), "{query:?} {cursor:?}\n{plan:#?}");
                }
            }
        }
    }
}

/// SQLite walks from one bound alone and looks at the others row by row: with two of them, a later page
/// would walk through all pages before it.
#[tokio::test]
async fn a_later_page_begins_at_its_cursor() {
    let domain = Domain::new("d1.com").unwrap();
    for (scope, cursor) in [(Scope::Plain, "c1"), (Scope::Domain(domain), "//d1.com/c1"), (Scope::All, "c1")] {
        for tag in [None, Some("t1".to_owned())] {
            let mut query = ListLinks::new(scope.clone()).with_order(Order::Code);
            query.tag = tag;
            let sql = list_sql(&query, Some(&After::Code(cursor.to_owned())));
            assert!(sql.contains("> ?2") && !sql.contains(">= "), "{sql}");
        }
    }
}

#[tokio::test]
async fn every_page_of_clicks_comes_out_of_an_index() {
    for config in
        [SqliteConfig::new("sqlite::memory:"), SqliteConfig::new("sqlite::memory:").with_clicks_by_code_index()]
    {
        let store = store(config).await;
        for of_code in [false, true] {
            for oldest_first in [false, true] {
                let mut query = ListClicks::new(TimeRange::all());
                query.code = of_code.then(|| Code::new("c2").unwrap());
                query.oldest_first = oldest_first;
                let plan = plan(&store, &clicks_sql(&query, store.has_clicks_by_code())).await;
                assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{query:?}\n{plan:#?}");
            }
        }
    }
}

#[tokio::test]
async fn the_most_clicked_of_some_hours_are_read_from_those_hours() {
    let store = store(SqliteConfig::new("sqlite::memory:")).await;
    let range = TimeRange::new("2026-01-11T10:00:00Z".parse().unwrap(), "2026-01-11T12:00:00Z".parse().unwrap());
    for scope in [Scope::Plain, Scope::Domain(Domain::new("d1.com").unwrap()), Scope::All] {
        let plan = plan(&store, top_sql(&Top::new(scope, range))).await;
        assert!(plan.iter().any(|step| step.contains("click_hours_hour (hour>? AND hour<?)")), "{plan:#?}");
    }
}
