//! What a ratio may not fall below.

use std::fs;
use std::path::Path;

use super::figures::Figure;
use crate::process::{Failure, Result};

/// A figure, and the least that its ratio may be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Floor {
    pub(crate) backend: String,
    /// `group/case`.
    pub(crate) name: String,
    pub(crate) least: f64,
    pub(crate) aim: Option<Aim>,
}

/// More than the floor, which is aimed at, and why it may be missed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aim {
    pub(crate) ratio: f64,
    pub(crate) because: String,
}

/// Reads a file of floors: a table for each backend, a key for each figure.
pub(crate) fn read(path: &Path) -> Result<Vec<Floor>> {
    let text = fs::read_to_string(path).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    parse(&text).map_err(|failure| Failure::new(format!("{}: {failure}", path.display())))
}

fn parse(text: &str) -> Result<Vec<Floor>> {
    let tables: toml::Table = text.parse().map_err(|error| Failure::new(format!("{error}")))?;
    let mut floors = Vec::new();
    for (backend, figures) in tables {
        let figures = figures.as_table().ok_or_else(|| Failure::new(format!("{backend} is no table of floors")))?;
        for (name, value) in figures {
            let (least, aim) = floor(value).ok_or_else(|| {
                Failure::new(format!("{backend}: {name:?} is no ratio, nor {{ least, aim, because }}"))
            })?;
            floors.push(Floor { backend: backend.clone(), name: name.clone(), least, aim });
        }
    }
    Ok(floors)
}

/// `0.8`, or `{ least = 0.4, aim = 0.5, because = "..." }`.
fn floor(value: &toml::Value) -> Option<(f64, Option<Aim>)> {
    let ratio = |value: &toml::Value| value.as_float().filter(|ratio| *ratio > 0.0);
    let Some(parts) = value.as_table() else { return Some((ratio(value)?, None)) };
    let because = parts.get("because")?.as_str()?.to_owned();
    let (least, aim) = (ratio(parts.get("least")?)?, ratio(parts.get("aim")?)?);
    (parts.len() == 3 && least < aim).then_some((least, Some(Aim { ratio: aim, because })))
}

/// The floor of a figure.
pub(crate) fn of<'a>(floors: &'a [Floor], figure: &Figure) -> Option<&'a Floor> {
    floors.iter().find(|floor| floor.backend == figure.backend && floor.name == figure.name())
}

/// Every figure that is below its floor, and every floor of a backend that was measured which has no figure.
pub(crate) fn check(floors: &[Floor], figures: &[Figure], measured: &[&str]) -> Result {
    let mut problems = Vec::new();
    for floor in floors.iter().filter(|floor| measured.contains(&floor.backend.as_str())) {
        let Floor { backend, name, least, .. } = floor;
        match figures.iter().find(|figure| figure.backend == *backend && figure.name() == *name) {
            None => problems.push(format!("{backend}, {name}: has a floor, and was not measured")),
            Some(Figure { ratio, .. }) if ratio < least => {
                problems.push(format!("{backend}, {name}: {ratio:.2} of the raw speed, at least {least:.2} is asked"));
            }
            Some(_) => {}
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::super::figures::figure;
    use super::*;

    const FLOORS: &str = "[sqlite]\n\"record/1,000\" = 0.8\n\"create/1,000\" = 0.8\n[redis]\n\"resolve/hit\" = 0.6\n";

    fn problems(figures: &[Figure], measured: &[&str]) -> String {
        check(&parse(FLOORS).unwrap(), figures, measured).expect_err("must fail").to_string()
    }

    #[test]
    fn a_ratio_under_its_floor_fails_and_is_named() {
        let figures = [figure("sqlite", "record/1,000", 0.79), figure("sqlite", "create/1,000", 0.8)];
        assert_eq!(
            problems(&figures, &["sqlite"]),
            "sqlite, record/1,000: 0.79 of the raw speed, at least 0.80 is asked"
        );
    }

    #[test]
    fn a_floor_that_names_no_measured_figure_fails() {
        let figures = [figure("sqlite", "record/1,000", 0.9), figure("redis", "create/1,000", 0.9)];
        assert_eq!(problems(&figures, &["sqlite"]), "sqlite, create/1,000: has a floor, and was not measured");
    }

    #[test]
    fn only_what_was_measured_is_checked() {
        let figures = [figure("redis", "resolve/hit", 0.61), figure("redis", "resolve/other", 0.01)];
        check(&parse(FLOORS).unwrap(), &figures, &["redis"]).unwrap();
    }

    #[test]
    fn a_floor_that_is_no_ratio_is_refused() {
        for text in [
            "sqlite = 1.0",
            "[sqlite]\n\"a/b\" = \"fast\"",
            "[sqlite]\n\"a/b\" = -1.0",
            "[sqlite]\n\"a/b\" = { least = 0.4, aim = 0.5 }",
            "[sqlite]\n\"a/b\" = { least = 0.6, aim = 0.5, because = \"of that\" }",
            "[sqlite",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_aim_is_read_with_its_reason() {
        let floors = parse("[sqlite]\n\"a/b\" = { least = 0.4, aim = 0.5, because = \"of that\" }").unwrap();
        assert_eq!((floors[0].least, &floors[0].aim), (0.4, &Some(Aim { ratio: 0.5, because: "of that".to_owned() })));
    }

    #[test]
    fn the_floors_beside_the_report_can_be_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/floors.toml");
        assert!(!read(&path).unwrap().is_empty());
    }
}
