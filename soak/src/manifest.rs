//! What the callers of a killed app were told, kept outside of it.

use std::collections::{HashMap, HashSet};

/// One visit. Its click is told from all others by the host that it says it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Visit {
    /// Which start of the app.
    pub(crate) run: u32,
    pub(crate) caller: u32,
    pub(crate) number: u32,
}

impl Visit {
    pub(crate) fn host(&self) -> String {
        format!("n{}.c{}.r{}.example", self.number, self.caller, self.run)
    }

    pub(crate) fn of_host(host: &str) -> Option<Self> {
        let mut parts = host.strip_suffix(".example")?.split('.');
        let mut next = |mark: char| parts.next()?.strip_prefix(mark)?.parse().ok();
        let (number, caller, run) = (next('n')?, next('c')?, next('r')?);
        Some(Self { run, caller, number })
    }

    /// What the app prints of it.
    pub(crate) fn line(&self, is_acknowledged: bool) -> String {
        format!("{} {} {}\n", self.caller, self.number, u8::from(is_acknowledged))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) acknowledged: HashSet<Visit>,
    /// How many visits each caller of each run has told of.
    told: HashMap<(u32, u32), u32>,
}

impl Manifest {
    /// Takes down a line of that run.
    pub(crate) fn enter(&mut self, run: u32, line: &str) -> Option<()> {
        let mut parts = line.split(' ');
        let (caller, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        self.told.insert((run, caller), number + 1);
        if parts.next()? == "1" {
            self.acknowledged.insert(Visit { run, caller, number });
        }
        Some(())
    }

    /// Whether that visit can have been made: each caller makes one at a time.
    pub(crate) fn is_possible(&self, visit: Visit) -> bool {
        visit.number <= self.told.get(&(visit.run, visit.caller)).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_is_told_by_its_host() {
        let visit = Visit { run: 3, caller: 17, number: 1_234 };
        assert_eq!(Visit::of_host(&visit.host()), Some(visit));
        assert_eq!(Visit::of_host("news.example"), None);
    }

    #[test]
    fn a_caller_makes_one_visit_at_a_time() {
        let mut manifest = Manifest::default();
        let visit = |number| Visit { run: 1, caller: 2, number };
        assert!(manifest.is_possible(visit(0)) && !manifest.is_possible(visit(1)));
        manifest.enter(1, visit(0).line(true).trim()).unwrap();
        manifest.enter(1, visit(1).line(false).trim()).unwrap();
        assert!(manifest.is_possible(visit(2)) && !manifest.is_possible(visit(3)));
        assert_eq!(manifest.acknowledged, HashSet::from([visit(0)]));
    }
}
