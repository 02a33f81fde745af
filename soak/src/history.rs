//! What several nodes did and saw, and what of it must not be.

use std::collections::HashMap;
use std::time::Duration;

/// What a node did with a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// It wrote that version, and was told that it is written.
    Wrote(u64),
    /// It tried to write that version and was told nothing, or that it failed: it may be there or not.
    Tried(u64),
    /// It deleted the link, whose last version was that one.
    Deleted(u64),
    /// It tried to.
    TriedToDelete(u64),
    /// It saw that version; `None` is that there is no such link.
    Saw(Option<u64>),
}

/// One operation, from before its call to after its answer, in microseconds of the machine's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) node: usize,
    pub(crate) code: u32,
    pub(crate) what: What,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Operation {
    /// What a node prints of it.
    pub(crate) fn line(&self) -> String {
        let (kind, version) = match self.what {
            What::Wrote(version) => ('w', version),
            What::Tried(version) => ('t', version),
            What::Deleted(version) => ('d', version),
            What::TriedToDelete(version) => ('e', version),
            What::Saw(Some(version)) => ('s', version),
            What::Saw(None) => ('n', 0),
        };
        format!("{kind} {} {version} {} {}\n", self.code, self.start, self.end)
    }

    pub(crate) fn of_line(node: usize, line: &str) -> Option<Self> {
        let mut parts = line.split(' ');
        let kind = parts.next()?;
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (code, version, start, end) = (u32::try_from(number()?).ok()?, number()?, number()?, number()?);
        let what = match kind {
            "w" => What::Wrote(version),
            "t" => What::Tried(version),
            "d" => What::Deleted(version),
            "e" => What::TriedToDelete(version),
            "s" => What::Saw(Some(version)),
            "n" => What::Saw(None),
            _ => return None,
        };
        Some(Self { node, code, what, start, end })
    }
}

/// What must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// An older version than one that was written so long before the read began.
    Stale { read: Operation, written: Operation },
    /// A link that was deleted so long before the read began.
    Resurrected { read: Operation, deleted: Operation },
    /// No link, where nobody had deleted it.
    Lost { read: Operation },
}

/// A time in which a node stood still, and its part of the bound did not pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pause {
    pub(crate) node: usize,
    pub(crate) from: u64,
    pub(crate) until: u64,
}

impl Pause {
    /// How much of it lies between these two.
    fn within(&self, from: u64, until: u64) -> u64 {
        self.until.min(until).saturating_sub(self.from.max(from))
    }
}

