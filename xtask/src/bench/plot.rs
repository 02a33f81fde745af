//! Plots beside the report.

use std::error::Error;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::figures::Figure;
use super::report::time;
use crate::process::{Failure, Result};

/// One line of a plot: what it is called and its points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Operations that several backends have, by group and case.
const OPERATIONS: &[(&str, &str)] = &[
    ("resolve", "miss"),
    ("resolve", "miss, 64 tasks, uniform"),
    ("create", "one"),
    ("create", "1,000"),
    ("record", "1"),
    ("record", "1,000, uniform"),
    ("stats", "totals"),
];

/// The time of an operation, by backend.
pub(crate) fn latency(path: &Path, figures: &[Figure]) -> Result {
    let mut backends: Vec<&str> = figures.iter().map(|figure| figure.backend.as_str()).collect();
    backends.dedup();
    let points = |backend: &str| -> Vec<(f64, f64)> {
        let place = |figure: &Figure| {
            let known = |(group, case): &(&str, &str)| figure.group == *group && figure.case == *case;
            Some((OPERATIONS.iter().position(known)? as f64, figure.ours))
        };
        figures.iter().filter(|figure| figure.backend == backend).filter_map(place).collect()
    };
    let series: Vec<Series> = backends.iter().map(|backend| ((*backend).to_owned(), points(backend))).collect();
    let series: Vec<Series> = series.into_iter().filter(|(_, points)| !points.is_empty()).collect();
    let name = |place: &f64| {
        let operation = (place.fract() == 0.0 && *place >= 0.0).then(|| OPERATIONS.get(*place as usize)).flatten();
        operation.map_or(String::new(), |(group, case)| format!("{group}: {}", case.trim_end_matches(", uniform")))
    };
    drawn(path, dots(path, "Time of an operation (an element of a batch), by backend", &series, &name))
}

/// Hits a second by how many tasks ask, of each cache and of its driver alone.
pub(crate) fn concurrency(path: &Path, figures: &[Figure]) -> Result {
    let mut series: Vec<Series> = Vec::new();
    for figure in figures {
        let Some(tasks) = figure.case.strip_prefix("hit, zipf, ").and_then(|tasks| tasks.parse::<f64>().ok()) else {
            continue;
        };
        for (name, nanos) in [(figure.backend.clone(), figure.ours), (format!("{}, raw", figure.backend), figure.raw)] {
            let point = (tasks, 1e9 / nanos);
            match series.iter_mut().find(|known| known.0 == name) {
                Some((_, points)) => points.push(point),
                None => series.push((name, vec![point])),
            }
        }
    }
    let rate = |rate: &f64| if *rate >= 1e6 { format!("{} M/s", rate / 1e6) } else { format!("{} k/s", rate / 1e3) };
    lines(path, "Hits a second, by the number of tasks", "tasks", &series, &|tasks| format!("{tasks:.0}"), &rate)
}

/// Lines on two logarithmic axes.
pub(crate) fn lines(
    path: &Path,
    title: &str,
    x: &str,
    series: &[Series],
    x_label: &dyn Fn(&f64) -> String,
    y_label: &dyn Fn(&f64) -> String,
) -> Result {
    let draw = || -> std::result::Result<(), Box<dyn Error>> {
        let root = SVGBackend::new(path, (900, 520)).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d(
                with_legend(span(series, |point| point.0, 1.0)).log_scale(),
                span(series, |point| point.1, 1.5).log_scale(),
            )?;
        let mesh = &mut chart.configure_mesh();
        mesh.x_desc(x).x_label_formatter(x_label).y_label_formatter(y_label).light_line_style(WHITE).draw()?;
        for (place, (name, points)) in series.iter().enumerate() {
            let color = Palette99::pick(place).stroke_width(2);
            let line = chart.draw_series(LineSeries::new(points.iter().copied(), color).point_size(3))?;
            line.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
        root.present()?;
        Ok(())
    };
    drawn(path, draw())
}

/// Dots above names, on a logarithmic axis of time.
fn dots(
    path: &Path,
    title: &str,
    series: &[Series],
    name: &dyn Fn(&f64) -> String,
) -> std::result::Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1_100, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.5..OPERATIONS.len() as f64 + 0.5, span(series, |point| point.1, 2.0).log_scale())?;
    let mesh = &mut chart.configure_mesh();
    // The last place is the legend's.
    mesh.x_labels(OPERATIONS.len() + 1).x_label_formatter(name).y_label_formatter(&|nanos| time(*nanos));
    mesh.light_line_style(WHITE).draw()?;
    for (place, (name, points)) in series.iter().enumerate() {
        let color = Palette99::pick(place).filled();
        // Beside each other where their times are the same.
        let aside = |x: f64| x + (place as f64 - series.len() as f64 / 2.0) * 0.05;
        let dots = chart.draw_series(points.iter().map(|(x, y)| Circle::new((aside(*x), *y), 5, color)))?;
        dots.label(name).legend(move |(x, y)| Circle::new((x + 9, y), 5, color));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).draw()?;
    root.present()?;
    Ok(())
}

/// With two fifths of a logarithmic axis more, for the legend.
fn with_legend(span: Range<f64>) -> Range<f64> {
    span.start..span.end * (span.end / span.start).powf(2.0 / 3.0)
}

/// From below the least to above the most.
fn span(series: &[Series], of: fn(&(f64, f64)) -> f64, room: f64) -> Range<f64> {
    let all = || series.iter().flat_map(|(_, points)| points).map(of);
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
    if least < most { least / room..most * room } else { most.max(1.0) / 2.0..most.max(1.0) * 2.0 }
}

fn drawn(path: &Path, result: std::result::Result<(), Box<dyn Error>>) -> Result {
    result.map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::super::figures::figure;
    use super::*;

    fn written(draw: impl Fn(&Path) -> Result) -> String {
        let path = std::env::temp_dir().join(format!("linkly-plot-{:?}.svg", std::thread::current().id()));
        draw(&path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        svg
    }

    #[test]
    fn a_plot_names_what_it_shows() {
        let figures = [figure("sqlite", "create/one", 0.5), figure("postgres", "resolve/miss", 0.5)];
        let svg = written(|path| latency(path, &figures));
        for name in ["sqlite", "postgres", "create: one", "resolve: miss"] {
            assert!(svg.contains(name), "{name}: {svg}");
        }
        let figures = [figure("redis", "resolve/hit, zipf, 1", 0.5), figure("redis", "resolve/hit, zipf, 64", 0.5)];
        let svg = written(|path| concurrency(path, &figures));
        assert!(svg.contains("redis, raw") && svg.contains("tasks"), "{svg}");
    }
}
