//! The oldest Rust the workspace promises to build with.
//!
//! Only the toolchain at hand is used, so all checks build with that one. It is compared with the
//! promise; the promise is proved by a build only where the two are the same.

use crate::packages::{Package, Workspace};
use crate::process::{Cmd, Failure, Result};

/// A release of Rust: `1.95` is `[1, 95, 0]`.
type Release = [u32; 3];

/// Every package says the workspace's `rust-version`, and the toolchain at hand satisfies it.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let promised = promised(&workspace.packages)?;
    let version = Cmd::new("rustc").args(["--version"]).output()?;
    let at_hand = version
        .split_whitespace()
        .nth(1)
        .ok_or_else(|| Failure::new(format!("rustc does not say its version: {version:?}")))?;
    eprintln!("{}", compare(&promised, at_hand)?);
    Ok(())
}

/// The one `rust-version` that all packages say.
fn promised(packages: &[Package]) -> Result<String> {
    let mut promised: Option<&str> = None;
    for package in packages {
        let said = package.rust_version.as_deref().ok_or_else(|| {
            let name = &package.name;
            Failure::new(format!("{name} lacks `rust-version.workspace = true`"))
        })?;
        match promised {
            Some(first) if first != said => {
                return Err(Failure::new(format!(
                    "{} says rust-version {said}, {} says {first}: all must inherit the workspace's",
                    package.name, packages[0].name
                )));
            }
            _ => promised = Some(said),
        }
    }
    let promised = promised.ok_or_else(|| Failure::new("the workspace has no package"))?;
    Ok(promised.to_owned())
}

/// What the toolchain at hand says about the promise.
fn compare(promised: &str, at_hand: &str) -> Result<String> {
    let (wanted, found) = (release(promised)?, release(at_hand)?);
    if found < wanted {
        return Err(Failure::new(format!("rust-version {promised} is promised, but rustc {at_hand} is older")));
    }
    Ok(if found[..2] == wanted[..2] {
        format!("all packages promise Rust {promised}; rustc {at_hand} is that: every build here proves it")
    } else {
        format!("all packages promise Rust {promised}; rustc {at_hand} is newer: no build here proves it")
    })
}

/// Reads `1.95`, `1.95.0`, `1.97.0-nightly`.
fn release(text: &str) -> Result<Release> {
    let numbers = text.split('-').next().unwrap_or_default();
    let mut release = [0; 3];
    let mut parts = numbers.split('.');
    for (number, part) in release.iter_mut().zip(parts.by_ref()) {
        *number = part.parse().map_err(|_| Failure::new(format!("{text:?} is not a release of Rust")))?;
    }
    if parts.next().is_some() {
        return Err(Failure::new(format!("{text:?} is not a release of Rust")));
    }
    Ok(release)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, rust_version: Option<&str>) -> Package {
        Package { rust_version: rust_version.map(str::to_owned), ..Package::empty(name) }
    }

    #[test]
    fn releases_are_compared_as_numbers() {
        assert!(release("1.100").expect("a release") > release("1.95.2").expect("a release"));
        assert_eq!(release("1.97.0-nightly").expect("a release"), [1, 97, 0]);
        assert!(release("one.two").is_err());
        assert!(release("1.2.3.4").is_err());
    }

    #[test]
    fn an_older_toolchain_fails_and_a_newer_one_proves_nothing() {
        assert!(compare("1.95", "1.94.1").is_err());
        assert!(compare("1.95", "1.95.0").expect("the same").ends_with("proves it"));
        assert!(compare("1.95", "1.96.0").expect("newer").contains("no build here"));
    }

    #[test]
    fn packages_that_promise_nothing_or_something_else_are_named() {
        let core = || package("core", Some("1.95"));
        assert_eq!(promised(&[core(), core()]).expect("they agree"), "1.95");
        let none = promised(&[core(), package("cache", None)]).expect_err("cache says none");
        assert!(none.to_string().starts_with("cache lacks"), "{none}");
        let other = promised(&[core(), package("cache", Some("1.90"))]).expect_err("they differ");
        assert!(other.to_string().starts_with("cache says rust-version 1.90, core says 1.95"));
    }
}
