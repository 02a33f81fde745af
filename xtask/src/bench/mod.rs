//! `cargo xtask bench`: measures every backend beside its driver, and writes the report.

mod figures;
mod floors;
mod growth;
mod http;
mod machine;
mod minimal;
mod plot;
mod report;
mod suite;

use std::fs;
use std::path::{Path, PathBuf};

use crate::packages::Workspace;
use crate::process::{Failure, Result};
use crate::setup;
use figures::Figure;
use suite::Size;

/// Where among the kept figures it stands which machine each is of.
const MACHINES: &str = "machines.tsv";
/// And how operations grow.
const GROWTH: &str = "growth.tsv";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Subject {
    /// Every backend beside its driver.
    Suite,
    Http,
    Growth,
    /// Nothing: the report is written again from what was kept.
    Report,
}

/// What was asked for.
#[derive(Debug, PartialEq)]
struct Options {
    subject: Subject,
    size: Size,
    only: Option<String>,
    check: bool,
    /// Of `growth`.
    sizes: Option<String>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Self { subject: Subject::Suite, size: Size::Full, only: None, check: false, sizes: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "http" => options.subject = Subject::Http,
                "growth" => options.subject = Subject::Growth,
                "report" => options.subject = Subject::Report,
                "--short" => options.size = Size::Short,
                "--check" => options.check = true,
                "--only" => {
                    let backend = args.next().ok_or_else(|| Failure::new("--only is followed by a backend"))?;
                    options.only = Some(backend.clone());
                }
                "--sizes" => {
                    let sizes = args.next().filter(|sizes| sizes.split(',').all(|size| size.parse::<u64>().is_ok()));
                    let sizes = sizes.ok_or_else(|| Failure::new("--sizes is followed by numbers: 100000,1000000"))?;
                    options.sizes = Some(sizes.clone());
                }
                other => {
                    let known = "http, growth, report, --short, --only BACKEND, --check, --sizes N,N";
                    return Err(Failure::new(format!("bench knows {known}, and not {other:?}")));
                }
            }
        }
        Ok(options)
    }
}

/// Measures, then checks against the floors or writes the report.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result {
    let options = Options::parse(args)?;
    let backends = suite::chosen(options.only.as_deref())?;
    setup::run(workspace, setup::Purpose::Bench)?;
    let kept = folder().join("figures");
    match options.subject {
        Subject::Suite => {
            suite::build(&backends)?;
            let mut measured = Vec::new();
            for backend in &backends {
                let figures = suite::measure(backend, options.size, &workspace.target)?;
                if !options.check {
                    // After each, so that one which fails does not lose those before.
                    let path = kept.join("suite.tsv");
                    let all = figures::replaced(figures::read(&path)?, &figures, &suite::names());
                    write(&path, &figures::lines(&all))?;
                    keep_machine(&kept, &[backend.name])?;
                }
                measured.extend(figures);
            }
            if options.check {
                return check(&measured, &backends.iter().map(|backend| backend.name).collect::<Vec<_>>());
            }
        }
        Subject::Http => {
            let (section, figures) = http::measure(options.size)?;
            if options.check {
                return check(&figures, &[http::BACKEND]);
            }
            write(&kept.join("http.md"), &section)?;
            keep_machine(&kept, &["http"])?;
        }
        Subject::Report => {}
        Subject::Growth => {
            let sizes = options.sizes.as_deref().unwrap_or(growth::sizes(options.size));
            write(&kept.join(GROWTH), &growth::measure(sizes, &workspace.target)?)?;
            keep_machine(&kept, &["growth"])?;
            write(&kept.join("minimal.md"), &minimal::measure(&workspace.root, &workspace.target)?)?;
            keep_machine(&kept, &["minimal"])?;
        }
    }
    write_report()
}

fn check(figures: &[Figure], measured: &[&str]) -> Result {
    floors::check(&floors::read(&folder().join("floors.toml"))?, figures, measured)?;
    println!("{} figures, none below its floor", figures.len());
    Ok(())
}

/// Notes that these were measured on this machine.
fn keep_machine(kept: &Path, names: &[&str]) -> Result {
    let path = kept.join(MACHINES);
    let mut machines = machine::read(&path)?;
    machines.extend(names.iter().map(|name| ((*name).to_owned(), machine::this())));
    write(&path, &machine::lines(&machines))
}

/// Writes the report from the figures of the last runs.
fn write_report() -> Result {
    let folder = folder();
    let figures = figures::read(&folder.join("figures/suite.tsv"))?;
    let floors = floors::read(&folder.join("floors.toml"))?;
    plot::latency(&folder.join("latency.svg"), &figures)?;
    plot::concurrency(&folder.join("concurrency.svg"), &figures)?;
    // Those that were measured, in this order.
    let kept = folder.join("figures");
    let text = |name: &str| fs::read_to_string(kept.join(name)).ok();
    let growth = text(GROWTH).map(|kept| growth::report(&kept, &folder.join("growth.svg"))).transpose()?;
    let sections = [("http", text("http.md")), ("growth", growth), ("minimal", text("minimal.md"))];
    let sections: Vec<(&str, String)> = sections.into_iter().filter_map(|(name, text)| Some((name, text?))).collect();
    let machines = machine::read(&kept.join(MACHINES))?;
    let report = report::render(&machine::versions()?, &machines, &figures, &floors, &sections);
    write(&folder.join("REPORT.md"), &report)
}

/// Where the report is, from the workspace's root.
fn folder() -> PathBuf {
    PathBuf::from("benches")
}

fn write(path: &Path, text: &str) -> Result {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options> {
        Options::parse(&args.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_any_order() {
        let all = Options { subject: Subject::Suite, size: Size::Full, only: None, check: false, sizes: None };
        assert_eq!(parse(&[]).unwrap(), all);
        let some = Options { size: Size::Short, only: Some("sqlite".to_owned()), check: true, ..parse(&[]).unwrap() };
        assert_eq!(parse(&["--check", "--only", "sqlite", "--short"]).unwrap(), some);
        let http = Options { subject: Subject::Http, size: Size::Short, ..parse(&[]).unwrap() };
        assert_eq!(parse(&["http", "--short"]).unwrap(), http);
        let growth = parse(&["growth", "--sizes", "10,20"]).unwrap();
        assert_eq!((growth.subject, growth.sizes.as_deref()), (Subject::Growth, Some("10,20")));
    }

    #[test]
    fn what_it_does_not_know_is_refused() {
        assert!(parse(&["--only"]).unwrap_err().to_string().contains("followed by a backend"));
        assert!(parse(&["growth", "--sizes", "many"]).unwrap_err().to_string().contains("followed by numbers"));
        assert!(parse(&["--fast"]).unwrap_err().to_string().contains("--short, --only BACKEND, --check"));
    }
}
