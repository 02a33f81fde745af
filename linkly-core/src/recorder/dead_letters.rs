//! The clicks that the sink refused for good.

use std::collections::VecDeque;

use crate::DeadLetter;

/// The last dead letters: when there are too many, the oldest give way.
#[derive(Debug)]
pub(super) struct DeadLetters {
    letters: VecDeque<DeadLetter>,
    most: usize,
    pub(super) forgotten: u64,
}

impl DeadLetters {
    pub(super) fn new(most: usize) -> Self {
        Self { letters: VecDeque::new(), most, forgotten: 0 }
    }

    pub(super) fn push(&mut self, letter: DeadLetter) {
        self.letters.push_back(letter);
        if self.letters.len() > self.most {
            self.letters.pop_front();
            self.forgotten += 1;
        }
    }

    pub(super) fn to_vec(&self) -> Vec<DeadLetter> {
        self.letters.iter().cloned().collect()
    }

    pub(super) fn take(&mut self) -> Vec<DeadLetter> {
        std::mem::take(&mut self.letters).into()
    }
}
