//! Every published library builds without features, with its default ones and with each one alone:
//! a feature that leans on another without saying so is found here and not by a user.

use crate::packages::{Package, Workspace};
use crate::process::{Cmd, Result};

/// Checks all of them, warnings included: what is unused without a feature shows only here.
pub(crate) fn check(workspace: &Workspace) -> Result {
    for package in workspace.publishable().filter(|package| package.library) {
        for command in commands(package) {
            command.run()?;
        }
    }
    Ok(())
}

fn commands(package: &Package) -> Vec<Cmd> {
    // Clippy is `cargo check` that can be told to deny warnings without building the dependencies
    // anew, as a change of RUSTFLAGS would.
    let command = |args: &[&str]| {
        Cmd::cargo("clippy")
            .args(["-p", &package.name, "--lib"])
            .args(args.iter().copied())
            .args(["--", "-D", "warnings"])
    };
    let mut commands = vec![command(&["--no-default-features"]), command(&[])];
    for feature in &package.features {
        commands.push(command(&["--no-default-features", "--features", feature]));
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_feature_the_default_ones_and_each_one_alone() {
        let package = Package { features: vec!["memory".to_owned(), "redis".to_owned()], ..Package::empty("cache") };
        let shown: Vec<String> = commands(&package).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "cargo clippy -p cache --lib --no-default-features -- -D warnings",
                "cargo clippy -p cache --lib -- -D warnings",
                "cargo clippy -p cache --lib --no-default-features --features memory -- -D warnings",
                "cargo clippy -p cache --lib --no-default-features --features redis -- -D warnings",
            ]
        );
    }
}
