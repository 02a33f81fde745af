//! What Postgres makes of the statements, in tables that are worth an index: none is read through, and nothing is
//! sorted that an index has in order.
//!
//! A statement that is kept is planned without its parameters once it was sent a few times, and then for good; so
//! that plan is looked at. One that is planned for its parameters is looked at with them.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Code, Domain, ListClicks, ListLinks, Order, Scope, TimeRange, Top, Uuid};
use linkly_testkit::Postgres;
use tokio::sync::OnceCell;
use tokio_postgres::SimpleQueryMessage;

use crate::changes::CHANGES;
use crate::clicks::clicks_sql;
use crate::links::{CONSUME, HOLDERS, INSERT, INSERT_ONE, LINKS, TARGETS, UPDATE, UPDATE_ONE};
use crate::list::{After, list_sql};
use crate::maintenance::{EXPIRED, FORGET, HASH, IS_PURGED, PURGE, UNHASHED};
use crate::migrate::MIGRATIONS;
use crate::reconcile::{BOUNDS, HOURS};
use crate::stats::{SERIES, TOTALS, top_sql};
use crate::{PostgresConfig, PostgresStore};

/// 60,000 links in three domains and none, as many clicks in 40 days, of which the planner knows.
const ROWS: &str = "
    INSERT INTO links (code, url, created_at, id, tags, expires_at, url_hash)
        SELECT CASE n % 2 WHEN 0 THEN 'c' || n ELSE '//d' || n % 3 || '.com/c' || n END, 'https://iii.dev/' || n % 5000,
            at, linkly_new_id(at), ARRAY['t' || n % 50], CASE n % 10 WHEN 0 THEN at + interval '1 day' END,
            CASE n % 100 WHEN 0 THEN NULL ELSE n % 5000 END
        FROM (SELECT n, '2026-01-11T10:00:00Z'::timestamptz + n * interval '1 minute' AS at
            FROM generate_series(1, 60000) AS n) AS rows;
    INSERT INTO clicks (code, clicked_at) SELECT code, created_at FROM links;
    INSERT INTO released_links SELECT linkly_new_id(now()), 'r' || n, now() FROM generate_series(1, 5000) AS n;
    VACUUM ANALYZE;";

async fn store() -> PostgresStore {
    static URL: OnceCell<String> = OnceCell::const_new();
    let fill = || async {
        let url = Postgres::shared().new_database();
        let store = PostgresStore::connect(&url).await.unwrap();
        let client = store.pool().get().await.unwrap();
        for statement in ROWS.split_inclusive(';') {
            client.batch_execute(statement).await.unwrap();
        }
        url
    };
    PostgresStore::connect_with(PostgresConfig::new(URL.get_or_init(fill).await)).await.unwrap()
}

async fn explain(store: &PostgresStore, before: &str, sql: &str) -> Vec<String> {
    let sql = store.built_sql(&format!("{before} EXPLAIN {sql}"));
    let client = store.pool().get().await.unwrap();
    let answer = client.simple_query(&sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
    let lines = answer.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap().to_owned()),
        _ => None,
    });
    lines.collect()
}

/// The plan of a statement for parameters that are not known, of these types.
async fn kept_plan(store: &PostgresStore, sql: &str, types: &str) -> Vec<String> {
    let count = types.split(", ").count();
    let before = format!("DEALLOCATE ALL; SET plan_cache_mode = force_generic_plan; PREPARE kept ({types}) AS {sql};",);
    explain(store, &before, &format!("EXECUTE kept ({})", vec!["NULL"; count].join(", "))).await
}

/// The plan of a statement for these parameters.
async fn fresh_plan(store: &PostgresStore, sql: &str, params: &[&str]) -> Vec<String> {
    let mut sql = sql.to_owned();
    for (number, param) in params.iter().enumerate().rev() {
        sql = sql.replace(&format!("${}", number + 1), param);
    }
    explain(store, "", &sql).await
}

/// Reading one of our tables from one end to the other.
fn is_scan(step: &str) -> bool {
    let Some((_, read)) = step.split_once("Seq Scan on ") else {
        return false;
    };
    ["links", "link_tags", "link_changes", "released_links", "link_stats", "click_hours", "clicks"]
        .contains(&read.split(' ').next().unwrap_or_default())
}

/// Sorting more rows than two pages.
fn is_sort(step: &str) -> bool {
    let Some((_, sorted)) = step.split_once("Sort  (").filter(|(before, _)| !before.contains("Incremental")) else {
        return false;
    };
    let rows = sorted.split_once("rows=").and_then(|(_, rows)| rows.split(' ').next()?.parse::<u64>().ok());
    rows.is_none_or(|rows| rows > 102)
}

