//! Pauses before a retry.

use std::time::Duration;

/// Exponential backoff with full jitter
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): the longest pause
/// doubles with each retry, and each pause is a random part of it.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Pauses of at most `first` before the first retry and never more than `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, ceiling: first }
    }

    /// The pause before the next retry.
    pub fn pause(&mut self) -> Duration {
        self.pause_within(self.most)
    }

    /// The same, and this one not longer than `limit`: where there may be no time to wait.
    pub fn pause_within(&mut self, limit: Duration) -> Duration {
        let ceiling = self.ceiling.min(self.most).min(limit);
        self.ceiling = ceiling.saturating_mul(2);
        ceiling.mul_f64(rand::random::<f64>())
    }

    /// Something succeeded: the next pause is the first again.
    pub fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_are_random_below_it() {
        let (first, most) = (Duration::from_millis(50), Duration::from_secs(5));
        for (tries, ceiling) in [(1, 50), (2, 100), (5, 800), (8, 5_000), (60, 5_000)] {
            let mut longest = Duration::ZERO;
            for _ in 0..200 {
                let mut backoff = Backoff::new(first, most);
                longest = longest.max((0..tries).map(|_| backoff.pause()).last().unwrap());
            }
            let ceiling = Duration::from_millis(ceiling);
            assert!(longest <= ceiling && longest > ceiling / 2, "try {tries}: {longest:?}");
        }
        let mut backoff = Backoff::new(first, most);
        let limit = Duration::from_millis(250);
        assert!((0..100).all(|_| backoff.pause_within(limit) <= limit));
        backoff.reset();
        assert!(backoff.pause() <= first);
    }
}
