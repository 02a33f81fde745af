//! `cargo xtask outage`: an example under load while a server that it needs is away.

use crate::packages::Workspace;
use crate::process::{Cmd, Result};
use crate::setup;

const EXAMPLE: &str = "axum_postgres_redis";

/// Sets up, builds the example, and has the soak's package do it.
pub(crate) fn run(workspace: &Workspace, args: &[String]) -> Result {
    setup::run(workspace, setup::Purpose::Bench)?;
    let example = ["--release", "-p", "linkly-examples", "--features", "redis", "--bin", EXAMPLE];
    Cmd::cargo("build").args(example).run()?;
    Cmd::cargo("run")
        .args(["--release", "-p", "linkly-soak", "--bin", "outage", "--", &format!("target/release/{EXAMPLE}")])
        .args(args.iter().map(String::as_str))
        .run()
}
