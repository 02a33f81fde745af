//! `cargo xtask outage`: an app under load while a server that it needs is away for ten seconds.
//!
//! - Postgres is stopped under the example with a spool: no redirect fails, the throughput stays, and every click is
//!   in Postgres soon after its return.
//! - Redis is paused under a node whose memory has half of what is asked for: no redirect fails, and the median
//!   stays.
//!
//! Each compares the load meanwhile with that of the ten seconds before.

use std::error::Error;
use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use linkly_testkit::{Postgres, Redis, psql};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

const SECONDS: u32 = 10;
/// Links that Redis has and the node's memory has not: more than are asked for.
const COLD: usize = 1_000_000;
/// How long the clicks may take after the return of Postgres.
const WITHIN: Duration = Duration::from_secs(30);
/// Connections of wrk, each with an answer that it may not have seen when it stopped.
const CONNECTIONS: u64 = 64;

/// Asks for the hot link and for cold ones by turns, beginning at the one that it is told.
const HALF_COLD: &str = r#"
local n = 0
function init(args) n = tonumber(args[1]) * 2 end
function request()
  n = n + 1
  if n % 2 == 0 then return wrk.format("GET", "/s/hot") end
  return wrk.format("GET", "/s/c" .. (n + 1) / 2)
end
"#;

/// Asks for the cold links alone, beginning at the one that it is told.
const ALL_COLD: &str = r#"
local n = 0
function init(args) n = tonumber(args[1]) end
function request()
  n = n + 1
  return wrk.format("GET", "/s/c" .. n % COLD + 1)
end
"#;

const USAGE: &str =
    "outage PROGRAM [SECONDS]: say which axum_postgres_redis, and for how long Postgres is stopped (10 s)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match outages(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn outages(args: &[String]) -> Result<()> {
    let (program, seconds) = match args {
        [program] => (program, SECONDS),
        [program, seconds] => (program, seconds.parse()?),
        _ => return Err(USAGE.into()),
    };
    postgres_stopped(program, seconds)?;
    redis_paused(program)
}

