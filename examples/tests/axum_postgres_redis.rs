//! Two nodes on one Postgres and one Redis, as processes, over HTTP.

mod support;

use std::process::Command;

use linkly_testkit::{Postgres, Redis, eventually, psql};
use support::App;
use ureq::http::Method;

const PROGRAM: &str = env!("CARGO_BIN_EXE_axum_postgres_redis");

struct Fixture {
    folder: tempfile::TempDir,
    database: String,
    redis: Redis,
}

impl Fixture {
    fn new() -> Self {
        Self::on(Postgres::shared())
    }

    fn on(postgres: &Postgres) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: postgres.new_database(), redis: Redis::start() }
    }

    fn start(&self, more: &[(&str, &str)]) -> App {
        let mut settings = vec![("DATABASE_URL", &*self.database), ("REDIS_URL", self.redis.url())];
        settings.extend(more);
        App::start_with(PROGRAM, self.folder.path(), &settings)
    }

    fn clicks(&self) -> u64 {
        psql(&self.database, "SELECT count(*) FROM clicks").unwrap().trim().parse().unwrap()
    }
}

fn location(app: &App, code: &str) -> Option<String> {
    app.get(&format!("/s/{code}")).location
}

#[test]
fn what_is_changed_on_one_node_is_followed_on_the_other() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.start(&[]), fixture.start(&[]));
    assert_eq!(one.post("/links", r#"{"url": "iii.dev/old", "code": "iii"}"#).status, 201);
    for app in [&one, &other] {
        assert_eq!(location(app, "iii").as_deref(), Some("https://iii.dev/old"));
    }
    let changed = one.send(Method::PATCH, "/links/iii", r#"{"url": "iii.dev/new"}"#);
    assert_eq!((changed.status, &changed.json()["version"]), (200, &2.into()), "{}", changed.body);
    assert_eq!(location(&one, "iii").as_deref(), Some("https://iii.dev/new"), "at once where it was changed");
    eventually("the other node follows the change", || {
        location(&other, "iii").as_deref() == Some("https://iii.dev/new")
    });

    assert_eq!(other.send(Method::DELETE, "/links/iii", "").status, 204);
    assert_eq!(other.get("/s/iii").status, 404);
    eventually("the link is gone on the first node too", || one.get("/s/iii").status == 404);
    assert_eq!(one.get("/links/iii").status, 404);
    assert_eq!(one.send(Method::PATCH, "/links/iii", r#"{"url": "iii.dev"}"#).status, 404);
}

#[test]
fn the_readmes_session_works_as_shown() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let block = readme.split("```").find(|block| block.contains("other=")).expect("the README shows a session");
    let session = block.split_once('\n').unwrap().1;
    let fixture = Fixture::new();
    let (one, other) = (fixture.start(&[]), fixture.start(&[]));
    let session = session.replace("http://127.0.0.1:3111", &one.url).replace("http://127.0.0.1:3112", &other.url);
    let (addresses, commands) = session.split_once('\n').unwrap();
    let mut answers = 0;
    for command in commands.lines() {
        let run = || {
            let run = Command::new("bash").args(["-euc", &format!("{addresses}\n{command}")]).output().unwrap();
            assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
            String::from_utf8(run.stdout).unwrap()
        };
        match command.split_once("     # ") {
            None => _ = run(),
            Some((_, answer)) => {
                answers += 1;
                // The other node hears of it within milliseconds, which a busy machine draws out.
                eventually(command, || run() == answer);
            }
        }
    }
    assert_eq!(answers, 3, "{commands}");
}

#[test]
fn clicks_of_all_nodes_are_counted_together() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.start(&[]), fixture.start(&[]));
    one.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    for app in [&one, &one, &other] {
        assert!(location(app, "iii").is_some());
    }
    // Each writes its own.
    other.get("/links/iii/stats");
    assert_eq!(one.get("/links/iii/stats").json()["clicks"], 3);
}

#[test]
fn a_node_goes_on_without_redis() {
    let fixture = Fixture::new();
    let app = fixture.start(&[]);
    app.post("/links", r#"{"url": "iii.dev/old", "code": "iii"}"#);
    assert!(location(&app, "iii").is_some());
    fixture.redis.kill();
    assert_eq!(location(&app, "iii").as_deref(), Some("https://iii.dev/old"));
    assert_eq!(app.send(Method::PATCH, "/links/iii", r#"{"url": "iii.dev/new"}"#).status, 200);
    assert_eq!(location(&app, "iii").as_deref(), Some("https://iii.dev/new"));
    fixture.redis.restart();
    assert_eq!(location(&app, "iii").as_deref(), Some("https://iii.dev/new"));
}

#[test]
fn clicks_wait_in_the_spool_while_postgres_is_down() {
    let postgres = Postgres::start();
    let fixture = Fixture::on(&postgres);
    let app = fixture.start(&[("LINKLY_SPOOL", "clicks.spool")]);
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    assert!(location(&app, "iii").is_some());
    postgres.kill();
    for _ in 0..50 {
        assert!(location(&app, "iii").is_some(), "redirects go on");
    }
    postgres.restart();
    eventually("all clicks are in Postgres", || fixture.clicks() == 51);

    let (redirects, _) = app.terminate_under_load();
    // What still waits in the file is delivered by the next process.
    let _app = fixture.start(&[("LINKLY_SPOOL", "clicks.spool")]);
    eventually("every redirect is a click", || (redirects + 51..=redirects + 59).contains(&fixture.clicks()));
}

#[test]
fn a_spool_serves_one_process() {
    let fixture = Fixture::new();
    let spool = [("LINKLY_SPOOL", "clicks.spool")];
    let app = fixture.start(&spool);
    let second = Command::new(PROGRAM)
        .current_dir(fixture.folder.path())
        .env("LINKLY_ADDR", "127.0.0.1:0")
        .env("DATABASE_URL", &fixture.database)
        .env("REDIS_URL", fixture.redis.url())
        .envs(spool)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains("clicks.spool") && said.contains("process"), "{said}");
    app.post("/links", r#"{"url": "iii.dev", "code": "iii"}"#);
    assert!(location(&app, "iii").is_some(), "the first is not disturbed");
}
