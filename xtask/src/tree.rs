//! What a package pulls in, as `cargo tree` tells it.

use std::collections::BTreeSet;

use crate::feature_set::FeatureSet;
use crate::packages::Package;
use crate::process::{Cmd, Result};

/// The names of all crates that one build of a package pulls in, itself included. `edges` are
/// cargo tree's kinds of dependencies: `normal`, `build`, `dev`.
pub(crate) fn crates(package: &Package, features: &FeatureSet, edges: &str) -> Result<BTreeSet<String>> {
    let output = Cmd::cargo("tree")
        .args(["-p", &package.name, "-e", edges, "--prefix", "none"])
        .args(features.args())
        .output()?;
    Ok(parse(&output))
}

/// Lines are `name v1.2.3 (…)`, one per edge.
fn parse(tree: &str) -> BTreeSet<String> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_crate_is_named_once() {
        let tree = "\
store v0.1.0 (/w/store)
async-trait v0.1.92 (proc-macro)
syn v3.0.9
syn v3.0.9 (*)

libsqlite3-sys v0.37.0
";
        let crates: Vec<_> = parse(tree).into_iter().collect();
        assert_eq!(crates, ["async-trait", "libsqlite3-sys", "store", "syn"]);
    }
}
