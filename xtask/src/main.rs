//! The workspace's own commands, run as `cargo xtask <command>`.
//!
//! One file per subject: [`setup`] installs what the tests need, [`test`](mod@test) runs them
//! package by package, [`ci`] is every check a change must pass, in order. What they share is
//! [`packages`] (what the workspace consists of), [`tree`] (what a package pulls in) and
//! [`process`] (commands that are shown before they run).

mod bench;
mod benches;
mod ci;
mod counts;
mod deny;
mod dependencies;
mod feature_set;
mod features;
mod linking;
mod outage;
mod packages;
mod process;
mod readme;
mod selection;
mod setup;
mod soak;
mod sqld;
mod test;
mod toolchain;
mod tree;

use std::process::ExitCode;

use packages::Workspace;
use process::{Failure, Result};

const USAGE: &str = "\
cargo xtask <command>

  setup [--bench]      install what the tests (and, on request, the benchmarks) need; Debian only,
                       elsewhere it says what to install
  test [cargo args]    set up, then run every package's tests, one cargo invocation per package;
                       `-p NAME` picks packages, the rest goes to cargo test
  ci [--advisories]    everything a change must pass, in order, stopping at the first failure;
                       advisories need the network's advisory database, so only on request
  linking              no package may link both sqlx's and libsql's SQLite
  soak [--minutes N]   kills an app under load, again and again, and compares its clicks with what it
                       acknowledged; 10 minutes by default, further arguments go to linkly-soak
  bench [--short] [--only BACKEND] [--check]
                       every backend beside its driver alone, into benches/REPORT.md; with --check
                       nothing is written, and a ratio below its floor in benches/floors.toml fails
  bench http [--short] [--check]
                       the examples under load, in turn with the bare framework and with the way it is
                       written by hand, and their rows counted
  bench growth [--short] [--sizes N,N]
                       operations at ever more links and clicks, bytes, and a minimal app of each backend
  bench report         writes the report again from what was measured before
  outage [SECONDS]     an example under load while Postgres is stopped, so long (10), and while Redis is paused
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match command(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn command(args: &[String]) -> Result {
    let Some((name, rest)) = args.split_first() else {
        return Err(Failure::new(format!("say which command\n\n{USAGE}")));
    };
    match name.as_str() {
        "setup" => {
            let purpose = if flag(rest, "--bench")? { setup::Purpose::Bench } else { setup::Purpose::Test };
            setup::run(&at_root()?, purpose)
        }
        "test" => test::run(&at_root()?, rest),
        "ci" => {
            let advisories = flag(rest, "--advisories")?;
            ci::run(at_root()?, advisories)
        }
        "linking" => {
            no_more(rest)?;
            linking::check(&at_root()?)
        }
        "soak" => soak::run(&at_root()?, rest),
        "bench" => bench::run(&at_root()?, rest),
        "outage" => outage::run(&at_root()?, rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        unknown => Err(Failure::new(format!("no command {unknown:?}\n\n{USAGE}"))),
    }
}

/// The workspace around the current directory; the commands that follow run at its root.
fn at_root() -> Result<Workspace> {
    let workspace = Workspace::load()?;
    std::env::set_current_dir(&workspace.root).map_err(|error| {
        let root = workspace.root.display();
        Failure::new(format!("cannot change to the workspace's root {root}: {error}"))
    })?;
    Ok(workspace)
}

/// Whether the only argument there may be is there.
fn flag(args: &[String], name: &str) -> Result<bool> {
    match args {
        [] => Ok(false),
        [only] if only == name => Ok(true),
        _ => Err(Failure::new(format!("only {name} may follow, not {:?}\n\n{USAGE}", args.join(" ")))),
    }
}

fn no_more(args: &[String]) -> Result {
    if args.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("nothing may follow, not {:?}\n\n{USAGE}", args.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure_of(args: &[&str]) -> String {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        command(&args).expect_err("must be refused").to_string()
    }

    #[test]
    fn no_command_and_an_unknown_command_are_refused_with_the_usage() {
        assert!(failure_of(&[]).contains("cargo xtask <command>"));
        let unknown = failure_of(&["tset"]);
        assert!(unknown.starts_with("no command \"tset\""), "{unknown}");
        assert!(unknown.contains("linking"), "{unknown}");
    }

    #[test]
    fn an_unknown_flag_is_refused_before_anything_runs() {
        assert!(failure_of(&["setup", "--benhc"]).starts_with("only --bench may follow"));
        assert!(failure_of(&["ci", "fast"]).starts_with("only --advisories may follow"));
        assert!(failure_of(&["linking", "x"]).starts_with("nothing may follow"));
    }
}
