//! When a batch need not wait to become larger.
//!
//! A click that comes alone is written at once, so that whoever follows a link and then looks finds it
//! counted. Under load that would be a commit for each handful of clicks, so it is done a few times in a
//! flush interval at most, and from then on clicks gather.

use std::time::Duration;

use tokio::time::Instant;

/// The generic cell rate algorithm (ITU-T I.371): a bucket that is full again after a flush interval, kept
/// as the one moment at which it will be.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: u32,
    interval: Duration,
    full_at: Option<Instant>,
}

impl Pace {
    /// So many batches at once, in a flush interval and in a row.
    pub(super) fn new(at_once: u32, interval: Duration) -> Self {
        Self { at_once, interval, full_at: None }
    }

    /// Whether a batch may go at once, and if so, that it went.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        let Some(step) = self.interval.checked_div(self.at_once) else { return false };
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let admits = full_at - now <= self.interval - step;
        if admits {
            self.full_at = Some(full_at + step);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_go_at_once_and_more_when_time_has_passed() {
        let (mut pace, start) = (Pace::new(10, Duration::from_millis(100)), Instant::now());
        let admitted =
            |pace: &mut Pace, millis| (0..100).filter(|_| pace.admits(start + Duration::from_millis(millis))).count();
        assert_eq!(admitted(&mut pace, 0), 10);
        assert_eq!(admitted(&mut pace, 9), 0);
        assert_eq!(admitted(&mut pace, 10), 1);
        assert_eq!(admitted(&mut pace, 40), 3);
        assert_eq!(admitted(&mut pace, 10_000), 10);
        assert_eq!(admitted(&mut Pace::new(0, Duration::from_millis(100)), 0), 0);
    }
}
