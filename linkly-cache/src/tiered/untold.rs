//! What the far cache was not told.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use linkly_core::Code;

use crate::protocol::Untelling;

/// The most codes that are remembered one by one.
const CAPACITY: usize = 10_000;
/// The most codes that the far cache is told again in one call.
const AT_ONCE: usize = 1_000;

/// Codes of which the far cache may still hold what was invalidated: those whose invalidation is on its way, and
/// those whose invalidation failed.
#[derive(Default)]
pub(super) struct Untold(Mutex<State>);

#[derive(Default)]
struct State {
    /// Counts the calls. One that began later also tells what earlier ones could not.
    calls: u64,
    codes: HashMap<Code, Untelling>,
    /// Everything: a clear, or more codes than there is room for.
    all: Option<Untelling>,
    telling_again: bool,
}

impl Untold {
    /// Notes that the far cache is about to be told of these codes.
    pub(super) fn tell<'a>(&'a self, codes: &'a [Code]) -> Telling<'a> {
        let mut state = self.lock();
        let (call, last) = state.begin();
        for code in codes {
            state.codes.insert(code.clone(), last);
        }
        if state.codes.len() > CAPACITY {
            state.codes.clear();
            state.all = Some(last);
        }
        Telling { untold: self, call, codes: Told::These(codes), again: false }
    }

    /// The same for all codes.
    pub(super) fn tell_all(&self) -> Telling<'_> {
        let mut state = self.lock();
        let (call, last) = state.begin();
        state.all = Some(last);
        Telling { untold: self, call, codes: Told::All, again: false }
    }

    /// What to tell again, if something failed and nobody is at it.
    pub(super) fn tell_again(&self) -> Option<Telling<'_>> {
        let mut state = self.lock();
        if state.telling_again {
            return None;
        }
        let codes = if state.all.is_some_and(|all| all.failed) {
            Told::All
        } else {
            let failed = state.codes.iter().filter(|(_, untelling)| untelling.failed);
            let codes: Vec<Code> = failed.map(|(code, _)| code.clone()).take(AT_ONCE).collect();
            if codes.is_empty() {
                return None;
            }
            Told::Again(codes)
        };
        state.telling_again = true;
        state.calls += 1;
        Some(Telling { untold: self, call: state.calls, codes, again: true })
    }

    pub(super) fn look(&self) -> Look<'_> {
        Look(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin(&mut self) -> (u64, Untelling) {
        self.calls += 1;
        (self.calls, Untelling::begun(self.calls))
    }
}

/// What is untold as long as this is held.
pub(super) struct Look<'a>(MutexGuard<'a, State>);

impl Look<'_> {
    /// How many there are; `None` is all.
    pub(super) fn count(&self) -> Option<usize> {
        self.0.all.is_none().then(|| self.0.codes.len())
    }

    pub(super) fn has(&self, code: &Code) -> bool {
        self.0.all.is_some() || self.0.codes.contains_key(code)
    }
}

/// A call on its way to the far cache.
#[must_use = "dropping it says that the far cache was not told"]
pub(super) struct Telling<'a> {
    untold: &'a Untold,
    call: u64,
    codes: Told<'a>,
    again: bool,
}

enum Told<'a> {
    These(&'a [Code]),
    Again(Vec<Code>),
    All,
}

