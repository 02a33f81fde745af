//! What may stand in front of every name.

use linkly_core::{Error, Result};

/// Where a configured prefix goes in the SQL of this crate. A comment, so that each text runs as it is.
pub(crate) const PREFIX_MARK: &str = "/*prefix*/";

/// Whether a prefix is one: at most 32 of a-z, 0-9 and `_`, a letter or `_` first, or nothing.
///
/// # Errors
///
/// [`Error::InvalidInput`] says what is wrong with it.
pub fn check_prefix(prefix: &str) -> Result<()> {
    let invalid = |reason: &str| Err(Error::invalid("prefix", format!("{prefix:?}: {reason}")));
    if prefix.len() > 32 {
        return invalid("it is longer than 32 bytes");
    }
    if prefix.starts_with(|first: char| first.is_ascii_digit()) {
        return invalid("it begins with a digit");
    }
    if !prefix.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) {
        return invalid("it may hold only a-z 0-9 _");
    }
    if prefix.starts_with("sqlite_") {
        return invalid("names that begin with sqlite_ are SQLite's own");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_can_be_nothing_but_a_name() {
        for good in ["", "linkly_", "_", "a1_"] {
            check_prefix(good).unwrap();
        }
        for bad in ["a b", "1a", "a-", "A", "a\"", "a;drop", "é", "sqlite_x", &"a".repeat(33)] {
            assert!(check_prefix(bad).is_err(), "{bad:?} was let in");
        }
    }
}
