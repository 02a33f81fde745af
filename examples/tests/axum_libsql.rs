//! The Axum app on libSQL, as a process, over HTTP: a file, a server, and a file that the app on SQLite wrote.

mod support;

use std::path::Path;

use linkly_testkit::Sqld;
use support::App;

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum_libsql");
const ON_SQLITE: &str = env!("CARGO_BIN_EXE_axum_sqlite");

fn follow(app: &App, code: &str, times: usize) {
    for _ in 0..times {
        let followed = app.get(&format!("/s/{code}"));
        assert_eq!((followed.status, followed.location.as_deref()), (302, Some("https://iii.dev/docs")));
    }
}

fn clicks(app: &App, code: &str) -> u64 {
    app.get(&format!("/links/{code}/stats")).json()["clicks"].as_u64().unwrap()
}

fn create(app: &App, code: &str) {
    let created = app.post("/links", &format!(r#"{{"url": "https://iii.dev/docs", "code": "{code}"}}"#));
    assert_eq!(created.status, 201, "{}", created.body);
}

fn stop(app: App) {
    app.signal("TERM");
    let said = app.last_words();
    assert!(said.starts_with("stopped: ") && said.ends_with(" written, 0 not"), "{said}");
}

#[test]
fn a_link_in_a_file_is_created_followed_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(PROGRAM, folder.path());
    create(&app, "iii");
    follow(&app, "iii", 3);
    assert_eq!(clicks(&app, "iii"), 3);
    assert_eq!(app.get("/s/none").status, 404);
    assert_eq!(app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#).status, 409);
    let (redirects, said) = app.terminate_under_load();
    // An answer that was on its way when the connection closed may be counted without having arrived.
    let written: u64 = said.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(said.ends_with(" written, 0 not") && (redirects + 3..=redirects + 11).contains(&written), "{said}");

    let app = App::start(PROGRAM, folder.path());
    assert_eq!(clicks(&app, "iii"), written);
}

#[test]
fn a_link_on_a_server_is_created_followed_and_counted() {
    let (server, folder) = (Sqld::start(), tempfile::tempdir().unwrap());
    let settings = [("LIBSQL_URL", server.url())];
    let app = App::start_with(PROGRAM, folder.path(), &settings);
    create(&app, "iii");
    follow(&app, "iii", 3);
    assert_eq!(clicks(&app, "iii"), 3);
    stop(app);
    // All of it is on the server.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let app = App::start_with(PROGRAM, folder.path(), &settings);
    follow(&app, "iii", 1);
    assert_eq!(clicks(&app, "iii"), 4);
}

#[test]
fn one_file_serves_the_apps_on_sqlite_and_on_libsql_in_turn() {
    let folder = tempfile::tempdir().unwrap();
    let start = |program: &str| App::start(program, Path::new(folder.path()));
    for (turn, program) in [ON_SQLITE, PROGRAM, ON_SQLITE, PROGRAM].into_iter().enumerate() {
        let app = start(program);
        create(&app, &format!("c{turn}"));
        for code in 0..=turn {
            follow(&app, &format!("c{code}"), 5);
            // Each turn since it was created has followed it five times.
            assert_eq!(clicks(&app, &format!("c{code}")), 5 * (turn - code + 1) as u64, "turn {turn}, code {code}");
        }
        stop(app);
    }
}
