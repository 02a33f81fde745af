//! `cargo xtask bench-http`: the example under load, in turn with bare Axum, and its rows counted.
//!
//! Rounds alternate, because these figures drift with the machine; what counts is the ratio of the
//! medians in one run. `wrk` loads with one thread and 64 connections.

use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::packages::Workspace;
use crate::process::{Cmd, Failure, Result};
use crate::setup;

const ROUNDS: usize = 5;
const SECONDS: u32 = 10;

/// What one round of load found.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Round {
    requests: u64,
    per_second: f64,
    p99_millis: f64,
}

/// Measures and prints.
pub(crate) fn run(workspace: &Workspace) -> Result {
    setup::run(workspace, setup::Purpose::Bench)?;
    Cmd::cargo("build").args(["--release", "-p", "linkly-examples", "--bins"]).run()?;
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        bare.push(bare_round()?);
        ours.push(example_round()?);
        let (bare, ours) = (bare[round - 1], ours[round - 1]);
        println!(
            "round {round}: bare {:.0}/s (p99 {:.2} ms), example {:.0}/s (p99 {:.2} ms), ratio {:.3}",
            bare.per_second,
            bare.p99_millis,
            ours.per_second,
            ours.p99_millis,
            ours.per_second / bare.per_second
        );
    }
    let median = |rounds: &[Round]| {
        let mut rates: Vec<f64> = rounds.iter().map(|round| round.per_second).collect();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    println!(
        "medians: bare {:.0}/s, example {:.0}/s, ratio {:.3}",
        median(&bare),
        median(&ours),
        median(&ours) / median(&bare)
    );
    Ok(())
}

fn bare_round() -> Result<Round> {
    let folder = scratch("bare")?;
    let app = App::start("bare_axum", &folder)?;
    load(&format!("{}/s/iii", app.url))
}

/// One round of the example on a new database; every 302 that was sent must be a row.
fn example_round() -> Result<Round> {
    let folder = scratch("example")?;
    let app = App::start("axum_sqlite", &folder)?;
    let body = r#"{"url":"https://iii.dev","code":"iii"}"#;
    let url = format!("{}/links", app.url);
    Cmd::new("curl").args(["-sf", "-X", "POST", &url, "-H", "Content-Type: application/json", "-d", body]).output()?;
    let round = load(&format!("{}/s/iii", app.url))?;
    let said = app.stop()?;
    let database = folder.join("data/linkly.db").display().to_string();
    let rows = Cmd::new("sqlite3").args([&database, "SELECT COUNT(*) FROM clicks WHERE code = 'iii'"]).output()?;
    let totals = Cmd::new("sqlite3").args([&database, "SELECT clicks FROM link_stats WHERE code = 'iii'"]).output()?;
    account(&round, &said, rows.trim(), totals.trim())?;
    Ok(round)
}

/// What the app says it wrote, the rows and the total are one number: the answers that `wrk` has seen,
/// and those of its 64 connections that were on their way when it stopped, each of two times.
fn account(round: &Round, said: &str, rows: &str, total: &str) -> Result {
    let written = said.strip_prefix("stopped: ").and_then(|said| said.split_once(' '));
    let (written, rest) = written.ok_or_else(|| Failure::new(format!("the example said {said:?}")))?;
    let unseen = written.parse::<u64>().ok().and_then(|written| written.checked_sub(round.requests));
    let exact = rest == "clicks written, 0 not" && rows == written && total == written;
    if exact && unseen.is_some_and(|unseen| unseen <= 2 * 64) {
        println!("  {rows} rows, {total} in the total, {} answers seen", round.requests);
        return Ok(());
    }
    Err(Failure::new(format!("{} answers, but {rows} rows, {total} in the total, and: {said}", round.requests)))
}

/// Loads an address, after two seconds to warm up.
fn load(url: &str) -> Result<Round> {
    let wrk = |seconds: u32| Cmd::new("wrk").args(["-t1", "-c64", "--latency", &format!("-d{seconds}s"), url]);
    let warm_up = parse(&wrk(2).output()?)?;
    let mut round = parse(&wrk(SECONDS).output()?)?;
    round.requests += warm_up.requests;
    Ok(round)
}