/// Compares what was seen with what had been written by then. Each code has one writer at a time and is never used
/// again once it is deleted, so that its versions only grow. On the node that wrote, nothing older may be seen once
/// the write has returned; on another none once that one has run for `bound` since.
pub(crate) fn check(history: &[Operation], pauses: &[Pause], bound: Duration) -> Vec<Finding> {
    let bound = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    let mut codes = HashMap::<u32, Vec<&Operation>>::new();
    for operation in history {
        codes.entry(operation.code).or_default().push(operation);
    }
    let mut findings = Vec::new();
    for operations in codes.values() {
        for read in operations {
            let What::Saw(seen) = read.what else { continue };
            let is_due = |write: &Operation| {
                if write.node == read.node {
                    return write.end < read.start;
                }
                let paused = pauses.iter().filter(|pause| pause.node == read.node);
                let paused: u64 = paused.map(|pause| pause.within(write.end, read.start)).sum();
                write.end.saturating_add(bound).saturating_add(paused) < read.start
            };
            let due = || operations.iter().copied().filter(|write| is_due(write));
            let deleted = due().find(|write| matches!(write.what, What::Deleted(_)));
            let written = due().filter_map(|write| match write.what {
                What::Wrote(version) => Some((version, write)),
                _ => None,
            });
            let written = written.max_by_key(|(version, _)| *version);
            match (seen, deleted, written) {
                (Some(_), Some(deleted), _) => {
                    findings.push(Finding::Resurrected { read: **read, deleted: *deleted });
                }
                (Some(seen), None, Some((version, written))) if seen < version => {
                    findings.push(Finding::Stale { read: **read, written: *written });
                }
                (None, None, Some(_)) => {
                    let may_be_deleted = |write: &&Operation| {
                        matches!(write.what, What::Deleted(_) | What::TriedToDelete(_)) && write.start < read.end
                    };
                    if !operations.iter().any(may_be_deleted) {
                        findings.push(Finding::Lost { read: **read });
                    }
                }
                _ => {}
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_micros(100);

    fn operation(node: usize, what: What, start: u64) -> Operation {
        Operation { node, code: 1, what, start, end: start + 10 }
    }

    fn findings(history: &[Operation]) -> usize {
        check(history, &[], BOUND).len()
    }

    #[test]
    fn an_operation_is_read_as_it_was_printed() {
        let whats = [What::Wrote(3), What::Tried(4), What::Deleted(5), What::TriedToDelete(6)];
        for what in whats.into_iter().chain([What::Saw(Some(7)), What::Saw(None)]) {
            let operation = operation(2, what, 1_000);
            assert_eq!(Operation::of_line(2, operation.line().trim()), Some(operation));
        }
        assert_eq!(Operation::of_line(0, "w 1"), None);
    }

    #[test]
    fn a_stale_read_is_found_at_once_on_the_writers_node_and_past_the_bound_on_another() {
        let writes = [operation(0, What::Wrote(1), 0), operation(0, What::Wrote(2), 20)];
        let with = |node, seen, start| [&writes[..], &[operation(node, What::Saw(seen), start)]].concat();
        assert_eq!(findings(&with(0, Some(2), 31)), 0);
        assert!(matches!(check(&with(0, Some(1), 31), &[], BOUND)[..], [Finding::Stale { .. }]));
        assert_eq!(findings(&with(0, Some(1), 25)), 0, "it began before the write had returned");
        assert_eq!(findings(&with(1, Some(1), 130)), 0, "within the bound");
        assert_eq!(findings(&with(1, Some(1), 131)), 1);
        assert_eq!(findings(&with(1, Some(2), 131)), 0);
    }

    #[test]
    fn a_node_that_was_paused_has_as_much_longer() {
        let history =
            [operation(0, What::Wrote(1), 0), operation(0, What::Wrote(2), 20), operation(1, What::Saw(Some(1)), 140)];
        let pause = |node| Pause { node, from: 10, until: 60 };
        assert_eq!(check(&history, &[pause(1)], BOUND).len(), 0);
        assert_eq!(check(&history, &[pause(0)], BOUND).len(), 1);
    }

    #[test]
    fn a_resurrected_link_is_found() {
        let writes = [operation(0, What::Wrote(1), 0), operation(1, What::Deleted(1), 20)];
        let with = |node, seen, start| [&writes[..], &[operation(node, What::Saw(seen), start)]].concat();
        assert!(matches!(check(&with(0, Some(1), 131), &[], BOUND)[..], [Finding::Resurrected { .. }]));
        assert_eq!(findings(&with(1, Some(1), 31)), 1, "on the node that deleted it, at once");
        assert_eq!(findings(&with(0, Some(1), 130)), 0, "within the bound");
        assert_eq!(findings(&with(0, None, 131)), 0);
    }

    #[test]
    fn a_link_that_nobody_deleted_is_not_to_be_missing() {
        let lost = [operation(0, What::Wrote(1), 0), operation(0, What::Saw(None), 20)];
        assert!(matches!(check(&lost, &[], BOUND)[..], [Finding::Lost { .. }]));
        let perhaps = [lost[0], operation(1, What::TriedToDelete(1), 5), lost[1]];
        assert_eq!(findings(&perhaps), 0);
    }
}
