//! How many tests ran, summed from the lines libtest ends a run with.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed, failed and were skipped, that is ignored. Tests that the caller's own filter
/// left out are none of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Counts {
    /// Reads `test result: ok. 5 passed; 0 failed; 1 ignored; …`; any other line is `None`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let result = line.strip_prefix("test result: ")?;
        let words: Vec<&str> = result.split_whitespace().collect();
        let count = |what: &str| words.windows(2).find(|pair| pair[1] == what).and_then(|pair| pair[0].parse().ok());
        Some(Self { passed: count("passed;")?, failed: count("failed;")?, skipped: count("ignored;")? })
    }

    /// How many tests ran.
    pub(crate) fn ran(self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n";

    #[test]
    fn the_line_that_ends_a_run_is_read() {
        let counts = Counts::parse(OK).expect("it is such a line");
        assert_eq!(counts.to_string(), "12 passed, 0 failed, 1 skipped");
        assert_eq!(counts.ran(), 12);
    }

    #[test]
    fn a_failed_and_a_coloured_run_are_read() {
        let failed = OK.replace("ok. 12", "\u{1b}[31mFAILED\u{1b}[m. 7").replace("0 failed", "2 failed");
        let counts = Counts::parse(&failed).expect("it is such a line");
        assert_eq!(counts.to_string(), "7 passed, 2 failed, 1 skipped");
    }

    #[test]
    fn other_lines_are_not_results() {
        for line in [
            "",
            "test counts::tests::ok ... ok",
            "test result: ok.",
            "note: test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured",
            "test result: many passed; no failed; 0 ignored;",
        ] {
            assert_eq!(Counts::parse(line), None, "{line}");
        }
    }

    #[test]
    fn runs_add_up() {
        let mut sum = Counts::default();
        for _ in 0..3 {
            sum += Counts::parse(OK).expect("it is such a line");
        }
        assert_eq!(sum.to_string(), "36 passed, 0 failed, 3 skipped");
    }
}
