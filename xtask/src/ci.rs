//! `cargo xtask ci`: everything a change must pass, in order, stopping at the first failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::packages::{Package, Workspace};
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
    if let Some(home) = cargo_home() {
        forget_unpacked(&home.join("registry/src"), &ci.workspace)?;
    }
    // The working tree is what is checked, committed or not.
    Cmd::cargo("package").args(names).args(["--allow-dirty"]).run()
}

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Cargo takes the packages from each other by a registry in the target folder, whose name begins with `-` where
/// it unpacks them. What an earlier run unpacked there, of the same version but older, it would take again.
fn forget_unpacked(sources: &Path, workspace: &Workspace) -> Result {
    let failed = |path: &Path, error| Failure::new(format!("{}: {error}", path.display()));
    let Ok(registries) = fs::read_dir(sources) else { return Ok(()) };
    for registry in registries.filter_map(std::result::Result::ok) {
        if !registry.file_name().to_string_lossy().starts_with('-') {
            continue;
        }
        for unpacked in fs::read_dir(registry.path()).map_err(|error| failed(&registry.path(), error))? {
            let unpacked = unpacked.map_err(|error| failed(&registry.path(), error))?;
            let name = unpacked.file_name();
            let is_ours = |package: &Package| is_release_of(&name.to_string_lossy(), &package.name);
            if workspace.packages.iter().any(is_ours) {
                fs::remove_dir_all(unpacked.path()).map_err(|error| failed(&unpacked.path(), error))?;
            }
        }
    }
    Ok(())
}

/// Whether a folder's name is the package's with a version.
fn is_release_of(folder: &str, package: &str) -> bool {
    let version = folder.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
    version.is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
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
    fn a_release_is_told_from_those_of_longer_names() {
        assert!(is_release_of("linkly-core-0.1.0", "linkly-core"));
        assert!(
            !is_release_of("linkly-core-extra-0.1.0", "linkly-core") && !is_release_of("linkly-core", "linkly-core")
        );
    }

    #[test]
    fn the_readme_s_command_comes_last() {
        let (name, _) = STEPS.last().expect("there are steps");
        assert_eq!(*name, "the README's test command");
    }
}
