//! An example beside the bare framework and the way it is written by hand.

use std::fs;
use std::path::{Path, PathBuf};

use linkly_testkit::{Postgres, Redis, psql};

use super::app::App;
use super::wrk::{self, CONNECTIONS, Seen};
use crate::process::{Cmd, Failure, Result};

/// Where an app keeps its links and clicks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
    PostgresAndRedis,
}

/// What is compared.
#[derive(Debug)]
pub(super) struct Contest {
    pub(super) name: &'static str,
    pub(super) database: Database,
    pub(super) nodes: usize,
    pub(super) bins: [&'static str; 3],
}

/// The three of a contest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Bare,
    ByHand,
    Linkly,
}

impl Side {
    pub(super) const ALL: [Self; 3] = [Self::Bare, Self::ByHand, Self::Linkly];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare, a constant 302",
            Self::ByHand => "by hand, the click awaited",
            Self::Linkly => "linkly",
        }
    }
}

/// What one round of load found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Round {
    pub(super) seen: Seen,
    /// Of the apps, for a million requests.
    pub(super) cpu_seconds: f64,
    /// MiB of all nodes.
    pub(super) memory: f64,
}

impl Contest {
    /// One round of one side, on a new database. Every 302 that was seen must be a row.
    pub(super) fn round(&self, side: Side, seconds: u32) -> Result<Round> {
        let folder = scratch()?;
        let servers = Servers::start(if side == Side::Bare { None } else { Some(self.database) });
        let mut envs = Vec::new();
        if let Some((_, url)) = &servers.postgres {
            envs.push(("DATABASE_URL", url.as_str()));
        }
        if let Some(redis) = &servers.redis {
            envs.push(("REDIS_URL", redis.url()));
        }
        let bin = self.bins[side as usize];
        let apps: Vec<App> = (0..self.nodes).map(|_| App::start(bin, &folder, &envs)).collect::<Result<_>>()?;
        if side == Side::Linkly {
            let (url, body) = (format!("{}/links", apps[0].url), r#"{"url":"https://iii.dev","code":"iii"}"#);
            let json = ["-sf", "-X", "POST", "-H", "Content-Type: application/json", "-d", body];
            Cmd::new("curl").args(json).args([url]).output()?;
        }

        let urls: Vec<String> = apps.iter().map(|app| format!("{}/s/iii", app.url)).collect();
        let warm_up = wrk::load(&urls, 2)?;
        let cpu = || apps.iter().map(App::cpu_seconds).sum::<Result<f64>>();
        let before = cpu()?;
        let seen = wrk::load(&urls, seconds)?;
        let cpu_seconds = (cpu()? - before) / seen.requests as f64 * 1e6;
        let memory = apps.iter().map(App::memory).sum::<Result<f64>>()?;
        let said: Vec<String> = apps.into_iter().map(App::stop).collect::<Result<_>>()?;
        if side != Side::Bare {
            let counted = servers.rows(&folder)?;
            account(warm_up.requests + seen.requests, counted, if side == Side::Linkly { &said } else { &[] })?;
        }
        fs::remove_dir_all(&folder).map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
        Ok(Round { seen, cpu_seconds, memory })
    }
}

/// The rows of clicks are as many as what the nodes say they wrote, if they say it: the answers that `wrk` has seen,
/// and those of its connections that were on their way when it stopped, each of two times.
fn account(answers: u64, rows: u64, said: &[String]) -> Result {
    let exact = said.is_empty() || written(said) == Some(rows);
    let unseen = rows.checked_sub(answers);
    if exact && unseen.is_some_and(|unseen| unseen <= 2 * CONNECTIONS) {
        println!("  {rows} rows, {answers} answers seen");
        return Ok(());
    }
    Err(Failure::new(format!("{answers} answers seen, but {rows} rows, and: {}", said.join("; "))))
}

/// The clicks that all nodes say they wrote; `None` when one did not write all.
fn written(said: &[String]) -> Option<u64> {
    let one =
        |said: &String| said.strip_prefix("stopped: ")?.strip_suffix(" clicks written, 0 not")?.parse::<u64>().ok();
    said.iter().map(one).sum()
}

/// The servers of a round. They end when this is dropped.
struct Servers {
    postgres: Option<(Postgres, String)>,
    redis: Option<Redis>,
}

impl Servers {
    fn start(database: Option<Database>) -> Self {
        let postgres = matches!(database, Some(Database::Postgres | Database::PostgresAndRedis)).then(|| {
            let server = Postgres::start();
            let url = server.new_database();
            (server, url)
        });
        Self { postgres, redis: (database == Some(Database::PostgresAndRedis)).then(Redis::start) }
    }

    fn rows(&self, folder: &Path) -> Result<u64> {
        let count = "SELECT count(*) FROM clicks WHERE code = 'iii'";
        let rows = match &self.postgres {
            Some((_, url)) => psql(url, count).map_err(Failure::new)?,
            None => Cmd::new("sqlite3").args([&folder.join("data/linkly.db").display().to_string(), count]).output()?,
        };
        rows.trim().parse().map_err(|_| Failure::new(format!("the database counted {rows:?} rows")))
    }
}

/// An empty folder below `target`.
fn scratch() -> Result<PathBuf> {
    let folder = Path::new("target/bench/http").to_path_buf();
    let failed = |error| Failure::new(format!("{}: {error}", folder.display()));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    fs::create_dir_all(&folder).map_err(failed)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rows_that_are_not_the_answers_fail_the_round() {
        account(100, 103, &said(&["stopped: 103 clicks written, 0 not"])).unwrap();
        account(100, 103, &said(&["stopped: 60 clicks written, 0 not", "stopped: 43 clicks written, 0 not"])).unwrap();
        account(100, 103, &[]).unwrap();
        for (rows, lines) in [
            (102, &["stopped: 103 clicks written, 0 not"][..]),
            (103, &["stopped: 103 clicks written, 1 not"]),
            (103, &["stopped: 60 clicks written, 0 not", ""]),
            (99, &["stopped: 99 clicks written, 0 not"]),
            (229, &["stopped: 229 clicks written, 0 not"]),
            (99, &[]),
        ] {
            assert!(account(100, rows, &said(lines)).is_err(), "{rows} {lines:?}");
        }
    }
}
