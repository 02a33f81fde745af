//! Finding the clicks for which a whole batch is refused.

use std::ops::Range;

/// A part of a batch that is to be written by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: Range<usize>,
    /// How many calls held it so far.
    pub(super) tries: u32,
}

/// The parts of a batch that are to be written, from the first click to the last. A part that is
/// refused is halved, down to single clicks: k bad clicks among n cost about 2k·log₂(n/k) calls.
#[derive(Debug)]
pub(super) struct Bisection {
    /// The first part is the last of these.
    parts: Vec<Part>,
}

impl Bisection {
    pub(super) fn new(len: usize) -> Self {
        // Of nothing there is no part.
        Self { parts: (len > 0).then_some(Part { range: 0..len, tries: 0 }).into_iter().collect() }
    }

    /// The next part in order, with this try counted. It stays the next one until what became of it is
    /// entered.
    pub(super) fn next(&mut self) -> Option<Part> {
        let part = self.parts.last_mut()?;
        part.tries = part.tries.saturating_add(1);
        Some(part.clone())
    }

    /// The next part is settled.
    pub(super) fn settle(&mut self) {
        self.parts.pop();
    }

    /// The halves of the next part come next; a single click cannot be halved, is settled and comes back.
    pub(super) fn halve(&mut self) -> Option<Part> {
        let part = self.parts.pop()?;
        if part.range.len() <= 1 {
            return Some(part);
        }
        let Part { range, tries } = part;
        let middle = range.start + range.len() / 2;
        self.parts.push(Part { range: middle..range.end, tries });
        self.parts.push(Part { range: range.start..middle, tries });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_nothing_there_is_no_part() {
        assert!(Bisection::new(0).next().is_none());
    }

    /// The clicks found to be bad, and the calls it took.
    fn find(len: usize, bad: &[usize]) -> (Vec<usize>, u32) {
        let (mut found, mut calls, mut at) = (Vec::new(), 0, 0);
        let mut bisection = Bisection::new(len);
        while let Some(part) = bisection.next() {
            calls += 1;
            assert_eq!(part.range.start, at, "parts come in order and without gaps");
            if bad.iter().any(|bad| part.range.contains(bad)) {
                let Some(single) = bisection.halve() else { continue };
                found.push(single.range.start);
                at = single.range.end;
            } else {
                bisection.settle();
                at = part.range.end;
            }
        }
        assert_eq!(at, len);
        (found, calls)
    }

    #[test]
    fn the_bad_clicks_are_found_and_no_others() {
        for len in 1..40 {
            for first in 0..len {
                for second in first + 1..len {
                    assert_eq!(find(len, &[first, second]).0, [first, second]);
                }
                assert_eq!(find(len, &[first]).0, [first]);
            }
            assert_eq!(find(len, &(0..len).collect::<Vec<_>>()).0.len(), len);
            assert_eq!(find(len, &[]), (Vec::new(), 1));
        }
    }

    #[test]
    fn one_bad_click_among_a_thousand_costs_about_twenty_calls() {
        assert!(find(1_000, &[617]).1 <= 21, "{}", find(1_000, &[617]).1);
    }

    #[test]
    fn halves_remember_the_tries_of_the_whole() {
        let mut bisection = Bisection::new(2);
        bisection.next().unwrap();
        assert_eq!(bisection.halve(), None);
        assert_eq!(bisection.next(), Some(Part { range: 0..1, tries: 2 }));
    }
}