fn parse(report: &str) -> Result<Round> {
    let unclear = || Failure::new(format!("wrk reported:\n{report}"));
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(unclear());
    }
    let field = |name: &str| {
        report.lines().map(str::trim).find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
    };
    let requests = report.lines().find(|line| line.contains(" requests in ")).and_then(|line| {
        let number = line.split_whitespace().next()?;
        number.parse().ok()
    });
    let per_second = field("Requests/sec:").and_then(|rate| rate.parse().ok());
    let p99_millis = field("99%").and_then(|time| millis(&time));
    match (requests, per_second, p99_millis) {
        (Some(requests), Some(per_second), Some(p99_millis)) => Ok(Round { requests, per_second, p99_millis }),
        _ => Err(unclear()),
    }
}

/// A time as `wrk` writes it: `812.00us`, `1.43ms`, `2.00s`.
fn millis(time: &str) -> Option<f64> {
    let (number, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)]
        .iter()
        .find_map(|(unit, factor)| time.strip_suffix(unit).map(|number| (number, factor)))?;
    number.parse::<f64>().ok().map(|number| number * factor)
}

/// An empty folder of its own below `target`.
fn scratch(name: &str) -> Result<PathBuf> {
    let folder = Path::new("target/bench-http").join(name);
    let failed = |error| Failure::new(format!("{}: {error}", folder.display()));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir_all(&folder).map_err(failed)?;
    Ok(folder)
}

/// A server of ours. Killed when it is dropped.
struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl App {
    fn start(bin: &str, folder: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| Failure::new(format!("{bin}: {error}"));
        let program = std::env::current_dir().map_err(failed)?.join("target/release").join(bin);
        let mut child = Command::new(program)
            .current_dir(folder)
            .env("LINKLY_ADDR", "127.0.0.1:0")
            .env_remove("DATABASE_URL")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = child.stdout.take().ok_or_else(|| Failure::new(format!("{bin}: no output")))?;
        let mut lines = BufReader::new(stdout).lines();
        let first = lines.next().transpose().map_err(failed)?.unwrap_or_default();
        let url = first.strip_prefix("listening on ").map(str::to_owned);
        let url = url.ok_or_else(|| Failure::new(format!("{bin} said {first:?}")))?;
        Ok(Self { child, lines, url })
    }

    /// Stops it with SIGTERM, and answers with its last line.
    fn stop(mut self) -> Result<String> {
        Cmd::new("kill").args(["-TERM", &self.child.id().to_string()]).run()?;
        let last = self.lines.by_ref().map_while(std::io::Result::ok).last().unwrap_or_default();
        let _ = self.child.wait();
        Ok(last)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 10s test @ http://127.0.0.1:3111/s/iii
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   610.25us  301.11us   9.01ms   92.10%
  Latency Distribution
     50%  549.00us
     99%    1.43ms
  1012345 requests in 10.00s, 110.05MB read
Requests/sec: 101234.50
Transfer/sec:     11.00MB
";

    #[test]
    fn a_report_is_read() {
        let round = Round { requests: 1_012_345, per_second: 101_234.5, p99_millis: 1.43 };
        assert_eq!(parse(REPORT).unwrap(), round);
        assert!(parse(&format!("{REPORT}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(parse("").is_err());
        assert_eq!(millis("812.00us"), Some(0.812));
        assert_eq!(millis("2.00s"), Some(2_000.0));
    }

    #[test]
    fn rows_that_are_not_the_answers_fail_the_round() {
        let round = Round { requests: 100, per_second: 1.0, p99_millis: 1.0 };
        account(&round, "stopped: 103 clicks written, 0 not", "103", "103").unwrap();
        for (said, rows, total) in [
            ("stopped: 103 clicks written, 0 not", "102", "103"),
            ("stopped: 103 clicks written, 0 not", "103", "104"),
            ("stopped: 103 clicks written, 1 not", "103", "103"),
            ("stopped: 99 clicks written, 0 not", "99", "99"),
            ("stopped: 229 clicks written, 0 not", "229", "229"),
            ("", "100", "100"),
        ] {
            assert!(account(&round, said, rows, total).is_err(), "{said} {rows} {total}");
        }
    }
}
