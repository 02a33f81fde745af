//! Waiting by asking.

use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take for anything: far more than it needs on a busy machine, so that reaching it
/// is a failure and not bad luck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two questions. A server takes ten times as long to start.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until a condition holds, by asking again and again.
///
/// # Panics
///
/// When it does not within a minute, with `what` was waited for.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    assert!(for_answer(|| holds().then_some(())).is_some(), "not within {PATIENCE:?}: {what}");
}

/// Asks until there is an answer, or until [`PATIENCE`] has ended.
pub(crate) fn for_answer<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Before the question, so that the last one is asked after the deadline.
        let late = Instant::now() > deadline;
        let answer = ask();
        if answer.is_some() || late {
            return answer;
        }
        thread::sleep(PAUSE);
    }
}
