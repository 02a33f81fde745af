//! Killing the app.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use linkly_core::{Linkly, NewLink};
use linkly_testkit::{Postgres, Redis};
use rand::RngExt;

use crate::Result;
use crate::app::CODES;
use crate::audit::{Findings, audit};
use crate::manifest::Manifest;
use crate::subject::{Database, Place, Queue, Subject};

/// When an app is killed, from its start on: while it opens, recovers, or works.
const KILLED_WITHIN_MILLIS: std::ops::Range<u64> = 5..600;

/// One server for all rounds.
static POSTGRES: LazyLock<Postgres> = LazyLock::new(Postgres::start);
static REDIS: LazyLock<Redis> = LazyLock::new(|| Redis::start_with(&["--appendfsync", "always"]));

/// What all rounds of a subject came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    kills: usize,
    acknowledged: usize,
    rows: usize,
    lost: usize,
    lost_at_once: usize,
}

impl Tally {
    pub(crate) fn add(&mut self, (kills, findings): (usize, Findings)) {
        self.kills += kills;
        self.acknowledged += findings.acknowledged;
        self.rows += findings.rows;
        self.lost += findings.lost;
        self.lost_at_once = self.lost_at_once.max(findings.lost_at_once);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, acknowledged, rows, lost, lost_at_once } = self;
        write!(
            f,
            "{kills} kills, {acknowledged} acknowledged, {rows} rows, {lost} lost (at most {lost_at_once} at once), 0 twice"
        )
    }
}

/// Starts the app and kills it, so many times, on one database; then compares.
pub(crate) async fn round(subject: Subject, kills: usize) -> Result<(usize, Findings)> {
    let folder = tempfile::tempdir()?;
    let database = match subject.database {
        Database::Sqlite => String::new(),
        Database::Postgres => POSTGRES.new_database(),
    };
    let redis = if subject.queue == Queue::RedisStream { REDIS.url() } else { "" };
    let place = Place::new(folder.path(), &database, redis);
    let store = place.store(subject.database).await?;
    let linkly = Linkly::builder(store.clone()).start().await?;
    for code in CODES {
        linkly.create(NewLink::new("https://iii.dev").with_code(code)).await?;
    }
    linkly.shutdown(Duration::from_secs(5)).await;

    let mut manifest = Manifest::default();
    for run in 0..kills {
        let run = u32::try_from(run)?;
        let millis = rand::rng().random_range(KILLED_WITHIN_MILLIS);
        let lines = kill_after(subject, &place, run, Duration::from_millis(millis)).await?;
        for line in lines {
            manifest.enter(run, &line).ok_or_else(|| format!("the app printed {line:?}"))?;
        }
    }
    if manifest.acknowledged.is_empty() {
        return Err("no visit was acknowledged".into());
    }
    subject.drain(&place).await?;
    let findings = audit(&*store, &manifest).await?;
    if findings.lost_at_once > subject.may_lose() {
        let most = subject.may_lose();
        return Err(format!("one kill may lose {most} acknowledged clicks: {findings:?}").into());
    }
    Ok((kills, findings))
}

/// What the app printed until it was killed.
async fn kill_after(subject: Subject, place: &Place, run: u32, time: Duration) -> Result<Vec<String>> {
    let mut app = App(Command::new(std::env::current_exe()?)
        .args(["app", subject.name])
        .args(place.args())
        .arg(run.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?);
    let output: ChildStdout = app.0.stdout.take().ok_or("the app has no output")?;
    let lines = std::thread::spawn(move || BufReader::new(output).lines().collect::<std::io::Result<Vec<_>>>());
    tokio::time::sleep(time).await;
    if let Some(status) = app.0.try_wait()? {
        return Err(format!("the app ended by itself: {status}").into());
    }
    drop(app);
    Ok(lines.join().map_err(|_| "the reader panicked")??)
}

/// Killed when it is dropped, by SIGKILL.
struct App(Child);

impl Drop for App {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
