//! Which packages the caller of `cargo xtask test` wants, and what goes on to cargo.

use crate::packages::Package;
use crate::process::{Failure, Result};

/// The caller's arguments: which packages (none: all), and what goes on to cargo.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    packages: Vec<String>,
    pub(crate) rest: Vec<String>,
}

impl Selection {
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut packages = Vec::new();
        let mut rest = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--" => {
                    rest.push(arg.clone());
                    rest.extend(args.by_ref().cloned());
                }
                "-p" | "--package" => packages
                    .push(args.next().ok_or_else(|| Failure::new(format!("{arg} needs a package's name")))?.clone()),
                "--workspace" | "--all" | "--exclude" => {
                    return Err(Failure::new(format!(
                        "{arg} would test packages in one invocation, which cannot link; \
                         without it all are tested, one after the other"
                    )));
                }
                _ => match ["--package=", "-p"].iter().find_map(|p| arg.strip_prefix(p)) {
                    Some(name) => packages.push(name.to_owned()),
                    None => rest.push(arg.clone()),
                },
            }
        }
        Ok(Self { packages, rest })
    }

    /// The packages it picks, in the order they have.
    pub(crate) fn of<'a>(&self, all: &'a [Package]) -> Result<Vec<&'a Package>> {
        let unknown = self.packages.iter().find(|name| !all.iter().any(|package| package.name == **name));
        if let Some(name) = unknown {
            return Err(Failure::new(format!("the workspace has no package {name:?}")));
        }
        let picked = |package: &&Package| self.packages.is_empty() || self.packages.contains(&package.name);
        Ok(all.iter().filter(picked).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn packages_are_picked_and_the_rest_goes_to_cargo() {
        let parsed =
            Selection::parse(&strings(&["lease", "-p", "store", "--package=core", "-pstore", "--", "-p", "other"]));
        let parsed = parsed.expect("it is well-formed");
        assert_eq!(parsed.packages, ["store", "core", "store"]);
        assert_eq!(parsed.rest, ["lease", "--", "-p", "other"]);
        let none_picked = Selection::parse(&[]).expect("it is well-formed");
        let all = [Package::empty("core"), Package::empty("store")];
        assert_eq!(parsed.of(&all).expect("it is there").len(), 2);
        assert_eq!(none_picked.of(&all).expect("all of them").len(), 2);
    }

    #[test]
    fn testing_several_packages_at_once_and_unknown_packages_are_refused() {
        assert!(Selection::parse(&strings(&["--workspace"])).is_err());
        assert!(Selection::parse(&strings(&["-p"])).is_err());
        let unknown = Selection::parse(&strings(&["-p", "stroe"])).expect("it is well-formed");
        let failure = unknown.of(&[]).expect_err("there is none");
        assert_eq!(failure.to_string(), "the workspace has no package \"stroe\"");
    }
}