impl Telling<'_> {
    /// The codes; `None` is all.
    pub(super) fn codes(&self) -> Option<&[Code]> {
        match &self.codes {
            Told::These(codes) => Some(codes),
            Told::Again(codes) => Some(codes),
            Told::All => None,
        }
    }

    /// The far cache was told.
    pub(super) fn told(self) {
        let mut state = self.untold.lock();
        let call = self.call;
        let is_later = |untelling: &Untelling| untelling.outlasts(call);
        match self.codes() {
            Some(codes) => {
                for code in codes {
                    if state.codes.get(code).is_some_and(|last| !is_later(last)) {
                        state.codes.remove(code);
                    }
                }
            }
            None => {
                state.codes.retain(|_, last| is_later(last));
                state.all = state.all.filter(is_later);
            }
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut state = self.untold.lock();
        if self.again {
            state.telling_again = false;
            return;
        }
        // What was told is not there any more; what was too much stays untold.
        let call = self.call;
        let fail = |last: &mut Untelling| last.fail(call);
        for code in self.codes().unwrap_or_default() {
            state.codes.get_mut(code).into_iter().for_each(fail);
        }
        state.all.iter_mut().for_each(fail);
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Untold").field("codes", &state.codes.len()).field("all", &state.all.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(number: usize) -> Code {
        Code::new(&format!("c{number}")).unwrap()
    }

    fn again(untold: &Untold) -> Option<Vec<Code>> {
        untold.tell_again().map(|telling| telling.codes().unwrap_or_default().to_vec())
    }

    #[test]
    fn a_code_is_untold_until_a_call_for_it_has_succeeded() {
        let (untold, codes) = (Untold::default(), [code(1), code(2)]);
        let telling = untold.tell(&codes);
        assert!(untold.look().has(&codes[0]) && again(&untold).is_none(), "on its way");
        drop(telling);
        assert!(untold.look().has(&codes[0]) && again(&untold).is_some(), "failed");
        untold.tell(&codes[..1]).told();
        assert!(!untold.look().has(&codes[0]) && untold.look().has(&codes[1]));
        assert_eq!(again(&untold), Some(vec![code(2)]));
        untold.tell_again().unwrap().told();
        assert!(!untold.look().has(&codes[1]) && again(&untold).is_none());
    }

    #[test]
    fn a_call_makes_up_for_earlier_ones_and_not_for_later_ones() {
        let (untold, codes) = (Untold::default(), [code(1)]);
        let (first, second) = (untold.tell(&codes), untold.tell(&codes));
        first.told();
        assert!(untold.look().has(&codes[0]), "the second is on its way");
        drop(second);
        let (third, fourth) = (untold.tell(&codes), untold.tell(&codes));
        fourth.told();
        drop(third);
        assert!(!untold.look().has(&codes[0]));
        let (clear, later) = (untold.tell_all(), untold.tell(&codes));
        assert!(untold.look().has(&code(9)), "all are being cleared");
        clear.told();
        assert!(untold.look().has(&codes[0]) && !untold.look().has(&code(9)));
        later.told();
        assert!(!untold.look().has(&codes[0]));
    }

    #[test]
    fn one_at_a_time_tells_again() {
        let (untold, codes) = (Untold::default(), [code(1)]);
        drop(untold.tell(&codes));
        let telling = untold.tell_again();
        assert!(telling.is_some() && untold.tell_again().is_none());
        drop(telling);
        assert!(untold.tell_again().is_some());
    }

    #[test]
    fn beyond_its_capacity_everything_is_untold_until_all_is_cleared() {
        for succeeds in [false, true] {
            let untold = Untold::default();
            let many: Vec<Code> = (0..=CAPACITY).map(code).collect();
            let telling = untold.tell(&many);
            if succeeds {
                telling.told();
            } else {
                drop(telling);
            }
            assert!(untold.look().has(&code(CAPACITY + 7)));
            let telling = untold.tell_again().unwrap();
            assert!(telling.codes().is_none(), "a clear");
            drop(telling);
            assert!(untold.look().has(&code(0)), "which failed");
            let earlier = [code(1)];
            drop(untold.tell(&earlier));
            untold.tell_again().unwrap().told();
            assert!(!untold.look().has(&code(0)) && !untold.look().has(&earlier[0]) && again(&untold).is_none());
        }
    }

    #[test]
    fn a_clear_that_failed_is_told_again() {
        let untold = Untold::default();
        drop(untold.tell_all());
        assert!(untold.look().has(&code(1)));
        untold.tell_again().unwrap().told();
        assert!(!untold.look().has(&code(1)));
    }
}
