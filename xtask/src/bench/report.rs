//! The report: tables, and where the plots stand in it.

use std::fmt::Write as _;

use super::figures::Figure;
use super::floors::{self, Floor};
use super::machine::Machines;

/// What it begins with.
const INTRODUCTION: &str = "\
# What each backend costs

Written by `cargo xtask bench`; do not edit. Each row was measured beside the raw operation, the driver alone doing the
same work with the same columns and the same durability, in turns of some milliseconds. What carries over to another
machine is the last column but one, our share of the raw operation's speed: 1.00 is as fast, 0.50 takes twice the
time. Below its floor `cargo xtask bench --check` fails. How it is measured, and what the figures do not say, is in
[README.md](README.md).
";

/// The whole of it.
pub(crate) fn render(
    versions: &str,
    machines: &Machines,
    figures: &[Figure],
    floors: &[Floor],
    sections: &[(&str, String)],
) -> String {
    let mut report = format!("{INTRODUCTION}\n{versions}\n");
    let on = |name: &str| machines.get(name).map_or(String::new(), |machine| format!("\nMeasured on {machine}.\n"));
    if !figures.is_empty() {
        report.push_str("\n![Time of an operation by backend](latency.svg)\n");
        report.push_str("\n![Hits a second by the number of tasks](concurrency.svg)\n");
    }
    let mut backends: Vec<&str> = figures.iter().map(|figure| figure.backend.as_str()).collect();
    backends.dedup();
    for backend in backends {
        let _ = write!(report, "\n## {backend}\n\n{}", table(backend, figures, floors));
        report.push_str(&missed(backend, figures, floors));
        report.push_str(&on(backend));
    }
    for (name, section) in sections {
        let _ = write!(report, "\n{}\n{}", section.trim_end(), on(name));
    }
    report
}

fn table(backend: &str, figures: &[Figure], floors: &[Floor]) -> String {
    let mut table = "| | raw | linkly | of the raw speed | floor |\n|---|---|---|---|---|\n".to_owned();
    for figure in figures.iter().filter(|figure| figure.backend == backend) {
        let floor = floors::of(floors, figure).map_or(String::new(), |floor| format!("{:.2}", floor.least));
        let Figure { raw, ours, ratio, .. } = figure;
        let (name, raw, ours) = (figure.name().replacen('/', ": ", 1), time(*raw), time(*ours));
        let _ = writeln!(table, "| {name} | {raw} | {ours} | {ratio:.2} | {floor} |");
    }
    table
}

/// What is below its aim, and why.
fn missed(backend: &str, figures: &[Figure], floors: &[Floor]) -> String {
    let mut lines = String::new();
    for figure in figures.iter().filter(|figure| figure.backend == backend) {
        let aim = floors::of(floors, figure).and_then(|floor| floor.aim.as_ref());
        if let Some(aim) = aim.filter(|aim| figure.ratio < aim.ratio) {
            let (name, ratio) = (figure.name().replacen('/', ": ", 1), aim.ratio);
            let _ = write!(lines, "\n- {name}: {ratio:.2} is aimed at. {}", aim.because);
        }
    }
    if lines.is_empty() { lines } else { lines + "\n" }
}

/// Three digits, in the unit that suits them.
pub(crate) fn time(nanos: f64) -> String {
    let (number, unit) = match nanos {
        ..1e3 => (nanos, "ns"),
        ..1e6 => (nanos / 1e3, "µs"),
        ..1e9 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    match number {
        ..10.0 => format!("{number:.2} {unit}"),
        ..100.0 => format!("{number:.1} {unit}"),
        _ => format!("{number:.0} {unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::figure;
    use super::*;
    use crate::bench::floors::Aim;

    #[test]
    fn a_row_has_both_times_the_ratio_and_its_floor() {
        let figures = [figure("sqlite", "resolve/miss, 64 tasks", 0.5), figure("redis", "resolve/hit, 1", 2.0)];
        let aim = Some(Aim { ratio: 0.6, because: "It is slow.".into() });
        let floors = [Floor { backend: "sqlite".into(), name: "resolve/miss, 64 tasks".into(), least: 0.4, aim }];
        let machines = Machines::from([("redis".into(), "a machine".into()), ("http".into(), "another".into())]);
        let report = render("- a version", &machines, &figures, &floors, &[("http", "## Over HTTP\n".to_owned())]);
        assert!(report.contains("\n- a version\n"), "{report}");
        assert!(report.contains("\n## sqlite\n\n| | raw |"), "{report}");
        assert!(report.contains("\n| resolve: miss, 64 tasks | 500 ns | 1.00 µs | 0.50 | 0.40 |\n"), "{report}");
        assert!(report.contains("|\n\n- resolve: miss, 64 tasks: 0.60 is aimed at. It is slow.\n"), "{report}");
        assert!(report.contains("\n## redis\n"), "{report}");
        assert!(
            report.contains("\n| resolve: hit, 1 | 2.00 µs | 1.00 µs | 2.00 |  |\n\nMeasured on a machine.\n"),
            "{report}"
        );
        assert!(report.ends_with("\n## Over HTTP\n\nMeasured on another.\n"), "{report}");
    }

    #[test]
    fn times_have_three_digits() {
        let times = [4.0, 33.25, 999.4, 4_340.0, 1_159_000.0, 2.5e9].map(time);
        assert_eq!(times, ["4.00 ns", "33.2 ns", "999 ns", "4.34 µs", "1.16 ms", "2.50 s"]);
    }
}