fn postgres_stopped(program: &str, outage: u32) -> Result<()> {
    let (postgres, redis, folder) = (Postgres::start(), Redis::start(), tempfile::tempdir()?);
    let database = postgres.new_database();
    let app = App::start(program, folder.path(), &database, redis.url(), Some("clicks.spool"))?;
    psql(&database, "INSERT INTO links (code, url, created_at) VALUES ('hot', 'https://iii.dev', now())")?;
    let hot = |seconds| load(&app.url, "/s/hot", seconds, None);
    let warm = hot(2)?;
    let before = hot(SECONDS)?;
    postgres.stop();
    let during = hot(outage)?;
    postgres.restart();
    let (back, seen) = (Instant::now(), warm.requests + before.requests + during.requests);
    let clicks = || -> Result<u64> { Ok(psql(&database, "SELECT count(*) FROM clicks")?.trim().parse()?) };
    while clicks()? < seen {
        if back.elapsed() > WITHIN {
            return Err(format!("{} of {seen} clicks are in Postgres {WITHIN:?} after its return", clicks()?).into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = back.elapsed();
    let said = app.stop()?;
    let rows = clicks()?;
    println!(
        "Postgres stopped for {outage} s: {:.0} redirects/s before, {:.0} meanwhile ({:.2}), none failed; all {rows} \
         clicks were there {:.1} s after its return; the app: {said}",
        before.per_second,
        during.per_second,
        during.per_second / before.per_second,
        took.as_secs_f64(),
    );
    let total: u64 = psql(&database, "SELECT clicks FROM link_stats WHERE code = 'hot'")?.trim().parse()?;
    if rows != total || !(seen..=seen + 3 * 2 * CONNECTIONS).contains(&rows) {
        return Err(format!("{seen} answers, but {rows} rows and {total} in the total").into());
    }
    if during.per_second < 0.9 * before.per_second {
        return Err("the throughput fell by more than a tenth".into());
    }
    Ok(())
}

fn redis_paused(program: &str) -> Result<()> {
    let (postgres, redis, folder) = (Postgres::start(), Redis::start(), tempfile::tempdir()?);
    let database = postgres.new_database();
    // Makes the tables. The links are there before a node follows the change log.
    App::start(program, folder.path(), &database, redis.url(), None)?.stop()?;
    let insert = "INSERT INTO links (code, url, created_at)";
    let series = format!("generate_series(1, {COLD}) AS n");
    psql(&database, &format!("{insert} VALUES ('hot', 'https://iii.dev', now())"))?;
    psql(&database, &format!("{insert} SELECT 'c' || n, 'https://iii.dev/' || n, now() FROM {series}"))?;
    let first = App::start(program, folder.path(), &database, redis.url(), None)?;
    // What the first node has read is in Redis, and not in the memory of the second.
    let (script, mut asked) = (ALL_COLD.replace("COLD", &COLD.to_string()), 0);
    while keys(&redis)? < COLD {
        if asked > 5 * COLD {
            return Err(format!("only {} links came into Redis", keys(&redis)?).into());
        }
        asked += load(&first.url, "", SECONDS, Some((&script, asked)))?.requests as usize;
    }
    first.stop()?;
    let node = App::start(program, folder.path(), &database, redis.url(), None)?;
    let half = |seconds, from| load(&node.url, "", seconds, Some((HALF_COLD, from)));
    let warm = half(2, 0)?;
    let mut asked = warm.requests as usize / 2 + CONNECTIONS as usize;
    let before = half(SECONDS, asked)?;
    asked += before.requests as usize / 2 + CONNECTIONS as usize;
    redis.pause();
    let during = half(SECONDS, asked);
    redis.resume();
    let during = during?;
    asked += during.requests as usize / 2;
    let said = node.stop()?;
    println!(
        "Redis paused for {SECONDS} s: {:.0} redirects/s before, {:.0} meanwhile, none failed; median {:.2} ms before, \
         {:.2} ms meanwhile ({:.2}); the app: {said}",
        before.per_second,
        during.per_second,
        before.median_millis,
        during.median_millis,
        during.median_millis / before.median_millis,
    );
    if asked > COLD {
        return Err(format!("{asked} cold links were asked for, more than the {COLD} that there are").into());
    }
    if during.median_millis > 2.0 * before.median_millis {
        return Err("the median more than doubled".into());
    }
    Ok(())
}

/// How many keys Redis has.
fn keys(redis: &Redis) -> Result<usize> {
    let output = Command::new("redis-cli").args(["-u", redis.url(), "DBSIZE"]).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// What wrk found.
struct Load {
    requests: u64,
    per_second: f64,
    median_millis: f64,
}

/// Loads an address with one thread and 64 connections. An answer that is no redirect is an error.
fn load(url: &str, path: &str, seconds: u32, script: Option<(&str, usize)>) -> Result<Load> {
    let mut wrk = Command::new("wrk");
    wrk.args(["-t1", &format!("-c{CONNECTIONS}"), "--latency", &format!("-d{seconds}s")]);
    let file = tempfile::NamedTempFile::new()?;
    if let Some((script, _)) = script {
        std::fs::write(file.path(), script)?;
        wrk.arg("-s").arg(file.path());
    }
    wrk.arg(format!("{url}{path}"));
    if let Some((_, from)) = script {
        wrk.arg("--").arg(from.to_string());
    }
    let report = String::from_utf8(wrk.output()?.stdout)?;
    parse(&report).ok_or_else(|| format!("wrk reported:\n{report}").into())
}

/// Nothing when the report is unclear or tells of a failure.
fn parse(report: &str) -> Option<Load> {
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return None;
    }
    let field = |name: &str| report.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    let requests = report.lines().find(|line| line.contains(" requests in "))?.split_whitespace().next()?;
    Some(Load {
        requests: requests.parse().ok()?,
        per_second: field("Requests/sec:")?.parse().ok()?,
        median_millis: millis(field("50%")?)?,
    })
}

/// A time as wrk writes it: `812.00us`, `1.43ms`, `2.00s`.
fn millis(time: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)];
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((time.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// The example. Killed when it is dropped.
struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl App {
    fn start(program: &str, folder: &Path, database: &str, redis: &str, spool: Option<&str>) -> Result<Self> {
        let mut child = Command::new(std::path::absolute(program)?)
            .current_dir(folder)
            .env("LINKLY_ADDR", "127.0.0.1:0")
            .env("DATABASE_URL", database)
            .env("REDIS_URL", redis)
            .env("RUST_LOG", "error")
            .envs(spool.map(|file| ("LINKLY_SPOOL", file)))
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("the app has no output")?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let url = first.strip_prefix("listening on ").ok_or_else(|| format!("the app said {first:?}"))?.to_owned();
        Ok(Self { child, lines, url })
    }

    /// Stops it with SIGTERM, and answers with what it said.
    fn stop(mut self) -> Result<String> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        let said: Vec<String> = self.lines.by_ref().collect::<std::io::Result<_>>()?;
        self.child.wait()?;
        Ok(said.join("; "))
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

    #[test]
    fn a_report_is_read_and_a_failure_is_not_overlooked() {
        let report = "     50%  549.00us\n  1012345 requests in 10.00s, 110.05MB read\nRequests/sec: 101234.50\n";
        let load = parse(report).unwrap();
        assert_eq!((load.requests, load.per_second, load.median_millis), (1_012_345, 101_234.5, 0.549));
        assert!(parse(&format!("{report}  Non-2xx or 3xx responses: 3\n")).is_none());
        assert!(parse(&format!("{report}  Socket errors: connect 0, read 1, write 0, timeout 0\n")).is_none());
        assert!(parse("").is_none());
        assert_eq!(millis("2.00s"), Some(2_000.0));
    }
}
