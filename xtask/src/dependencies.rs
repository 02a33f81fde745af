//! What the core crate may not pull in: nobody who stores links in memory builds a database
//! driver or a TLS library.

use crate::feature_set::FeatureSet;
use crate::packages::Workspace;
use crate::process::{Failure, Result};
use crate::tree;

/// The crate that stays free of drivers, with every feature it has.
const CORE: &str = "linkly-core";

/// SQL, Redis and TLS crates; a `*` at the end stands for any rest.
const DENIED: &[&str] = &[
    "aws-lc*",
    "boring*",
    "deadpool*",
    "diesel*",
    "libsql*",
    "libsqlite3-sys",
    "mysql*",
    "native-tls*",
    "openssl*",
    "postgres*",
    "redis*",
    "ring",
    "rusqlite*",
    "rustls*",
    "schannel",
    "security-framework*",
    "sqlx*",
    "tokio-native-tls",
    "tokio-postgres*",
    "tokio-rustls",
    "webpki*",
];

/// Checks what the core crate is built from and prints it.
pub(crate) fn check(workspace: &Workspace) -> Result {
    let core = workspace
        .packages
        .iter()
        .find(|package| package.name == CORE)
        .ok_or_else(|| Failure::new(format!("the workspace has no package {CORE}")))?;
    let crates = tree::crates(core, &FeatureSet::All, "normal,build")?;
    let names: Vec<&str> = crates.iter().map(String::as_str).collect();
    eprintln!("{CORE} and what it is built from, {} crates in all: {}", names.len(), names.join(" "));
    let denied: Vec<&str> = names.into_iter().filter(|name| is_denied(name)).collect();
    if denied.is_empty() {
        eprintln!("none of them is for SQL, Redis or TLS");
        return Ok(());
    }
    let list = |name: &&str| format!("{name}: see `cargo tree -p {CORE} --all-features -i {name}`");
    Err(Failure::new(format!(
        "{CORE} pulls in crates for SQL, Redis or TLS:\n{}",
        denied.iter().map(list).collect::<Vec<_>>().join("\n")
    )))
}

fn is_denied(name: &str) -> bool {
    DENIED.iter().any(|denied| match denied.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *denied,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_and_tls_are_denied_by_name_or_prefix() {
        for name in ["sqlx", "sqlx-sqlite", "ring", "deadpool-postgres", "rustls-pki-types"] {
            assert!(is_denied(name), "{name}");
        }
    }

    #[test]
    fn names_that_only_resemble_them_are_not_denied() {
        for name in ["string", "stringprep", "ringbuf", "tokio", "url", "serde"] {
            assert!(!is_denied(name), "{name}");
        }
    }
}
