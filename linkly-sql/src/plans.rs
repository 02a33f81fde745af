//! What SQLite makes of the statements: no table is read through, and nothing is sorted that an index
//! has in order. For the tests of drivers, each of which brings an SQLite of its own.
//!
//! Each case takes an empty store that was migrated, and panics where the plan is not as it should be. The plans
//! are to be these with statistics and without: an app may gather them, or never.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    Click, ClickSink, Code, Domain, Link, LinkStore, ListClicks, ListLinks, Maintenance, Order, Scope, TimeRange, Top,
    Uuid,
};

use crate::driver::{Driver, Row, Sql, Statement};
use crate::links::{CONSUME, HOLDERS, LINKS, TARGET, TARGETS, UPDATE};
use crate::list::{After, list_sql};
use crate::list_clicks::clicks_sql;
use crate::maintenance::{ADOPT, CHANGES, EXPIRED, FORGET, HASH, IS_PURGED, PURGE, UNHASHED};
use crate::migrate::MIGRATIONS;
use crate::reconcile::BOUNDS;
use crate::stats::{SERIES, TOTALS, top_sql};
use crate::store::SqlStore;

/// What the planner knows of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistics {
    /// Nothing, as in a database in which nobody ever gathered statistics.
    Missing,
    /// How many rows they have.
    Gathered,
    /// What is left of statistics of tables with one row after `optimize`.
    Outgrown,
}

impl Statistics {
    /// In each of these every case is to hold.
    pub const ALL: [Self; 3] = [Self::Missing, Self::Gathered, Self::Outgrown];
}

async fn analyze<D: Driver>(store: &SqlStore<D>) {
    store.driver().write(Statement::new(Sql::Static("ANALYZE"))).await.unwrap();
}

/// As an app may do that has just begun.
pub async fn gather_statistics_of_one_row<D: Driver>(store: &SqlStore<D>) {
    let now = Utc::now();
    let mut link = Link::new(Code::new("only").unwrap(), "https://iii.dev", now);
    link.tags = vec!["t".to_owned()];
    let click = Click::new(link.code.clone(), now);
    store.insert(&[link]).await.unwrap();
    store.record(&[click]).await.unwrap();
    analyze(store).await;
}

/// Puts some rows into every table.
async fn fill<D: Driver>(store: &SqlStore<D>, statistics: Statistics) {
    if statistics == Statistics::Outgrown {
        gather_statistics_of_one_row(store).await;
        let plan = plan(store, TARGETS).await;
        assert!(plan.iter().any(|step| is_scan(step)), "what is to be mended is not there: {plan:#?}");
        store.optimize().await.unwrap();
    }
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
    if statistics == Statistics::Gathered {
        analyze(store).await;
    }
}

/// A store that was opened after [statistics of one row](gather_statistics_of_one_row) were gathered: its readers, which
/// have them, have them no more after `optimize`.
pub async fn readers_forget_statistics_of_small_tables<D: Driver>(store: &SqlStore<D>) {
    // EXPLAIN does not look whether the schema has changed, and a text that was prepared stays what it was.
    let scans = async |mark: &str| {
        store.driver().read(store.statement(TARGETS).bind("[]")).await.unwrap();
        let plan = steps(&store.driver().read(explain(store, &format!("{TARGETS} -- {mark}"))).await.unwrap());
        plan.iter().any(|step| is_scan(step))
    };
    assert!(scans("before").await, "what is to be mended is not there");
    store.optimize().await.unwrap();
    assert!(!scans("after").await);
}

fn explain<D: Driver>(store: &SqlStore<D>, sql: &str) -> Statement {
    Statement::new(store.with_prefix(&format!("EXPLAIN QUERY PLAN {sql}")))
}

