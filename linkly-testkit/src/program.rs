//! Programs: where they are, and what to install when they are not.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::account::Account;

/// A program with its arguments, and whom it runs as.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// `None` for the user of this process.
    pub(crate) account: Option<Account>,
}

impl Program {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), args: Vec::new(), account: None }
    }

    pub(crate) fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn run_by(mut self, account: Option<Account>) -> Self {
        self.account = account;
        self
    }
}

/// Without the arguments: there may be a password among them.
impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// A program on the `PATH`, or where Debian puts servers, which the `PATH` of a user other than root
/// leaves out.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// The program, or a panic that says how to get it.
pub(crate) fn required(program: &str, package: &str) -> PathBuf {
    on_path(program).unwrap_or_else(|| {
        panic!("{program} is not on the PATH: run `cargo xtask setup`, or install it (on Debian: apt-get install {package})")
    })
}

/// The folder of Postgres's programs: Debian keeps them off the `PATH`, one folder for each major version.
pub(crate) fn postgres_folder() -> PathBuf {
    if let Some(postgres) = on_path("postgres") {
        // The others are beside the file itself, which may be linked to from elsewhere on its own.
        let postgres = postgres.canonicalize().expect("it was found");
        return postgres.parent().expect("it is in a folder").to_owned();
    }
    newest_version(Path::new("/usr/lib/postgresql")).unwrap_or_else(|| {
        panic!(
            "postgres is neither on the PATH nor in /usr/lib/postgresql/*/bin: run `cargo xtask setup`, or \
             install it (on Debian: apt-get install postgresql)"
        )
    })
}

fn newest_version(versions: &Path) -> Option<PathBuf> {
    let version = |name: OsString| name.to_str()?.parse::<u32>().ok();
    std::fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| version(entry.ok()?.file_name()))
        .map(|version| (version, versions.join(version.to_string()).join("bin")))
        .filter(|(_, folder)| folder.join("postgres").is_file())
        .max()
        .map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_newest_postgres_is_the_one_with_the_highest_number_that_has_a_server() {
        let versions = tempfile::tempdir().expect("a folder");
        for (version, program) in [("9", "postgres"), ("15", "postgres"), ("16", "psql"), ("common", "postgres")] {
            let bin = versions.path().join(version).join("bin");
            fs::create_dir_all(&bin).expect("a folder");
            fs::write(bin.join(program), "").expect("a file");
        }
        assert_eq!(newest_version(versions.path()), Some(versions.path().join("15/bin")));
        assert_eq!(newest_version(&versions.path().join("15")), None);
        assert_eq!(newest_version(&versions.path().join("absent")), None);
    }

    #[test]
    #[should_panic(expected = "no-such-server is not on the PATH: run `cargo xtask setup`, or install it (on Debian: \
                               apt-get install such-a-package)")]
    fn a_missing_program_is_asked_for_with_its_package() {
        required("no-such-server", "such-a-package");
    }
}
