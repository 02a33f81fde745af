//! `cargo xtask bench growth`: what an operation costs at 100 thousand, a million and ten million links or clicks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::plot::{self, Series};
use super::report::time;
use super::suite::Size;
use crate::process::{Cmd, Failure, Result};

/// One line of the benchmark.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    backend: String,
    what: String,
    size: u64,
    /// Nanoseconds, or bytes where `what` says so.
    value: f64,
}

impl Point {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [backend, what, size, value] = fields.as_slice() else {
            return None;
        };
        let (size, value) = (size.parse().ok()?, value.parse().ok()?);
        Some(Self { backend: (*backend).to_owned(), what: (*what).to_owned(), size, value })
    }

    fn is_bytes(&self) -> bool {
        self.what.starts_with("bytes")
    }

    fn shown(&self) -> String {
        if self.is_bytes() { format!("{:.0}", self.value) } else { time(self.value) }
    }
}

/// The sizes of a run, where none are named.
pub(super) fn sizes(size: Size) -> &'static str {
    match size {
        Size::Short => "10000,100000",
        Size::Full => "100000,1000000,10000000",
    }
}

/// Measures at these sizes; the lines of it are to be kept.
pub(super) fn measure(sizes: &str, target: &Path) -> Result<String> {
    let path = target.join("bench/growth.tsv");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    fs::create_dir_all(target.join("bench")).map_err(failed)?;
    fs::write(&path, "").map_err(failed)?;
    Cmd::cargo("bench")
        .args(["-p", "linkly-benches", "--bench", "growth"])
        .env("LINKLY_BENCH_SIZES", sizes)
        .env("LINKLY_BENCH_FIGURES", path.display().to_string())
        .run()?;
    fs::read_to_string(&path).map_err(failed)
}

/// The section of the report, and its plot.
pub(super) fn report(kept: &str, plot: &Path) -> Result<String> {
    let points = parse(kept)?;
    plot::lines(
        plot,
        "Time of an operation, by the number of links and clicks",
        "links, and clicks",
        &lines(&points),
        &|size| thousands(*size as u64),
        &|nanos| time(*nanos),
    )?;
    Ok(section(&points))
}

fn parse(text: &str) -> Result<Vec<Point>> {
    let point = |line| Point::parse(line).ok_or_else(|| Failure::new(format!("no point: {line:?}")));
    text.lines().map(point).collect()
}

/// A line for each operation of each backend.
fn lines(points: &[Point]) -> Vec<Series> {
    let mut lines: Vec<Series> = Vec::new();
    for point in points.iter().filter(|point| !point.is_bytes()) {
        let (name, at) = (format!("{}, {}", point.backend, point.what), (point.size as f64, point.value));
        match lines.iter_mut().find(|line| line.0 == name) {
            Some(line) => line.1.push(at),
            None => lines.push((name, vec![at])),
        }
    }
    lines
}

fn section(points: &[Point]) -> String {
    let mut section = "\
## How cost grows

A store that grows, with as many clicks of one link as it has links. Each time is a median: of a write, or a miss, that
is made alone, and for other reads of 64 that are made at once, by the number of them. The last column is the largest
size by the smallest. Aimed at: a miss at most 1.3, statistics at most 1.2, and at most 160 bytes for a cached link
beyond its text.

Of misses that are made at once nobody waits for a thread or a server to wake, and what is left grows with the database:
each finds pages that no cache of the processor has, nor that of Postgres (128 MB), which asks the kernel. SQLite's own
look-up, below in one thread and without a store around it, grows as much. Statistics are one row of a table of one page
at any size: that time differs by a third between two measurements of the same database.

![Time of an operation by the number of links](growth.svg)
"
    .to_owned();
    let mut backends: Vec<&str> = points.iter().map(|point| point.backend.as_str()).collect();
    backends.dedup();
    for backend in backends {
        let own: Vec<&Point> = points.iter().filter(|point| point.backend == backend).collect();
        let mut sizes: Vec<u64> = own.iter().map(|point| point.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let heads: String = sizes.iter().map(|size| format!(" {} |", thousands(*size))).collect();
        let _ = write!(section, "\n### {backend}\n\n| |{heads} growth |\n|---|{}---|\n", "---|".repeat(sizes.len()));
        let mut names: Vec<&str> = Vec::new();
        for point in &own {
            if !names.contains(&point.what.as_str()) {
                names.push(&point.what);
            }
        }
        for name in names {
            let row: Vec<&&Point> = own.iter().filter(|point| point.what == name).collect();
            let at =
                |size: &u64| row.iter().find(|point| point.size == *size).map_or(String::new(), |point| point.shown());
            let cells: String = sizes.iter().map(|size| format!(" {} |", at(size))).collect();
            let growth = match row.as_slice() {
                [first, .., last] => format!("{:.2}", last.value / first.value),
                _ => String::new(),
            };
            let _ = writeln!(section, "| {name} |{cells} {growth} |");
        }
    }
    section
}

/// `1,000,000`.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "memory\tbytes for a cached link beyond its text\t1000000\t151.0\n\
                         sqlite\tresolve, a miss\t100000\t20000.0\nsqlite\tcreate\t100000\t300000.0\n\
                         sqlite\tresolve, a miss\t10000000\t25000.0\nsqlite\tcreate\t10000000\t330000.0\n";

    #[test]
    fn a_row_has_a_size_in_each_column_and_how_it_grew() {
        let section = section(&parse(LINES).unwrap());
        for row in [
            "\n| bytes for a cached link beyond its text | 151 |  |\n",
            "\n| | 100,000 | 10,000,000 | growth |\n|---|---|---|---|\n",
            "\n| resolve, a miss | 20.0 µs | 25.0 µs | 1.25 |\n",
        ] {
            assert!(section.contains(row), "{row}{section}");
        }
    }

    #[test]
    fn a_line_that_is_none_fails_and_is_shown() {
        assert!(parse("sqlite\tcreate\tmany\t1\n").unwrap_err().to_string().contains("many"));
    }

    #[test]
    fn what_is_bytes_is_not_among_the_times() {
        let names: Vec<String> = lines(&parse(LINES).unwrap()).into_iter().map(|line| line.0).collect();
        assert_eq!(names, ["sqlite, resolve, a miss", "sqlite, create"]);
    }
}
