//! From the text in a short URL's path to the key of a link.

use crate::code::MAX_KEY_BYTES;
use crate::{Code, CodePolicy, Domain, Error, Folding, Result};

/// How a handle makes keys: its domain, its database's folding, its app's policy.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) domain: Option<Domain>,
    pub(crate) folding: Folding,
    pub(crate) policy: std::sync::Arc<CodePolicy>,
}

impl Keys {
    /// Hands the key of `code` to `with`: checked, folded and inside the handle's domain, without
    /// allocating. A malformed code goes no further.
    #[inline]
    pub(crate) fn with<R>(&self, code: &str, with: impl FnOnce(&str) -> R) -> Result<R> {
        let traits = self.policy.check(code).map_err(|reason| Error::invalid_code(code, reason))?;
        let folds = self.folding == Folding::Lower && traits.has_upper_case();
        if !folds && self.domain.is_none() {
            return Ok(with(code));
        }
        let prefix = self.domain.as_ref().map_or("", Domain::prefix);
        let mut buffer = [0; MAX_KEY_BYTES];
        let length = prefix.len() + code.len();
        let key = &mut buffer[..length];
        key[..prefix.len()].copy_from_slice(prefix.as_bytes());
        key[prefix.len()..].copy_from_slice(code.as_bytes());
        if folds {
            key[prefix.len()..].make_ascii_lowercase();
        }
        // Both parts are ASCII, so this cannot fail.
        std::str::from_utf8(key).map(with).map_err(|_| Error::invalid_code(code, "it is not ASCII"))
    }

    /// The key of `code`, to keep.
    pub(crate) fn code(&self, code: &str) -> Result<Code> {
        self.with(code, Code::from_checked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(domain: Option<&str>, folding: Folding) -> Keys {
        Keys {
            domain: domain.map(|host| Domain::new(host).unwrap()),
            folding,
            policy: CodePolicy::default().with_segments().into(),
        }
    }

    #[test]
    fn a_key_is_folded_and_inside_its_domain() {
        let made = |domain, folding| keys(domain, folding).code("Ab/C").unwrap().to_string();
        assert_eq!(made(None, Folding::Sensitive), "Ab/C");
        assert_eq!(made(None, Folding::Lower), "ab/c");
        assert_eq!(made(Some("X.io"), Folding::Sensitive), "//x.io/Ab/C");
        assert_eq!(made(Some("X.io"), Folding::Lower), "//x.io/ab/c");
    }

    #[test]
    fn the_longest_key_fits() {
        let host = format!("{}.io", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join("."));
        let code = "X".repeat(128);
        let key = keys(Some(&host), Folding::Lower).code(&code).unwrap();
        assert_eq!(key.as_str(), format!("//{host}/{}", "x".repeat(128)));
    }

    #[test]
    fn no_code_given_to_a_handle_reaches_another_domain() {
        let plain = keys(None, Folding::Sensitive);
        for code in ["//x.io/a", "/x.io/a", "%2F%2Fx.io/a", "..//x.io/a", "a/../b", ""] {
            assert!(plain.code(code).is_err(), "{code:?}");
        }
        let inside = keys(Some("x.io"), Folding::Sensitive);
        assert!(inside.code("../y.io/a").is_err());
        assert_eq!(inside.code("y.io/a").unwrap().domain(), Some("x.io"));
    }
}
