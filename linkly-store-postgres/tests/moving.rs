//! Moving from a file to Postgres, on to a libSQL server and back to a file: everything arrives as it was.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    Bucket, Click, ClickSink, Code, CopyProgress, Domain, Link, LinkStore, LinkStoreExt, ListClicks, ListLinks, Order,
    Reconciled, Scope, Series, Step, Store, TimeRange, Totals, Update, Use, copy_clicks, copy_links,
};
use linkly_store_libsql::LibsqlStore;
use linkly_store_postgres::PostgresStore;
use linkly_store_sqlite::SqliteStore;
use linkly_testkit::{Postgres, Sqld};

const LINKS: usize = 2_300;
const CLICKS: usize = 5_200;

fn start() -> DateTime<Utc> {
    "2026-01-11T10:00:00Z".parse().unwrap()
}

/// Links of all kinds, in two domains and in none.
fn links() -> Vec<Link> {
    let domains = ["go.acme.com", "xn--bcher-kva.example"].map(|host| Domain::new(host).unwrap());
    let link = |number: usize| {
        let (name, at) = (format!("c{number}"), start() + TimeDelta::milliseconds(number as i64));
        let code = match domains.get(number % 3) {
            Some(domain) => Code::in_domain(domain, &name),
            None => Code::new(&name),
        };
        let mut link = Link::new(code.unwrap(), format!("https://iii.dev/{number}?a=%C3%A9&b='"), at);
        match number % 7 {
            1 => link.tags = vec![format!("t{}", number % 5), "ü, 'x'".to_owned()],
            2 => link.title = Some(format!("Title {number} \u{1f517}")),
            3 => link.expires_at = Some(at + TimeDelta::days(number as i64 - 1_000)),
            4 => link.max_clicks = Some(3),
            5 => link.metadata = serde_json::from_str(r#"{"price": 12.30, "deep": [1, null, {"é": "\\"}]}"#).unwrap(),
            6 => link.forward_query = true,
            _ => {}
        }
        link
    };
    (0..LINKS).map(link).collect()
}

fn clicks(links: &[Link]) -> Vec<Click> {
    let click = |number: usize| {
        let link = &links[number * number % 40];
        let mut click = Click::new(link.code.clone(), start() + TimeDelta::minutes(number as i64));
        click.link_id = Some(link.id);
        click.bot = number.is_multiple_of(5);
        click.referrer = (number % 2 == 1).then(|| "news.example.com".to_owned());
        click.browser = (number % 3 == 1).then(|| "Firefox".into());
        click.country = (number % 4 == 1).then(|| "CH".to_owned());
        click.visitor = (number % 6 == 1).then_some(u64::MAX - number as u64);
        click
    };
    (0..CLICKS).map(click).collect()
}

/// All that a store says.
#[derive(Debug, PartialEq)]
struct Contents {
    links: Vec<Link>,
    clicks: Vec<Click>,
    totals: Vec<Totals>,
    series: Vec<Bucket>,
}

async fn contents(store: &dyn Store) -> Contents {
    let (mut links, mut clicks) = (Vec::new(), Vec::new());
    let mut query = ListLinks::new(Scope::All).with_order(Order::Code).with_limit(500);
    loop {
        let page = store.list(&query).await.unwrap();
        links.extend(page.items);
        let Some(next) = page.next else { break };
        query = query.with_after(Some(next));
    }
    let mut query = ListClicks::new(TimeRange::all()).with_oldest_first().with_limit(1_000);
    loop {
        let page = store.clicks(&query).await.unwrap();
        clicks.extend(page.items);
        let Some(next) = page.next else { break };
        query = query.with_after(Some(next));
    }
    let codes: Vec<Code> = links.iter().map(|link| link.code.clone()).collect();
    let mut totals = Vec::new();
    for codes in codes.chunks(500) {
        totals.extend(store.totals(codes).await.unwrap());
    }
    let hours = Series::new(links[0].code.clone(), TimeRange::all(), Step::Hour);
    let series = store.series(&hours).await.unwrap();
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap(), Reconciled::new(Vec::new(), None));
    Contents { links, clicks, totals, series }
}

/// Polls until it is done, or there is enough of it: then it is dropped where it stands.
async fn until<F: Future>(future: F, is_enough: impl Fn() -> bool) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if is_enough() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Copies, interrupted behind each batch. The next call begins where the callback was told that the one before
/// was; then all of it is repeated.
async fn copy(from: &dyn Store, to: &dyn Store) {
    let (told, mut interruptions) = (RefCell::new(CopyProgress::default()), 0);
    let tell = |progress: &CopyProgress| *told.borrow_mut() = progress.clone();
    let is_told = || told.borrow().copied > 0;
    let next = || told.take().next;
    while until(copy_links(from, to, next(), tell), is_told).await.is_none() {
        interruptions += 1;
    }
    assert_eq!(told.take().skipped, 0);
    while until(copy_clicks(from, to, next(), tell), is_told).await.is_none() {
        interruptions += 1;
    }
    assert_eq!(interruptions, (LINKS - 1) / 1_000 + (CLICKS - 1) / 1_000);
    let again = (copy_links(from, to, None, |_| {}).await.unwrap(), copy_clicks(from, to, None, |_| {}).await.unwrap());
    assert_eq!((again.0.copied, again.0.skipped), (LINKS as u64, 0));
    assert_eq!((again.1.copied, again.1.skipped), (CLICKS as u64, 0));
}

#[tokio::test]
async fn what_goes_from_sqlite_to_postgres_to_a_libsql_server_and_back_arrives_as_it_was() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Sqld::start());
    let file = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let first = SqliteStore::connect(&file("first.db")).await.unwrap();
    let postgres = PostgresStore::connect(&Postgres::shared().new_database()).await.unwrap();
    let libsql = LibsqlStore::connect(server.url()).await.unwrap();
    let last = SqliteStore::connect(&file("last.db")).await.unwrap();

    let links = links();
    first.insert(&links).await.unwrap();
    first.record(&clicks(&links)).await.unwrap();
    let limited = links.iter().filter(|link| link.max_clicks.is_some());
    let uses: Vec<_> = limited.map(|link| Use::new(link.code.clone(), link.id, 2)).collect();
    assert!(first.consume(&uses).await.unwrap().iter().all(|granted| *granted == 2));
    let mut edited = links[0].clone();
    edited.url = "https://iii.dev/edited".to_owned();
    edited.updated_at = start() + TimeDelta::days(1);
    assert_eq!(first.update_one(&edited).await.unwrap(), Update::Updated { version: 2 });

    let contents_before = contents(&first).await;
    assert_eq!((contents_before.links.len(), contents_before.clicks.len()), (LINKS, CLICKS));
    assert!(contents_before.links.iter().any(|link| link.consumed == 2));
    let way: [&dyn Store; 4] = [&first, &postgres, &libsql, &last];
    for stage in way.windows(2) {
        copy(stage[0], stage[1]).await;
        assert_eq!(contents(stage[1]).await, contents_before);
    }
}