#[tokio::test]
async fn no_kept_statement_reads_a_table_through() {
    let links = "text[], text[], timestamptz[], uuid[], timestamptz[], bigint[], timestamptz[], timestamptz[], bigint[], \
                 bigint[], smallint[], boolean[], text[], text[], text[], bigint[]";
    let store = store().await;
    for (sql, types) in [
        (TARGETS, "text[]"),
        (LINKS, "text[]"),
        (HOLDERS, "text[], uuid[]"),
        (INSERT, links),
        (INSERT_ONE, &links.replace("[]", "")),
        (UPDATE, links),
        (UPDATE_ONE, &links.replace("[]", "")),
        (CONSUME, "text[], uuid[], bigint[]"),
        (PURGE, "uuid, bigint"),
        (IS_PURGED, "uuid"),
        (EXPIRED, "timestamptz, bigint"),
        (UNHASHED, "bigint"),
        (HASH, "text[], text[], bigint[]"),
        (BOUNDS, "uuid, timestamptz, bigint"),
        (CHANGES, "text, text, text, bigint, bigint"),
    ] {
        let plan = kept_plan(&store, sql, types).await;
        assert!(!plan.iter().any(|step| is_scan(step)), "{sql}\n{plan:#?}");
    }
}

#[tokio::test]
async fn no_fresh_statement_reads_a_table_through() {
    let store = store().await;
    let hours = ["'2026-01-11T10:00:00Z'", "'2026-01-11T12:00:00Z'"];
    let ids = ["'019bacaf-0000-7000-8000-000000000000'", "'019bad1c-dd00-7000-8000-000000000000'"];
    for (sql, params) in [
        (TOTALS, vec!["ARRAY['c2', 'c4']"]),
        (SERIES, vec!["'c2'", hours[0], hours[1]]),
        (HOURS, vec![ids[0], ids[1], hours[0], hours[1]]),
    ] {
        let plan = fresh_plan(&store, sql, &params).await;
        assert!(!plan.iter().any(|step| is_scan(step)), "{sql}\n{plan:#?}");
    }
    // Of 5,000 ids most are to be forgotten, which is no reason for an index: they are only few.
    fresh_plan(&store, FORGET, &["now()", "10"]).await;
}