async fn plan<D: Driver>(store: &SqlStore<D>, sql: &str) -> Vec<String> {
    let plan = store.driver().write_returning(explain(store, sql)).await;
    steps(&plan.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

fn steps(plan: &[Row]) -> Vec<String> {
    plan.iter().filter_map(|row| Some(row.text(3)?.into_owned())).collect()
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

/// No statement reads a table through, or sorts it.
pub async fn no_statement_reads_a_table_through<D: Driver>(store: &SqlStore<D>, statistics: Statistics) {
    fill(store, statistics).await;
    let texts = [
        TARGET, TARGETS, LINKS, HOLDERS, UPDATE, CONSUME, TOTALS, SERIES, PURGE, IS_PURGED, EXPIRED, UNHASHED, HASH,
        ADOPT, BOUNDS, CHANGES, FORGET,
    ];
    for text in texts {
        let plan = plan(store, text).await;
        assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{text}\n{plan:#?}");
    }
}

/// The statements inside the triggers, which EXPLAIN does not show, on their own.
pub async fn no_batch_reads_a_table_through<D: Driver>(store: &SqlStore<D>, statistics: Statistics) {
    fill(store, statistics).await;
    let files = MIGRATIONS[0]
        .files
        .iter()
        .filter(|(name, _)| ["0001_adopt.sql", "0001_batches.sql", "0001_record.sql"].contains(name));
    let lines = files.flat_map(|(_, text)| text.lines()).filter(|line| !line.trim_start().starts_with("--"));
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let bodies = code.split(" BEGIN\n").skip(1).map(|rest| rest.split("\nEND;").next().unwrap());
    let statements: Vec<_> = bodies.flat_map(|body| body.split(';')).map(str::trim).filter(|s| !s.is_empty()).collect();
    assert!(statements.len() > 12, "{statements:#?}");
    let parameters =
        ["batch", "at", "ids", "times", "visitors", "entries", "dictionary", "hours", "mark", "all_new", "id"];
    for statement in statements.into_iter().filter(|statement| !statement.contains("RAISE")) {
        let bound = parameters.iter().zip(1..).fold(statement.to_owned(), |statement, (name, number)| {
            statement.replace(&format!("NEW.{name}"), &format!("?{number}"))
        });
        let plan = plan(store, &bound).await;
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

/// Every page of links comes out of an index, whatever is asked for.
pub async fn every_page_of_links_comes_out_of_an_index<D: Driver>(store: &SqlStore<D>, statistics: Statistics) {
    fill(store, statistics).await;
    let domain = Scope::Domain(Domain::new("d1.com").unwrap());
    let (start, hour): (DateTime<Utc>, _) = ("2026-01-11T20:00:00Z".parse().unwrap(), TimeDelta::hours(1));
    for scope in [Scope::Plain, domain, Scope::All] {
        for order in [Order::Newest, Order::Code] {
            for (tag, url) in [(false, false), (true, false), (false, true), (true, true)] {
                for (cursor, of_time) in cursors(order).into_iter().flat_map(|c| [(c.clone(), false), (c, true)]) {
                    let mut query = ListLinks::new(scope.clone()).with_order(order);
                    query.tag = tag.then(|| "t1".to_owned());
                    query.url = url.then(|| "https://iii.dev/1".to_owned());
                    // An end is where the walk begins, as a cursor is.
                    query.created_from = of_time.then_some(start);
                    query.created_until = query.created_from.filter(|_| cursor.is_some()).map(|at| at + hour);
                    let plan = plan(store, &list_sql(&query, cursor.as_ref())).await;
                    // All links, in the order of an index, are read from its end: that is no scan.
                    let is_whole = scope == Scope::All && !tag && !url && cursor.is_none();
                    let scans =
                        plan.iter().filter(|step| is_scan(step) && !(is_whole && step.contains("INDEX"))).count();
                    // The links to one URL are put in the order of their codes.
                    let sorts = plan.iter().filter(|step| is_sort(step)).count();
                    let may_sort = url && order == Order::Code;
                    assert!(scans == 0 && (sorts == 0 || may_sort), "{query:?} {cursor:?}\n{plan:#?}");
                    // Both ends of a time are those of the walk.
                    let range = if cursor.is_some() { "id>? AND id<?)" } else { "id>?)" };
                    let ranges = plan.iter().filter(|step| step.contains(range)).count();
                    let walks = if !of_time || order == Order::Code { 0 } else { 1 + usize::from(url) };
                    assert_eq!(ranges, walks, "{query:?} {cursor:?}\n{plan:#?}");
                }
            }
        }
    }
}

/// Every page of clicks comes out of an index, with the one over the clicks of each code and without.
pub async fn every_page_of_clicks_comes_out_of_an_index<D: Driver>(store: &SqlStore<D>, statistics: Statistics) {
    fill(store, statistics).await;
    for of_code in [false, true] {
        for oldest_first in [false, true] {
            let mut query = ListClicks::new(TimeRange::all());
            query.code = of_code.then(|| Code::new("c2").unwrap());
            query.oldest_first = oldest_first;
            let plan = plan(store, &clicks_sql(&query, store.has_clicks_by_code())).await;
            assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{query:?}\n{plan:#?}");
        }
    }
}

/// The most clicked of some hours are read from those hours.
pub async fn the_most_clicked_of_some_hours_are_read_from_those_hours<D: Driver>(
    store: &SqlStore<D>,
    statistics: Statistics,
) {
    fill(store, statistics).await;
    let range = TimeRange::new("2026-01-11T10:00:00Z".parse().unwrap(), "2026-01-11T12:00:00Z".parse().unwrap());
    for scope in [Scope::Plain, Scope::Domain(Domain::new("d1.com").unwrap()), Scope::All] {
        let plan = plan(store, top_sql(&Top::new(scope, range))).await;
        assert!(plan.iter().any(|step| step.contains("click_hours_hour (hour>? AND hour<?)")), "{plan:#?}");
    }
}
