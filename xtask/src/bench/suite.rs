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

/// A backend: what its figures call it, and which benchmark it is.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    package: &'static [&'static str],
    bench: &'static str,
}

const BENCHES: &[&str] = &["-p", "linkly-benches"];
/// Not linkable beside sqlx's SQLite, so in its own package.
const LOCAL: &[&str] = &["-p", "linkly-store-libsql", "--no-default-features", "--features", "local"];

const fn backend(name: &'static str, package: &'static [&'static str], bench: &'static str) -> Backend {
    Backend { name, package, bench }
}

pub(crate) const BACKENDS: &[Backend] = &[
    backend("memory", BENCHES, "memory"),
    backend("tiered", BENCHES, "tiered"),
    backend("redis", BENCHES, "redis"),
    backend("sqlite", BENCHES, "sqlite"),
    backend("libsql file", LOCAL, "local"),
    backend("libsql server", BENCHES, "libsql"),
    backend("postgres", BENCHES, "postgres"),
    backend("spool", BENCHES, "spool"),
    backend("stream", BENCHES, "stream"),
];

/// The names of all backends.
pub(crate) fn names() -> Vec<&'static str> {
    BACKENDS.iter().map(|backend| backend.name).collect()
}

/// The backends whose name begins with one of `only`, which commas are between; all without.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<&'static Backend>> {
    let chosen: Vec<_> = BACKENDS
        .iter()
        .filter(|backend| only.is_none_or(|only| only.split(',').any(|only| backend.name.starts_with(only))))
        .collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!("no backend {:?}, there are: {}", only.unwrap_or(""), names().join(", "))));
    }
    Ok(chosen)
}

/// Builds them, so that no compiler runs beside the first that is measured, and those of a package at once.
pub(crate) fn build(backends: &[&Backend]) -> Result {
    for package in [BENCHES, LOCAL] {
        let benches: Vec<_> = backends.iter().filter(|backend| backend.package == package).collect();
        if !benches.is_empty() {
            let benches = benches.iter().flat_map(|backend| ["--bench", backend.bench]);
            Cmd::cargo("bench").args(package.iter().copied()).args(benches).args(["--no-run"]).run()?;
        }
    }
    Ok(())
}

/// Runs one and reads what it measured.
pub(crate) fn measure(backend: &Backend, size: Size, target: &Path) -> Result<Vec<Figure>> {
    let folder = target.join("bench");
    let path = folder.join("figures.tsv");
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(&path, "").map_err(failed)?;
    Cmd::cargo("bench")
        .args(backend.package.iter().copied())
        .args(["--bench", backend.bench])
        .env("LINKLY_BENCH_SIZE", size.name())
        .env("LINKLY_BENCH_FIGURES", path.display().to_string())
        .run()?;
    let figures = figures::parse(&fs::read_to_string(&path).map_err(failed)?)?;
    if figures.is_empty() || figures.iter().any(|figure| figure.backend != backend.name) {
        return Err(Failure::new(format!("{} did not measure {} alone", backend.bench, backend.name)));
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_chosen_by_how_its_name_begins() {
        let names = |only| -> Vec<&str> { chosen(only).unwrap().iter().map(|backend| backend.name).collect() };
        assert_eq!(names(Some("libsql")), ["libsql file", "libsql server"]);
        assert_eq!(names(Some("sqlite,sp")), ["sqlite", "spool"]);
        assert_eq!(names(None).len(), BACKENDS.len());
        assert!(chosen(Some("oracle")).unwrap_err().to_string().contains("there are: memory, tiered"));
    }
}