/// The statements inside the functions, which EXPLAIN does not show, on their own.
#[tokio::test]
async fn no_batch_reads_a_table_through() {
    let store = store().await;
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, batches) = MIGRATIONS[0].files.iter().find(|(name, _)| *name == "0001_batches.sql").unwrap();
    let batches = words(batches);
    for (sql, variables, types) in [
        (
            "DELETE FROM /*schema.*/clicks WHERE event_id >= /*schema.*/linkly_first_id(clicked.hour)
                AND event_id < /*schema.*/linkly_first_id(clicked.hour + interval '1 hour') AND code = clicked.code",
            ["clicked.hour", "clicked.code"],
            "timestamptz, text",
        ),
        ("SELECT code, hour FROM /*schema.*/click_hours WHERE code = ANY (released)", ["released", "-"], "text[]"),
        ("DELETE FROM /*schema.*/links WHERE code = ANY (released)", ["released", "-"], "text[]"),
        ("DELETE FROM /*schema.*/click_hours WHERE code = ANY (released)", ["released", "-"], "text[]"),
        ("DELETE FROM /*schema.*/link_stats WHERE code = ANY (released)", ["released", "-"], "text[]"),
        ("SELECT FROM /*schema.*/released_links WHERE id = ANY (link_ids)", ["link_ids", "-"], "uuid[]"),
        (
            "SELECT n.code, n.hour, c.clicks, c.bots
            FROM (SELECT DISTINCT code, hour FROM unnest(recount_codes, recount_hours) AS n (code, hour)) AS n
            CROSS JOIN LATERAL (
                SELECT count(*) AS clicks, count(*) FILTER (WHERE c.bot) AS bots FROM /*schema.*/clicks AS c
                WHERE c.event_id >= /*schema.*/linkly_first_id(n.hour)
                    AND c.event_id < /*schema.*/linkly_first_id(n.hour + interval '1 hour') AND c.code = n.code
            ) AS c",
            ["recount_codes", "recount_hours"],
            "text[], timestamptz[]",
        ),
    ] {
        assert!(batches.contains(&words(sql)), "{sql} is in no batch");
        let sql = sql.replace(variables[0], "$1").replace(variables[1], "$2");
        let plan = kept_plan(&store, &sql, types).await;
        assert!(!plan.iter().any(|step| is_scan(step)), "{sql}\n{plan:#?}");
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
    let store = store().await;
    let domain = Scope::Domain(Domain::new("d1.com").unwrap());
    let from: DateTime<Utc> = "2026-01-31T00:00:00Z".parse().unwrap();
    for scope in [Scope::Plain, domain, Scope::All] {
        for order in [Order::Newest, Order::Code] {
            // In the order of codes they are looked at link by link.
            let times = [None, Some(TimeDelta::hours(1)), Some(TimeDelta::days(10))];
            let times = if order == Order::Newest { &times[..] } else { &times[..1] };
            for (tag, url) in [(false, false), (true, false), (false, true), (true, true)] {
                for (cursor, time) in
                    cursors(order).into_iter().flat_map(|c| times.iter().map(move |time| (c.clone(), *time)))
                {
                    let mut query = ListLinks::new(scope.clone()).with_order(order);
                    query.tag = tag.then(|| "t1".to_owned());
                    query.url = url.then(|| "https://iii.dev/1".to_owned());
                    // An end is where the walk begins, as a cursor is.
                    query.created_from = time.map(|_| from);
                    query.created_until = time.filter(|_| cursor.is_some()).map(|time| from + time);
                    let cursor = match (cursor, query.created_ids()) {
                        (Some(After::Id(_)), (_, Some(end))) => Some(After::Id(end)),
                        (cursor, _) => cursor,
                    };
                    let first = query.created_ids().0.map(|id| format!("'{id}'::uuid")).unwrap_or_default();
                    let moment = |at: Option<DateTime<Utc>>| at.map(|at| format!("'{at}'")).unwrap_or_default();
                    let (from, until) = (moment(query.created_from), moment(query.created_until));
                    let (id, code) = match &cursor {
                        Some(After::Id(id)) => (format!("'{id}'::uuid"), String::new()),
                        Some(After::Code(code)) => (String::new(), format!("'{code}'")),
                        None => Default::default(),
                    };
                    let host = if scope == Scope::Plain { "''" } else { "'d1.com'" };
                    let params = [
                        "51",
                        &id,
                        &code,
                        host,
                        "'t1'",
                        "1",
                        "'https://iii.dev/1'",
                        &from,
                        &until,
                        "NULL",
                        "'//d1.com/'",
                        "'//d1.com0'",
                        &first,
                    ];
                    let plan = fresh_plan(&store, &list_sql(&query, cursor.as_ref()), &params).await;
                    let scans = plan.iter().filter(|step| is_scan(step)).count();
                    let sorts = plan.iter().filter(|step| is_sort(step)).count();
                    assert!(scans == 0 && sorts == 0, "{query:?} {cursor:?}\n{plan:#?}");
                    // Both ends of a time are those of the walk.
                    let is_range = |step: &&String| {
                        step.contains("Index Cond: ")
                            && (cursor.is_none() || step.contains("id < "))
                            && step.contains("id >= ")
                    };
                    let ranges = plan.iter().filter(is_range).count();
                    let walks = if time.is_none() { 0 } else { 1 + usize::from(url) };
                    assert_eq!(ranges, walks, "{query:?} {cursor:?}\n{plan:#?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn every_page_of_clicks_comes_out_of_an_index() {
    let store = store().await;
    for of_code in [false, true] {
        for oldest_first in [false, true] {
            let mut query = ListClicks::new(TimeRange::all());
            query.code = of_code.then(|| Code::new("c2").unwrap());
            query.oldest_first = oldest_first;
            let params = [
                "51",
                "'00000000-0000-7000-8000-000000000000'::uuid",
                "'ffffffff-ffff-7000-8000-000000000000'::uuid",
                "'c2'",
                "'1970-01-01T00:00:00Z'",
                "'9999-01-01T00:00:00Z'",
            ];
            let plan = fresh_plan(&store, &clicks_sql(&query, false), &params).await;
            assert!(!plan.iter().any(|step| is_scan(step) || is_sort(step)), "{query:?}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn the_most_clicked_of_some_hours_are_read_from_those_hours() {
    let store = store().await;
    let range = TimeRange::new("2026-01-11T10:00:00Z".parse().unwrap(), "2026-01-11T12:00:00Z".parse().unwrap());
    for scope in [Scope::Plain, Scope::Domain(Domain::new("d1.com").unwrap()), Scope::All] {
        let params = ["10", "'2026-01-11T10:00:00Z'", "'2026-01-11T12:00:00Z'", "'//d1.com/'", "'//d1.com0'"];
        let plan = fresh_plan(&store, top_sql(&Top::new(scope, range)), &params).await;
        assert!(plan.iter().any(|step| step.contains("click_hours_hour")), "{plan:#?}");
        assert!(!plan.iter().any(|step| is_scan(step)), "{plan:#?}");
    }
}
