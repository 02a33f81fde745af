//! `cargo xtask soak`: an app under load is killed, again and again; then its memory must stay flat.

use crate::packages::Workspace;
use crate::process::{Cmd, Result};
use crate::setup;

const MINUTES: &str = "10";

/// Sets up, and hands the arguments on to the package that does it.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result {
    setup::run(workspace, setup::Purpose::Test)?;
    let minutes = args.iter().all(|arg| arg != "--minutes").then_some(["--minutes", MINUTES]);
    let args = args.iter().map(String::as_str);
    Cmd::cargo("run")
        .args(["--release", "-p", "linkly-soak", "--bin", "linkly-soak", "--"])
        .args(minutes.into_iter().flatten())
        .args(args)
        .run()?;
    Cmd::cargo("run").args(["--release", "-p", "linkly-soak", "--bin", "memory"]).run()
}
