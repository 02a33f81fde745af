//! `cargo xtask ci`: everything a change must pass, in order, stopping at the first failure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::feature_set::FeatureSet;
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
    for packages in unlinked(&ci.workspace) {
        Cmd::cargo("clippy").args(packages).args(["--all-targets", "--", "-D", "warnings"]).run()?;
    }
    Ok(())
}

fn documentation(ci: &Ci) -> Result {
    for packages in unlinked(&ci.workspace) {
        Cmd::cargo("doc").args(packages).args(["--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").run()?;
    }
    Ok(())
}

/// The arguments for every package and feature set where nothing is linked: those that turn everything on are one
/// invocation, which compiles what they have in common once.
fn unlinked(workspace: &Workspace) -> Vec<Vec<String>> {
    let (mut everything, mut others) = (vec!["--all-features".to_owned()], Vec::new());
    for package in &workspace.packages {
        let named = ["-p".to_owned(), package.name.clone()];
        for features in &package.feature_sets {
            match features {
                FeatureSet::All => everything.extend(named.clone()),
                FeatureSet::Only(_) => others.push([named.to_vec(), features.args()].concat()),
            }
        }
    }
    if everything.len() > 1 {
        others.insert(0, everything);
    }
    others
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
    forget(&ci.workspace.target.join("debug/.fingerprint"), &ci.workspace)?;
    // The working tree is what is checked, committed or not.
    Cmd::cargo("package").args(names).args(["--allow-dirty"]).run()
}

fn cargo_home() -> Option<PathBuf> {
    let home = || Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"));
    std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// Cargo takes the packages from each other by a registry in the target folder, whose name begins with `-` where
/// it unpacks them. What an earlier run unpacked and built of the same version, it takes again: what comes from a
/// registry does not change.
fn forget_unpacked(sources: &Path, workspace: &Workspace) -> Result {
    for registry in folders(sources)? {
        if registry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('-')) {
            forget(&registry, workspace)?;
        }
    }
    Ok(())
}

/// Removes what is in a folder by the name of one of our packages and a version or a hash.
fn forget(folder: &Path, workspace: &Workspace) -> Result {
    for path in folders(folder)? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if workspace.packages.iter().any(|package| is_of(&name, &package.name)) {
            fs::remove_dir_all(&path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
        }
    }
    Ok(())
}

/// What is in a folder, nothing where there is none.
fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(path) else { return Ok(Vec::new()) };
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<std::io::Result<_>>().map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// Whether a folder's name is the package's with a version or a hash behind it.
fn is_of(folder: &str, package: &str) -> bool {
    let rest = folder.strip_prefix(package).and_then(|rest| rest.strip_prefix('-'));
    rest.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) || is_hash(rest))
}

fn is_hash(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
    use crate::packages::Package;

    #[test]
    fn durations_are_shown_in_seconds_then_in_minutes() {
        assert_eq!(shown(Duration::from_millis(1_250)), "1.2 s");
        assert_eq!(shown(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn packages_that_turn_everything_on_are_one_invocation() {
        let package = |name: &str, feature_sets| Package { feature_sets, ..Package::empty(name) };
        let local = FeatureSet::Only(vec!["local".to_owned()]);
        let mut workspace = Workspace {
            root: PathBuf::new(),
            target: PathBuf::new(),
            packages: vec![
                package("a", vec![FeatureSet::All]),
                package("b", vec![local]),
                package("c", vec![FeatureSet::All]),
            ],
        };
        let shown = |workspace: &Workspace| -> Vec<String> {
            unlinked(workspace).iter().map(|arguments| arguments.join(" ")).collect()
        };
        assert_eq!(shown(&workspace), ["--all-features -p a -p c", "-p b --no-default-features --features local"]);
        workspace.packages.retain(|package| package.name == "b");
        assert_eq!(shown(&workspace), ["-p b --no-default-features --features local"]);
    }

    #[test]
    fn what_is_of_a_package_is_told_from_what_is_of_one_with_a_longer_name() {
        assert!(is_of("linkly-core-0.1.0", "linkly-core") && is_of("linkly-core-0123456789abcdef", "linkly-core"));
        assert!(!is_of("linkly-core-extra-0.1.0", "linkly-core") && !is_of("linkly-core", "linkly-core"));
    }

    #[test]
    fn the_readme_s_command_comes_last() {
        let (name, _) = STEPS.last().expect("there are steps");
        assert_eq!(*name, "the README's test command");
    }
}
