//! The Axum app on SQLite, as a process, over HTTP.

mod support;

use std::process::Command;

use linkly_core::{ClickStatsExt, Code};
use linkly_store_sqlite::SqliteStore;
use support::App;
use ureq::http::Method;

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum_sqlite");

#[test]
fn a_link_is_created_followed_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());

    let created = app.post("/links", r#"{"url": "iii.dev/docs", "code": "iii"}"#);
    assert_eq!(created.status, 201);
    assert_eq!((&created.json()["code"], &created.json()["url"]), (&"iii".into(), &"https://iii.dev/docs".into()));
    let random = app.post("/links", r#"{"url": "https://iii.dev"}"#);
    assert_eq!(random.json()["code"].as_str().unwrap().len(), 7);

    for _ in 0..3 {
        let followed = app.get("/s/iii");
        assert_eq!((followed.status, followed.location.as_deref()), (302, Some("https://iii.dev/docs")));
    }
    let probed = app.send(Method::HEAD, "/s/iii", "");
    assert_eq!((probed.status, probed.location.as_deref()), (302, Some("https://iii.dev/docs")));
    let stats = app.get("/links/iii/stats");
    assert_eq!((stats.status, &stats.json()["clicks"], &stats.json()["bots"]), (200, &4.into(), &1.into()));
}

#[test]
fn errors_are_json_with_the_status_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    app.post("/links", r#"{"url": "iii.dev", "code": "old", "expires_at": "2020-01-01T00:00:00Z"}"#);
    app.post("/links", r#"{"url": "iii.dev", "code": "once", "max_clicks": 1}"#);
    assert_eq!(app.get("/s/once").status, 302);
    for (status, text, answer) in [
        (404, "link not found", app.get("/s/none")),
        (404, "link not found", app.get("/links/none/stats")),
        (410, "link gone", app.get("/s/old")),
        (410, "link gone", app.get("/s/once")),
        (400, "code", app.get("/s/not%20a%20code")),
        (400, "code", app.get("/s/%2F%2Facme.com%2Fa")),
        (400, "UTF-8", app.get("/s/%FF")),
        (404, "no such page", app.get("/")),
        (405, "no such method", app.send(Method::DELETE, "/s/iii", "")),
        (400, "code", app.post("/links", r#"{"url": "iii.dev", "code": "a/b"}"#)),
        (400, "URL", app.post("/links", r#"{"url": "javascript:alert(1)"}"#)),
        (400, "", app.post("/links", "{")),
        (422, "url", app.post("/links", "{}")),
        (422, "expiry", app.post("/links", r#"{"url": "iii.dev", "expiry": 1}"#)),
        (409, "taken", app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#)),
    ] {
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && error.contains(text), "{status} {text:?}: {} {error:?}", answer.status);
    }
}

#[test]
fn a_store_that_is_down_is_a_503_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    assert_eq!(app.get("/s/iii").status, 302);
    let sqlite3 = |sql: &str| {
        let database = folder.path().join("data/linkly.db");
        let run = Command::new("sqlite3").args(["-cmd", ".timeout 5000"]).arg(database).arg(sql).status();
        assert!(run.unwrap().success(), "{sql}");
    };
    sqlite3("ALTER TABLE links RENAME TO hidden");
    for answer in [app.get("/s/other"), app.post("/links", r#"{"url": "iii.dev"}"#)] {
        assert!(answer.status == 503 && answer.json()["error"].is_string(), "{}: {}", answer.status, answer.body);
    }
    sqlite3("ALTER TABLE hidden RENAME TO links");
    assert_eq!((app.get("/s/other").status, app.get("/s/iii").status), (404, 302));
}

#[test]
fn the_readmes_session_works_as_shown() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let block = readme
        .split("```")
        .find(|block| block.contains("/s/iii") && block.contains("SELECT COUNT(*)"))
        .expect("the README shows a session");
    let session = block.split_once('\n').unwrap().1;

    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    let session = session.replace("http://127.0.0.1:3111", &app.url);
    let run = Command::new("bash").args(["-euc", &session]).current_dir(folder.path()).output().unwrap();
    let shown = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success(), "{session}\n{shown}{}", String::from_utf8_lossy(&run.stderr));
    assert!(shown.contains(r#""clicks":3,"code":"iii""#) && shown.ends_with("3\n"), "{shown}");
}

#[test]
fn sigterm_under_load_loses_no_click_of_an_answered_redirect() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    let (redirects, said) = app.terminate_under_load();
    assert!(said.ends_with("0 not"), "{said}");

    let clicks = tokio::runtime::Runtime::new().unwrap().block_on(async {
        let url = format!("sqlite:{}", folder.path().join("data/linkly.db").display());
        let store = SqliteStore::connect(&url).await.unwrap();
        store.total(&Code::new("iii").unwrap()).await.unwrap().clicks
    });
    // An answer that was on its way when the connection closed may be counted without having arrived.
    assert!(clicks >= redirects && clicks <= redirects + 8, "{clicks} clicks, {redirects} redirects");
    assert_eq!(said, format!("stopped: {clicks} clicks written, 0 not"));
}

#[test]
fn links_and_clicks_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    assert_eq!(app.get("/s/iii").status, 302);
    app.signal("INT");
    app.last_words();
    let app = App::start(PROGRAM, folder.path());
    assert_eq!(app.get("/s/iii").location.as_deref(), Some("https://iii.dev"));
    assert_eq!(app.get("/links/iii/stats").json()["clicks"], 2);
}
