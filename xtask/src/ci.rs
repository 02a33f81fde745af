//! `cargo xtask ci`: everything a change must pass, in order, stopping at the first failure.

use std::time::{Duration, Instant};

use crate::packages::Workspace;
use crate::process::{Cmd, Failure, Result};
use crate::{benches, deny, dependencies, features, linking, readme, setup, toolchain};

/// What the steps work on.
struct Ci {
    workspace: Workspace,
    advisories: bool,
}

type Step = (&'static str, fn(&Ci) -> Result);

/// Cheap checks first, then those that build more and more.
const STEPS: &[Step] = &[
    ("set-up", |ci| setup::run(&ci.workspace, setup::Purpose::Test)),
    ("format", |_| Cmd::cargo("fmt").args(["--all", "--check"]).run()),
    ("clippy", clippy),
    ("documentation", documentation),
    ("features, each alone", |ci| features::check(&ci.workspace)),
    ("linking", |ci| linking::check(&ci.workspace)),
    ("the core's dependencies", |ci| dependencies::check(&ci.workspace)),
    ("oldest Rust", |ci| toolchain::check(&ci.workspace)),
    ("benchmarks, once", |ci| benches::check(&ci.workspace)),
    ("licences, bans, sources", |ci| deny::check(&ci.workspace, ci.advisories)),
    ("packages", packages),
    ("the README's test command", |ci| readme::test(&ci.workspace.root)),
];

/// Runs the steps.
pub(crate) fn run(workspace: Workspace, advisories: bool) -> Result {
    let ci = Ci { workspace, advisories };
    let started = Instant::now();
    for (index, (name, step)) in STEPS.iter().enumerate() {
        eprintln!("\n=== {} of {}: {name}", index + 1, STEPS.len());
        let step_started = Instant::now();
        let outcome = step(&ci);
        let took = shown(step_started.elapsed());
        if let Err(failure) = outcome {
            return Err(Failure::new(format!("{failure}\n=== {name}: FAILED after {took}")));
        }
        eprintln!("=== {name}: passed in {took}");
    }
    eprintln!("\n=== everything passed in {}", shown(started.elapsed()));
    Ok(())
}

fn clippy(ci: &Ci) -> Result {
    for package in &ci.workspace.packages {
        for features in &package.feature_sets {
            Cmd::cargo("clippy")
                .args(["-p", &package.name, "--all-targets"])
                .args(features.args())
                .args(["--", "-D", "warnings"])
                .run()?;
        }
    }
    Ok(())
}

fn documentation(ci: &Ci) -> Result {
    for package in &ci.workspace.packages {
        for features in &package.feature_sets {
            Cmd::cargo("doc")
                .args(["-p", &package.name, "--no-deps"])
                .args(features.args())
                .env("RUSTDOCFLAGS", "-D warnings")
                .run()?;
        }
    }
    Ok(())
}

/// All in one invocation: cargo then takes those not yet published from each other. Each is built
/// from its own archive, so a file that was left out of it is found.
fn packages(ci: &Ci) -> Result {
    let names: Vec<&str> = ci.workspace.publishable().flat_map(|package| ["-p", &package.name]).collect();
    if names.is_empty() {
        return Err(Failure::new("the workspace has nothing to publish"));
    }
    // The working tree is what is checked, committed or not.
    Cmd::cargo("package").args(names).args(["--allow-dirty"]).run()
}

fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_seconds_then_in_minutes() {
        assert_eq!(shown(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(shown(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn the_readme_s_command_comes_last() {
        let (name, _) = STEPS.last().expect("there are steps");
        assert_eq!(*name, "the README's test command");
    }
}
