//! Every state that can be reached, each looked at once, the nearest first.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::Rules;
use crate::world::World;

/// What an exploration came to.
#[derive(Debug)]
pub struct Outcome {
    /// How many different states there are.
    pub states: usize,
    /// What happened on the way to some of them.
    pub seen: BTreeSet<&'static str>,
    /// The shortest way to a state that must not be, if there is one: what each step was, and what is wrong.
    pub counterexample: Option<Vec<String>>,
}

/// Explores until a state is found that must not be, or to the end.
pub fn explore(rules: Rules) -> Outcome {
    let mut seen = BTreeSet::new();
    let mut visited = HashSet::new();
    // How each state was reached: the one before, and the step.
    let mut ways: Vec<(usize, String)> = Vec::new();
    let mut waiting = VecDeque::new();
    for start in World::starts(&rules) {
        visited.insert(fingerprint(&start));
        waiting.push_back((ways.len(), start));
        ways.push((usize::MAX, String::new()));
    }
    let mut next = Vec::new();
    while let Some((at, world)) = waiting.pop_front() {
        world.steps(&rules, &mut next);
        for (step, mut world) in next.drain(..) {
            let note = std::mem::take(&mut world.note);
            seen.extend((!note.is_empty()).then_some(note));
            let world = world.normalised();
            if !visited.insert(fingerprint(&world)) {
                continue;
            }
            ways.push((at, step.to_string()));
            if let Some(wrong) = &world.wrong {
                let mut trace = vec![wrong.clone()];
                let mut way = ways.len() - 1;
                while let (before, step) = &ways[way]
                    && *before != usize::MAX
                {
                    trace.push(step.clone());
                    way = *before;
                }
                trace.reverse();
                return Outcome { states: visited.len(), seen, counterexample: Some(trace) };
            }
            waiting.push_back((ways.len() - 1, world));
        }
    }
    Outcome { states: visited.len(), seen, counterexample: None }
}

/// Of 128 bits: with a hundred million states, two of them share one by a chance of 1 in 10^22.
pub(crate) fn fingerprint(state: &impl Hash) -> (u64, u64) {
    (FixedState::with_seed(0).hash_one(state), FixedState::with_seed(1).hash_one(state))
}
