//! `cargo xtask test`: every package's tests, each package in a cargo invocation of its own.
//!
//! One invocation for several packages would unify their features, turn libsql's bundled SQLite on
//! beside sqlx's and fail to link.

use crate::counts::Counts;
use crate::packages::{Package, Workspace};
use crate::process::{Cmd, Failure, Result};
use crate::selection::Selection;
use crate::setup;

/// What came of one package's tests.
#[derive(Debug)]
struct Report {
    package: String,
    counts: Counts,
    /// Commands that failed though no test of theirs did: they did not compile, or crashed.
    broken: Vec<String>,
}

/// Sets up, tests, prints a summary and, as the last line, the total.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result {
    let selection = Selection::parse(args)?;
    let packages = selection.of(&workspace.packages)?;
    setup::run(workspace, setup::Purpose::Test)?;
    let mut reports = Vec::new();
    for package in packages {
        reports.push(test(package, &selection.rest)?);
    }
    let (total, problems) = verdict(&reports);
    println!("\n{}", summary(&reports));
    for problem in &problems {
        println!("{problem}");
    }
    println!("{total}");
    if problems.is_empty() {
        return Ok(());
    }
    Err(Failure::new("the tests did not pass"))
}

fn test(package: &Package, rest: &[String]) -> Result<Report> {
    let mut report = Report { package: package.name.clone(), counts: Counts::default(), broken: Vec::new() };
    for command in commands(package, rest) {
        let mut counts = Counts::default();
        let ended_well = command.watch(|line| {
            if let Some(result) = Counts::parse(line) {
                counts += result;
            }
        })?;
        if !ended_well && counts.failed == 0 {
            counts.failed = 1;
            report.broken.push(command.to_string());
        }
        report.counts += counts;
    }
    Ok(report)
}

/// The invocations that test one package. `cargo test` alone runs the library's tests, the
/// binaries', the test files and the doctests, but only compiles examples: theirs run on their own.
fn commands(package: &Package, rest: &[String]) -> Vec<Cmd> {
    let mut commands = Vec::new();
    for features in &package.feature_sets {
        let base = || Cmd::cargo("test").args(["-p", &package.name, "--no-fail-fast"]).args(features.args());
        commands.push(base().args(rest.iter().cloned()));
        if rest.is_empty() && !package.examples.is_empty() {
            commands.push(base().args(["--examples"]));
        }
    }
    commands
}

/// The total, and each reason why it is not a success.
fn verdict(reports: &[Report]) -> (Counts, Vec<String>) {
    let mut total = Counts::default();
    let mut problems = Vec::new();
    for report in reports {
        total += report.counts;
        for command in &report.broken {
            problems.push(format!("`{command}` failed without a failed test (it counts as one)"));
        }
    }
    if total.skipped > 0 {
        problems.push("an ignored test counts as a failure: run it or remove it".to_owned());
    }
    if total.failed > 0 {
        problems.push("there are failed tests".to_owned());
    }
    if total.ran() == 0 {
        problems.push("no test ran at all".to_owned());
    }
    (total, problems)
}

fn summary(reports: &[Report]) -> String {
    let width = reports.iter().map(|report| report.package.len()).max();
    let width = width.unwrap_or_default();
    let line = |report: &Report| format!("{:width$}  {}\n", report.package, report.counts);
    reports.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_set::FeatureSet;

    fn package(examples: &[&str], feature_sets: Vec<FeatureSet>) -> Package {
        Package { examples: strings(examples), feature_sets, ..Package::empty("store") }
    }

    fn report(passed: u64, failed: u64, skipped: u64) -> Report {
        let counts = Counts { passed, failed, skipped };
        Report { package: "store".to_owned(), counts, broken: Vec::new() }
    }

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(ToString::to_string).collect()
    }

    fn shown(commands: &[Cmd]) -> Vec<String> {
        commands.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_feature_set_is_an_invocation_and_so_are_the_examples() {
        let one = FeatureSet::Only(strings(&["local"]));
        assert_eq!(
            shown(&commands(&package(&["tour"], vec![FeatureSet::All]), &[])),
            [
                "cargo test -p store --no-fail-fast --all-features",
                "cargo test -p store --no-fail-fast --all-features --examples",
            ]
        );
        let filtered = commands(&package(&["tour"], vec![FeatureSet::All, one]), &strings(&["lease"]));
        assert_eq!(
            shown(&filtered),
            [
                "cargo test -p store --no-fail-fast --all-features lease",
                "cargo test -p store --no-fail-fast --no-default-features --features local lease",
            ]
        );
    }

    #[test]
    fn passed_tests_alone_are_a_success() {
        let (total, problems) = verdict(&[report(3, 0, 0), report(0, 0, 0)]);
        assert_eq!(total.to_string(), "3 passed, 0 failed, 0 skipped");
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn a_failed_an_ignored_and_no_test_at_all_are_failures() {
        assert_eq!(verdict(&[report(3, 1, 0)]).1, ["there are failed tests"]);
        assert!(verdict(&[report(3, 0, 1)]).1[0].starts_with("an ignored test counts"));
        assert_eq!(verdict(&[report(0, 0, 0)]).1, ["no test ran at all"]);
        assert_eq!(verdict(&[]).1, ["no test ran at all"]);
    }
}
