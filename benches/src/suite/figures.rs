//! What was measured, and where it goes.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::Duration;

/// Neighbouring slices of the raw operation and of ours.
#[derive(Debug, Default)]
pub(super) struct Slices(Vec<(Duration, Duration)>);

/// The medians over slices, in nanoseconds an element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Median {
    pub(super) raw: f64,
    pub(super) ours: f64,
    /// Over the pairs, the raw by ours: our share of the raw operation's speed.
    pub(super) ratio: f64,
}

impl Slices {
    pub(super) fn push(&mut self, pair: (Duration, Duration)) {
        self.0.push(pair);
    }

    /// `None` where nothing was measured.
    pub(super) fn median(self, elements: u64) -> Option<Median> {
        if self.0.is_empty() {
            return None;
        }
        let of = |value: fn(&(Duration, Duration)) -> f64| {
            let mut values: Vec<f64> = self.0.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let per = |slice: f64| slice * 1e9 / elements as f64;
        Some(Median {
            raw: per(of(|pair| pair.0.as_secs_f64())),
            ours: per(of(|pair| pair.1.as_secs_f64())),
            ratio: of(|pair| pair.0.as_secs_f64() / pair.1.as_secs_f64()),
        })
    }
}

/// One figure of the report.
pub(super) struct Figure<'a> {
    pub(super) backend: &'a str,
    pub(super) group: &'a str,
    pub(super) case: &'a str,
    pub(super) median: Median,
}

impl Figure<'_> {
    /// Prints it, and adds it to the file that `LINKLY_BENCH_FIGURES` names: a line of tabs for `cargo xtask bench`.
    pub(super) fn publish(&self) {
        let Self { backend, group, case, median: Median { raw, ours, ratio } } = self;
        println!("{backend}/{group}/{case}: raw {raw:.0} ns, {ours:.0} ns, {ratio:.2} of the raw speed");
        let Some(path) = std::env::var_os("LINKLY_BENCH_FIGURES") else {
            return;
        };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let line = format!("{backend}\t{group}\t{case}\t{raw:.1}\t{ours:.1}\t{ratio:.4}\n");
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("LINKLY_BENCH_FIGURES can be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_and_not_the_pair_of_the_medians() {
        let millis = Duration::from_millis;
        let mut slices = Slices::default();
        // A machine that slows down from pair to pair.
        for pair in [(1, 2), (10, 20), (100, 400)] {
            slices.push((millis(pair.0), millis(pair.1)));
        }
        let median = Median { raw: 10_000_000.0, ours: 20_000_000.0, ratio: 0.5 };
        assert_eq!(slices.median(1), Some(median));
        assert_eq!(Slices::default().median(1), None);
    }
}
