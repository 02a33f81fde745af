//! A ratio that holds on a busy machine.

use std::fmt;
use std::time::Duration;

/// Two operations measured by turns in short slices, so that whatever else the machine does slows both.
#[derive(Clone, Copy, Debug)]
pub struct Paired {
    /// The median slice of the raw operation.
    pub raw: Duration,
    /// The median slice of the other.
    pub other: Duration,
    /// The median over the pairs of neighbouring slices, the other by the raw.
    pub ratio: f64,
}

impl Paired {
    /// Measures so many pairs of slices; each is told its number.
    pub fn measure(pairs: usize, raw: impl Fn(usize) -> Duration, other: impl Fn(usize) -> Duration) -> Self {
        let slices: Vec<(Duration, Duration)> = (0..pairs).map(|n| (raw(n), other(n))).collect();
        let ratio = |(raw, other): &(Duration, Duration)| other.as_secs_f64() / raw.as_secs_f64();
        Self {
            raw: median(slices.iter().map(|slice| slice.0).collect(), Duration::cmp),
            other: median(slices.iter().map(|slice| slice.1).collect(), Duration::cmp),
            ratio: median(slices.iter().map(ratio).collect(), f64::total_cmp),
        }
    }

    /// The same for one of the `calls` of a slice.
    pub fn per(self, calls: u64) -> Self {
        let per = |slice: Duration| slice.div_f64(calls as f64);
        Self { raw: per(self.raw), other: per(self.other), ..self }
    }
}

impl fmt::Display for Paired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "raw {:?}, {:?}, ratio {:.2}", self.raw, self.other, self.ratio)
    }
}

fn median<T: Copy>(mut values: Vec<T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> T {
    values.sort_by(order);
    values[values.len() / 2]
}
