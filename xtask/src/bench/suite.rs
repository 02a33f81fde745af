//! The benchmarks of all backends.

use std::fs;
use std::path::Path;

use super::figures::{self, Figure};
use crate::process::{Cmd, Failure, Result};

/// How much is put in before it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Short,
    Full,
}

impl Size {
    fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Full => "full",
        }
    }
}

/// A backend: what its figures call it, and how its benchmark is run.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    args: &'static [&'static str],
}

const fn own(name: &'static str, args: &'static [&'static str]) -> Backend {
    Backend { name, args }
}

pub(crate) const BACKENDS: &[Backend] = &[
    own("memory", &["-p", "linkly-benches", "--bench", "memory"]),
    own("tiered", &["-p", "linkly-benches", "--bench", "tiered"]),
    own("redis", &["-p", "linkly-benches", "--bench", "redis"]),
    own("sqlite", &["-p", "linkly-benches", "--bench", "sqlite"]),
    own(
        "libsql file",
        &["-p", "linkly-store-libsql", "--no-default-features", "--features", "local", "--bench", "local"],
    ),
    own("libsql server", &["-p", "linkly-benches", "--bench", "libsql"]),
    own("postgres", &["-p", "linkly-benches", "--bench", "postgres"]),
    own("spool", &["-p", "linkly-benches", "--bench", "spool"]),
];

/// The names of all backends.
pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|backend| backend.name).collect()
}

/// The backends whose name begins with `only`; all without.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<&'static Backend>> {
    let chosen: Vec<_> =
        BACKENDS.iter().filter(|backend| only.is_none_or(|only| backend.name.starts_with(only))).collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!("no backend {:?}, there are: {}", only.unwrap_or(""), names().join(", "))));
    }
    Ok(chosen)
}

/// Runs them and reads what they measured.
pub(crate) fn measure(backends: &[&Backend], size: Size, target: &Path) -> Result<Vec<Figure>> {
    // Built before, so that no compiler runs beside the first.
    for backend in backends {
        Cmd::cargo("bench").args(backend.args.iter().copied()).args(["--no-run"]).run()?;
    }
    let folder = target.join("bench");
    let path = folder.join("figures.tsv");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(&path, "").map_err(failed)?;
    for backend in backends {
        Cmd::cargo("bench")
            .args(backend.args.iter().copied())
            .env("LINKLY_BENCH_SIZE", size.name())
            .env("LINKLY_BENCH_FIGURES", path.display().to_string())
            .run()?;
    }
    let figures = figures::parse(&fs::read_to_string(&path).map_err(failed)?)?;
    let silent = backends.iter().find(|backend| !figures.iter().any(|figure| figure.backend == backend.name));
    silent.map_or(Ok(figures), |silent| Err(Failure::new(format!("{} measured nothing", silent.name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_chosen_by_how_its_name_begins() {
        let names = |only| -> Vec<&str> { chosen(only).unwrap().iter().map(|backend| backend.name).collect() };
        assert_eq!(names(Some("libsql")), ["libsql file", "libsql server"]);
        assert_eq!(names(Some("sqlite")), ["sqlite"]);
        assert_eq!(names(None).len(), BACKENDS.len());
        assert!(chosen(Some("oracle")).unwrap_err().to_string().contains("there are: memory, tiered"));
    }
}
