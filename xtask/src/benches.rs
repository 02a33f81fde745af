//! Benchmarks are compiled and each is run once, so that none rots; figures are not taken here.

use crate::feature_set::FeatureSet;
use crate::packages::{Package, Workspace};
use crate::process::{Cmd, Result};

/// Runs the benchmarks of every package that has some.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let commands: Vec<Cmd> = workspace.packages.iter().flat_map(commands).collect();
    if commands.is_empty() {
        eprintln!("no package has benchmarks");
    }
    commands.iter().try_for_each(Cmd::run)
}

/// `--profile dev`, since whether a benchmark runs at all does not depend on optimisation: tests use
/// the same build, where the optimised one would be a second of every dependency that nothing else
/// uses (for criterion alone 2.2 times as long).
fn commands(package: &Package) -> Vec<Cmd> {
    if package.benches.is_empty() {
        return Vec::new();
    }
    let command = |features: &FeatureSet| {
        Cmd::cargo("bench")
            .args(["-p", &package.name, "--profile", "dev"])
            .args(features.args())
            // Those whose features the set has. Their packages set `bench = false` for the library, whose test
            // harness does not know criterion's flags.
            .args(["--benches"])
            .args(["--", "--test"])
    };
    package.feature_sets.iter().map(command).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_benchmarks_are_run_each_of_them_once() {
        assert!(commands(&Package::empty("core")).is_empty());
        let benches = Package { benches: vec!["hit".to_owned(), "miss".to_owned()], ..Package::empty("benches") };
        let shown: Vec<String> = commands(&benches).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["cargo bench -p benches --profile dev --all-features --benches -- --test"]);
    }
}
