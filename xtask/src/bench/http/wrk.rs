//! Load, and what was seen of it.

use crate::process::{Cmd, Failure, Result};

/// Connections to a node.
pub(super) const CONNECTIONS: u64 = 64;

/// What a run of wrk has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    pub(super) p50_millis: f64,
    pub(super) p99_millis: f64,
}

/// Loads addresses at once, each with a thread and as many connections.
pub(super) fn load(urls: &[String], seconds: u32) -> Result<Seen> {
    let connections = CONNECTIONS / urls.len() as u64;
    let wrk = |url: &String| {
        let args = [format!("-c{connections}"), format!("-d{seconds}s"), url.clone()];
        parse(&Cmd::new("wrk").args(["-t1", "--latency"]).args(args).output()?)
    };
    let seen: Vec<Result<Seen>> = std::thread::scope(|scope| {
        let running: Vec<_> = urls.iter().map(|url| scope.spawn(move || wrk(url))).collect();
        let ended =
            running.into_iter().map(|running| running.join().unwrap_or_else(|_| Err(Failure::new("wrk: a panic"))));
        ended.collect()
    });
    let seen = seen.into_iter().collect::<Result<Vec<_>>>()?;
    let worst = |of: fn(&Seen) -> f64| seen.iter().map(of).fold(0.0, f64::max);
    Ok(Seen {
        requests: seen.iter().map(|seen| seen.requests).sum(),
        per_second: seen.iter().map(|seen| seen.per_second).sum(),
        p50_millis: worst(|seen| seen.p50_millis),
        p99_millis: worst(|seen| seen.p99_millis),
    })
}

fn parse(report: &str) -> Result<Seen> {
    let unclear = || Failure::new(format!("wrk reported:\n{report}"));
    if report.contains("Non-2xx") || report.contains("Socket errors") {
        return Err(unclear());
    }
    let field = |name: &str| report.lines().map(str::trim).find_map(|line| line.strip_prefix(name)).map(str::trim);
    let requests = report.lines().find(|line| line.contains(" requests in ")).and_then(|line| {
        let number = line.split_whitespace().next()?;
        number.parse().ok()
    });
    let seen = || {
        Some(Seen {
            requests: requests?,
            per_second: field("Requests/sec:")?.parse().ok()?,
            p50_millis: millis(field("50%")?)?,
            p99_millis: millis(field("99%")?)?,
        })
    };
    seen().ok_or_else(unclear)
}

/// A time as `wrk` writes it: `812.00us`, `1.43ms`, `2.00s`.
fn millis(time: &str) -> Option<f64> {
    let (number, factor) = [("us", 0.001), ("ms", 1.0), ("s", 1_000.0)]
        .iter()
        .find_map(|(unit, factor)| time.strip_suffix(unit).map(|number| (number, factor)))?;
    number.parse::<f64>().ok().map(|number| number * factor)
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
        let seen = Seen { requests: 1_012_345, per_second: 101_234.5, p50_millis: 0.549, p99_millis: 1.43 };
        assert_eq!(parse(REPORT).unwrap(), seen);
        assert!(parse(&format!("{REPORT}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(parse("").is_err());
        assert_eq!(millis("2.00s"), Some(2_000.0));
    }
}
