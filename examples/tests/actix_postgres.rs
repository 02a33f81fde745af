//! The Actix app on Postgres, as a process, over HTTP.

mod support;

use linkly_testkit::{Postgres, psql};
use support::App;
use ureq::http::Method;

const PROGRAM: &str = env!("CARGO_BIN_EXE_actix_postgres");

struct Fixture {
    folder: tempfile::TempDir,
    database: String,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: Postgres::shared().new_database() }
    }

    fn start(&self) -> App {
        App::start_with(PROGRAM, self.folder.path(), &[("DATABASE_URL", &self.database)])
    }

    fn count(&self, table: &str) -> String {
        psql(&self.database, &format!("SELECT count(*) FROM {table}")).unwrap().trim().to_owned()
    }
}

#[test]
fn a_link_is_created_followed_and_counted() {
    let fixture = Fixture::new();
    let app = fixture.start();
    let created = app.post("/links", r#"{"url": "iii.dev/docs", "code": "iii"}"#);
    assert_eq!((created.status, &created.json()["url"]), (201, &"https://iii.dev/docs".into()));
    for _ in 0..3 {
        let followed = app.get("/s/iii");
        assert_eq!((followed.status, followed.location.as_deref()), (302, Some("https://iii.dev/docs")));
    }
    assert_eq!(app.send(Method::HEAD, "/s/iii", "").status, 302);
    let stats = app.get("/links/iii/stats");
    assert_eq!((stats.status, &stats.json()["clicks"], &stats.json()["bots"]), (200, &4.into(), &1.into()));
    assert_eq!(fixture.count("clicks"), "4");
}

#[test]
fn an_order_and_its_link_are_there_both_or_neither() {
    let fixture = Fixture::new();
    let app = fixture.start();
    // Known as absent, until the order has made it.
    assert_eq!(app.get("/s/lamp").status, 404);
    let ordered = app.post("/orders", r#"{"item": "a lamp", "link": {"url": "iii.dev/lamp", "code": "lamp"}}"#);
    assert_eq!((ordered.status, &ordered.json()["link"]["code"]), (201, &"lamp".into()), "{}", ordered.body);
    assert_eq!(app.get("/s/lamp").location.as_deref(), Some("https://iii.dev/lamp"));
    let shown = app.get("/orders/lamp").json();
    assert_eq!((&shown["item"], &shown["clicks"]), (&"a lamp".into(), &1.into()));

    // The link was inserted, and its order is refused.
    let no_item = app.post("/orders", r#"{"item": "", "link": {"url": "iii.dev", "code": "nothing"}}"#);
    assert_eq!((no_item.status, app.get("/s/nothing").status), (400, 404), "{}", no_item.body);
    // The code of the link is taken.
    let taken = app.post("/orders", r#"{"item": "a chair", "link": {"url": "iii.dev", "code": "lamp"}}"#);
    assert_eq!((taken.status, app.get("/orders/chair").status), (409, 404), "{}", taken.body);
    assert_eq!((fixture.count("orders"), fixture.count("links")), ("1".into(), "1".into()));
}

#[test]
fn errors_are_json_with_the_status_that_fits() {
    let fixture = Fixture::new();
    let app = fixture.start();
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    app.post("/links", r#"{"url": "iii.dev", "code": "old", "expires_at": "2020-01-01T00:00:00Z"}"#);
    for (status, text, answer) in [
        (404, "link not found", app.get("/s/none")),
        (404, "link not found", app.get("/links/none/stats")),
        (404, "no such order", app.get("/orders/none")),
        (410, "link gone", app.get("/s/old")),
        (400, "code", app.get("/s/not%20a%20code")),
        (400, "URL", app.post("/links", r#"{"url": "javascript:alert(1)"}"#)),
        (400, "", app.post("/links", "{")),
        (409, "taken", app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#)),
    ] {
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && error.contains(text), "{status} {text:?}: {} {error:?}", answer.status);
    }
}

#[test]
fn sigterm_under_load_loses_no_click_of_an_answered_redirect() {
    let fixture = Fixture::new();
    let app = fixture.start();
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    let (redirects, said) = app.terminate_under_load();
    let clicks: u64 = fixture.count("clicks").parse().unwrap();
    // An answer that was on its way when the connection closed may be counted without having arrived.
    assert!((redirects..=redirects + 8).contains(&clicks), "{clicks} clicks, {redirects} redirects");
    assert_eq!(said, format!("stopped: {clicks} clicks written, 0 not"));
    let app = fixture.start();
    assert_eq!(app.get("/links/iii/stats").json()["clicks"], clicks);
}
