//! Licences, bans and sources of all dependencies, by cargo-deny and the rules in `deny.toml`.

use std::path::Path;

use crate::packages::Workspace;
use crate::process::{self, Cmd, Failure, Result};

/// The release that is installed where there is none; `deny.toml` is written for it.
const RELEASE: &str = "0.20.2";

/// Runs the checks. Advisories come from a repository that not every machine reaches, so they are
/// checked only on request.
pub(crate) fn check(workspace: &Workspace, advisories: bool) -> Result {
    let program = cargo_deny(&workspace.target.join("tools"))?;
    let mut checks = vec!["licenses", "bans", "sources"];
    if advisories {
        checks.push("advisories");
    }
    Cmd::new(program).args(["check"]).args(checks).run()
}

/// cargo-deny from the `PATH` or from `tools`, where it is installed once (about a minute: it runs for three
/// seconds, so it is not worth an optimised build).
fn cargo_deny(tools: &Path) -> Result<String> {
    if process::find("cargo-deny").is_some() {
        return Ok("cargo-deny".to_owned());
    }
    let own = tools.join("bin/cargo-deny");
    let own = utf8(&own)?;
    if !Path::new(own).is_file() {
        Cmd::cargo("install")
            .args(["cargo-deny", "--debug", "--locked", "--version", RELEASE])
            .args(["--root", utf8(tools)?])
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .run()?;
    }
    Ok(own.to_owned())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| Failure::new(format!("{} is not UTF-8", path.display())))
}
