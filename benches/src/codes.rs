//! Which codes are asked for.

use std::fmt;

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

const CODE_BYTES: usize = 7;
const DRAWS: usize = 1 << 18;

/// How often which code is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// All equally often: the hardest on the processor's caches.
    Uniform,
    /// The n-th most popular 1/n as often as the first, as links are.
    Zipf,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf",
        })
    }
}

/// A long series of requests for some of `n` codes.
///
/// Their text lies in the order it is asked for, as a request has just brought it in: fetching it must
/// not be measured.
#[derive(Clone, Debug)]
pub struct Codes {
    text: String,
}

impl Codes {
    /// The codes themselves, each once, the popular among the others.
    pub fn all(n: usize, seed: u64) -> Vec<String> {
        let mut all: Vec<String> = (0..n).map(code).collect();
        all.shuffle(&mut StdRng::seed_from_u64(seed));
        all
    }

    /// The n-th code, by how often it is asked for where that differs.
    pub fn nth(n: usize) -> String {
        code(n)
    }

    /// Requests of that shape.
    pub fn drawn(n: usize, shape: Shape, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut sum = 0.0;
        let sums: Vec<f64> = (1..=n)
            .map(|rank| {
                sum += match shape {
                    Shape::Uniform => 1.0,
                    Shape::Zipf => 1.0 / rank as f64,
                };
                sum
            })
            .collect();
        let mut draw = || {
            let at = rng.random_range(0.0..sum);
            sums.partition_point(|&sum| sum <= at).min(n - 1)
        };
        Self { text: (0..DRAWS).map(|_| code(draw())).collect() }
    }

    /// The i-th request, from the beginning again after the last.
    #[inline]
    pub fn get(&self, i: usize) -> &str {
        &self.text[i % DRAWS * CODE_BYTES..][..CODE_BYTES]
    }
}

fn code(rank: usize) -> String {
    format!("{rank:0CODE_BYTES$}")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_first_of_zipf_is_asked_for_twice_as_often_as_the_second() {
        let codes = Codes::drawn(1_000, Shape::Zipf, 1);
        let mut times: HashMap<&str, usize> = HashMap::new();
        (0..DRAWS).for_each(|i| *times.entry(codes.get(i)).or_default() += 1);
        let ratio = times["0000000"] as f64 / times["0000001"] as f64;
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
    }

    #[test]
    fn all_are_asked_for_and_no_others() {
        let mut all = Codes::all(100, 1);
        all.sort();
        let codes = Codes::drawn(100, Shape::Uniform, 1);
        let mut drawn: Vec<_> = (0..DRAWS).map(|i| codes.get(i)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(all, drawn);
    }
}
