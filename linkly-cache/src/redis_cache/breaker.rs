//! A circuit breaker: while the server does not answer, calls fail at once, and one now and then asks whether
//! it is back. (Nygard, *Release It!*, "Circuit Breaker".)
//!
//! Other than the engine's for the store it opens with the first failure: a miss costs little, and each call
//! that waits for a server that hangs holds up a batch of redirects.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While it is open: when the next try may go.
    retry_at: Option<Instant>,
    /// Whether that try is on its way.
    probing: bool,
}

impl Breaker {
    /// Whether a call may go. While open, one call in each pause may, as a probe.
    pub(super) fn admits(&self) -> bool {
        let (mut state, now) = (self.lock(), Instant::now());
        match state.retry_at {
            None => true,
            Some(at) if now < at => false,
            Some(_) => {
                state.retry_at = Some(now + state.pause());
                state.probing = true;
                true
            }
        }
    }

    pub(super) fn succeeded(&self, server: &str) {
        let mut state = self.lock();
        if state.retry_at.is_some() {
            info!(server, "the shared cache is back");
        }
        *state = State::default();
    }

    pub(super) fn failed(&self, server: &str) {
        let mut state = self.lock();
        // Calls that were on their way when it opened say nothing new.
        if state.retry_at.is_some() && !state.probing {
            return;
        }
        if state.retry_at.is_none() {
            warn!(server, "the shared cache does not answer; it is left out, and asked again shortly");
        }
        state.probing = false;
        state.retry_at = Some(Instant::now() + state.pause());
        state.failures = state.failures.saturating_add(1);
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().retry_at.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Twice as long with each failure.
    fn pause(&self) -> Duration {
        FIRST_PAUSE.saturating_mul(1 << self.failures.min(16)).min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_opens_with_a_failure_lets_a_probe_through_and_closes_with_a_success() {
        let breaker = Breaker::default();
        assert!(breaker.admits() && !breaker.is_open());
        breaker.failed("here");
        assert!(!breaker.admits() && breaker.is_open());
        tokio::time::advance(FIRST_PAUSE).await;
        assert!(breaker.admits(), "a probe goes after the pause");
        assert!(!breaker.admits(), "one probe at a time");
        breaker.succeeded("here");
        assert!(breaker.admits() && !breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit() {
        let breaker = Breaker::default();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            // Many at once count as one.
            (0..100).for_each(|_| breaker.failed("here"));
            let opened = Instant::now();
            while !breaker.admits() {
                tokio::time::advance(Duration::from_millis(100)).await;
            }
            pauses.push(opened.elapsed().as_millis());
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1_600, 2_000, 2_000]);
    }
}
