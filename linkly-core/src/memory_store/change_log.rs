//! The log of changed codes.

use std::collections::VecDeque;

use crate::{ChangeCursor, Changes, Code};

/// How many changes are kept. Older ones are trimmed, and who has not read them is told `lost`.
const KEPT: usize = 100_000;
/// How many changes are read in one call.
const READ: usize = 1_000;

#[derive(Default)]
pub(super) struct ChangeLog {
    codes: VecDeque<Code>,
    /// How many were trimmed: the number of the first that is kept.
    trimmed: u64,
}

impl ChangeLog {
    pub(super) fn push(&mut self, code: &Code) {
        if self.codes.len() == KEPT {
            self.codes.pop_front();
            self.trimmed += 1;
        }
        self.codes.push_back(code.clone());
    }

    /// The number behind the last change.
    fn end(&self) -> u64 {
        self.trimmed + self.codes.len() as u64
    }

    /// The changes behind a cursor, which is the number of changes that were read already. One that
    /// this log cannot have written is like one that was trimmed: any link may have changed.
    pub(super) fn behind(&self, after: Option<&ChangeCursor>) -> Changes {
        let end = self.end();
        let Some(after) = after else {
            return Changes::new(Vec::new(), cursor(end));
        };
        let read = after.as_str().parse().ok().filter(|read| (self.trimmed..=end).contains(read));
        let Some(read) = read else {
            let mut changes = Changes::new(Vec::new(), cursor(end));
            changes.lost = true;
            return changes;
        };
        let unread = self.codes.range((read - self.trimmed) as usize..);
        let codes: Vec<_> = unread.take(READ).cloned().collect();
        let next = read + codes.len() as u64;
        let mut changes = Changes::new(codes, cursor(next));
        changes.more = next < end;
        changes
    }

    pub(super) fn bytes(&self) -> u64 {
        (self.codes.len() * size_of::<Code>()) as u64
    }
}

fn cursor(read: u64) -> ChangeCursor {
    ChangeCursor::new(read.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_whose_place_was_trimmed_is_told_so() {
        let code = Code::new("a").unwrap();
        let mut log = ChangeLog::default();
        let start = log.behind(None).next;
        log.push(&code);
        let read = log.behind(Some(&start));
        assert_eq!((read.codes.as_slice(), read.lost, read.more), ([code.clone()].as_slice(), false, false));
        (0..KEPT).for_each(|_| log.push(&code));
        assert!(log.behind(Some(&start)).lost);
        let rest = log.behind(Some(&read.next));
        assert!(!rest.lost && rest.more && rest.codes.len() == READ);
        for foreign in ["", "x", "-1", "999999999"] {
            assert!(log.behind(Some(&ChangeCursor::new(foreign))).lost, "{foreign:?}");
        }
    }
}
