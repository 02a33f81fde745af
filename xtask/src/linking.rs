//! `cargo xtask linking`: the check of the linking rule.
//!
//! libsql's `core` bundles an SQLite of its own with the same `sqlite3_*` symbols as sqlx's, so a
//! binary that uses both does not link. Therefore no library names both, and no build of a library
//! pulls both in. A package without a library may have binaries for either: cargo hands a binary
//! only what it uses, and the linker itself judges each of them.

use std::collections::BTreeSet;

use crate::packages::{Package, Workspace};
use crate::process::{Failure, Result};
use crate::tree;

/// The drivers that no library names together.
const DRIVERS: [&str; 2] = ["sqlx", "libsql"];
/// The bundled SQLites that no build of a library holds together.
const BUNDLED: [&str; 2] = ["libsqlite3-sys", "libsql-ffi"];

/// Checks every package and each of its feature sets.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let mut broken = Vec::new();
    for package in &workspace.packages {
        if !package.library {
            eprintln!("{}: no library, the linker judges its binaries", package.name);
            continue;
        }
        broken.extend(names_both_drivers(package));
        for features in &package.feature_sets {
            // Development dependencies too: they are linked into its tests.
            let crates = tree::crates(package, features, "normal,build,dev")?;
            if holds_both(&crates) {
                broken.push(format!(
                    "{name} with {args} pulls in both {} and {}: see `cargo tree -p {name} {args} \
                     -i libsql-ffi`; its test-features can keep them in builds of their own",
                    BUNDLED[0],
                    BUNDLED[1],
                    name = package.name,
                    args = features.args().join(" "),
                ));
            }
        }
    }
    if broken.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("the linking rule is broken:\n{}", broken.join("\n"))))
}

fn names_both_drivers(package: &Package) -> Option<String> {
    let both = DRIVERS.iter().all(|driver| package.dependencies.contains(*driver));
    both.then(|| format!("{} names both {} and {}", package.name, DRIVERS[0], DRIVERS[1]))
}

fn holds_both(crates: &BTreeSet<String>) -> bool {
    BUNDLED.iter().all(|bundled| crates.contains(*bundled))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_library_that_names_both_drivers_is_named() {
        let naming = |drivers: &[&str]| Package { dependencies: set(drivers), ..Package::empty("store") };
        assert_eq!(names_both_drivers(&naming(&["sqlx", "libsqlx"])), None);
        assert_eq!(
            names_both_drivers(&naming(&["libsql", "serde", "sqlx"])).as_deref(),
            Some("store names both sqlx and libsql")
        );
    }

    #[test]
    fn one_bundled_sqlite_is_fine_two_are_not() {
        assert!(!holds_both(&set(&["sqlx", "libsqlite3-sys", "libsql"])));
        assert!(!holds_both(&set(&["libsql", "libsql-ffi"])));
        assert!(holds_both(&set(&["libsql-ffi", "serde", "libsqlite3-sys"])));
    }
}
