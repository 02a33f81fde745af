//! A circuit breaker: while the store is down, misses fail at once and one try now and then asks
//! whether it is back. (Nygard, *Release It!*, "Circuit Breaker".)

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::Tick;

/// Failures in a row that open it.
const THRESHOLD: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While it is open: when the next try may go.
    retry_at: Option<Tick>,
    /// Whether that try is on its way.
    probing: bool,
}

impl Breaker {
    /// Whether a call may go. While open, one call in each pause may, as a probe.
    pub(crate) fn admits(&self, now: Tick) -> bool {
        let mut state = self.lock();
        match state.retry_at {
            None => true,
            Some(at) if now < at => false,
            Some(_) => {
                state.retry_at = Some(now.after(state.pause()));
                state.probing = true;
                true
            }
        }
    }

    /// Whether a call would be let go now; unlike [`admits`](Self::admits) this is not the call.
    pub(crate) fn would_admit(&self, now: Tick) -> bool {
        self.lock().retry_at.is_none_or(|at| now >= at)
    }

    pub(crate) fn succeeded(&self) {
        *self.lock() = State::default();
    }

    pub(crate) fn failed(&self, now: Tick) {
        let mut state = self.lock();
        // Calls that were on their way when it opened say nothing new.
        if state.retry_at.is_some() && !state.probing {
            return;
        }
        state.probing = false;
        state.failures = state.failures.saturating_add(1);
        if state.failures >= THRESHOLD {
            state.retry_at = Some(now.after(state.pause()));
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.lock().retry_at.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Twice as long with each failure beyond the threshold.
    fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(THRESHOLD).min(16);
        FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_a_success() {
        let (breaker, now) = (Breaker::default(), Tick::from_millis(1_000));
        for _ in 1..THRESHOLD {
            breaker.failed(now);
        }
        breaker.succeeded();
        for _ in 1..THRESHOLD {
            breaker.failed(now);
        }
        assert!(breaker.admits(now) && !breaker.is_open());
        breaker.failed(now);
        assert!(!breaker.admits(now) && breaker.is_open());

        let later = now.after(FIRST_PAUSE);
        assert!(!breaker.would_admit(now) && breaker.would_admit(later));
        assert!(breaker.admits(later), "a probe goes after the pause");
        assert!(!breaker.admits(later), "one probe at a time");
        breaker.succeeded();
        assert!(breaker.admits(later) && !breaker.is_open());
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let (breaker, mut now) = (Breaker::default(), Tick::from_millis(1));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            // Many at once count as one.
            (0..100).for_each(|_| breaker.failed(now));
            let opened = now;
            while !breaker.admits(now) {
                now = now.after(Duration::from_millis(100));
            }
            pauses.push(now.since(opened).as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000, 5_000]);
    }
}
