//! Figures as the benchmarks write them: a line of tabs for each.

use std::fs;
use std::path::Path;

use crate::process::{Failure, Result};

/// An operation of ours beside the raw one, in the same run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) backend: String,
    pub(crate) group: String,
    pub(crate) case: String,
    /// Nanoseconds an element.
    pub(crate) raw: f64,
    pub(crate) ours: f64,
    /// Our share of the raw operation's speed.
    pub(crate) ratio: f64,
}

impl Figure {
    /// What a floor calls it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.group, self.case)
    }

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [backend, group, case, raw, ours, ratio] = fields.as_slice() else {
            return None;
        };
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
        Some(Self {
            backend: (*backend).to_owned(),
            group: (*group).to_owned(),
            case: (*case).to_owned(),
            raw: number(raw)?,
            ours: number(ours)?,
            ratio: number(ratio)?,
        })
    }

    fn line(&self) -> String {
        let Self { backend, group, case, raw, ours, ratio } = self;
        format!("{backend}\t{group}\t{case}\t{raw:.1}\t{ours:.1}\t{ratio:.4}\n")
    }
}

/// Reads the lines of a run.
pub(crate) fn parse(text: &str) -> Result<Vec<Figure>> {
    let figure = |line| Figure::parse(line).ok_or_else(|| Failure::new(format!("no figure: {line:?}")));
    text.lines().map(figure).collect()
}

/// The figures of an earlier run; none where there was none.
pub(crate) fn read(path: &Path) -> Result<Vec<Figure>> {
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(|failure| Failure::new(format!("{}: {failure}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
    }
}

/// `old` with the figures of each backend that was measured again replaced, in the order of `backends`.
pub(crate) fn replaced(old: Vec<Figure>, new: &[Figure], backends: &[&str]) -> Vec<Figure> {
    let kept = old.into_iter().filter(|old| !new.iter().any(|new| new.backend == old.backend));
    let mut all: Vec<Figure> = kept.chain(new.iter().cloned()).collect();
    all.sort_by_key(|figure| backends.iter().position(|backend| *backend == figure.backend));
    all
}

/// All figures, as they are kept.
pub(crate) fn lines(figures: &[Figure]) -> String {
    figures.iter().map(Figure::line).collect()
}

#[cfg(test)]
pub(crate) fn figure(backend: &str, name: &str, ratio: f64) -> Figure {
    let (group, case) = name.split_once('/').expect("group/case");
    let (backend, group, case) = (backend.to_owned(), group.to_owned(), case.to_owned());
    Figure { backend, group, case, raw: 1_000.0 * ratio, ours: 1_000.0, ratio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_written_back() {
        let line = "sqlite\tresolve\tmiss, 64 tasks, zipf\t4340.0\t4270.5\t1.0200\n";
        let figures = parse(line).unwrap();
        assert_eq!(figures[0].name(), "resolve/miss, 64 tasks, zipf");
        assert_eq!((figures[0].raw, figures[0].ours, figures[0].ratio), (4_340.0, 4_270.5, 1.02));
        assert_eq!(lines(&figures), line);
    }

    #[test]
    fn a_line_that_is_none_fails_and_is_shown() {
        for line in ["sqlite\tresolve\tmiss\t1\t2", "sqlite\tresolve\tmiss\t1\t2\tNaN", "sqlite\ta\tb\t0\t1\t1", ""] {
            let failure = parse(&format!("{line}\n")).expect_err(line).to_string();
            assert!(failure.contains(&format!("{line:?}")), "{failure}");
        }
    }

    #[test]
    fn a_backend_that_is_measured_again_replaces_its_figures_alone() {
        let old = vec![figure("redis", "resolve/hit", 0.5), figure("sqlite", "a/b", 0.1), figure("sqlite", "c/d", 0.1)];
        let all = replaced(old, &[figure("sqlite", "a/b", 0.9)], &["sqlite", "redis"]);
        assert_eq!(all, [figure("sqlite", "a/b", 0.9), figure("redis", "resolve/hit", 0.5)]);
    }
}
