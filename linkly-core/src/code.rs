//! Codes: the keys of links.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Domain, Error, Result};

/// The most bytes a code can have, its domain not counted.
pub const MAX_CODE_BYTES: usize = 128;

/// The most bytes a key can have: `//`, a host name, `/` and a code.
pub const MAX_KEY_BYTES: usize = 2 + crate::domain::MAX_DOMAIN_BYTES + 1 + MAX_CODE_BYTES;

/// The key of a link: `code`, or `//host/code` for a link inside a domain.
///
/// A code is one segment, or several joined by `/`, of the characters that RFC 3986 calls
/// unreserved (`A-Z a-z 0-9 - _ . ~`), 1 to 128 bytes in all. No segment is empty, `.` or `..`. So a
/// code means the same in a path, a header, a log line and an SQL text, and a key that begins with
/// `//` can never come out of a path segment: without a [`Domain`] nobody reaches a domain's links.
///
/// Which of these codes an app lets in (one segment or several, how long, which words) is its
/// [`CodePolicy`](crate::CodePolicy)'s to say.
///
/// Cloning is cheap (one reference count). Ordering is by bytes.
///
/// ```
/// use linkly_core::{Code, Domain};
///
/// let plain = Code::new("iii")?;
/// let inside = Code::in_domain(&Domain::new("Go.Acme.com")?, "iii")?;
/// assert_eq!(inside.as_str(), "//go.acme.com/iii");
/// assert_eq!(inside.path(), plain.path());
/// assert!(Code::new("//go.acme.com/iii").is_err());
/// # Ok::<(), linkly_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(Arc<str>);

impl Code {
    /// A code without a domain.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] names the rule that the text breaks.
    pub fn new(code: &str) -> Result<Self> {
        check_path(code).map_err(|reason| Error::invalid_code(code, reason))?;
        Ok(Self(code.into()))
    }

    /// A code inside `domain`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] names the rule that the text breaks.
    pub fn in_domain(domain: &Domain, code: &str) -> Result<Self> {
        check_path(code).map_err(|reason| Error::invalid_code(code, reason))?;
        Ok(Self(format!("{}{code}", domain.prefix()).into()))
    }

    /// Reads a key as [`as_str`](Self::as_str) wrote it, its domain included: for stores and caches
    /// that read their own rows. Text that a user gave goes through a handle of
    /// [`Linkly`](crate::Linkly) instead.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`] names the rule that the text breaks.
    pub fn from_key(key: &str) -> Result<Self> {
        check_key(key).map_err(|reason| Error::invalid_code(key, reason))?;
        Ok(Self(key.into()))
    }

    /// A key that the caller has checked already.
    pub(crate) fn from_checked(key: &str) -> Self {
        debug_assert!(check_key(key).is_ok(), "{key:?}");
        Self(key.into())
    }

    /// The whole key: what stores and caches keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host name of the domain the link is in, if it is in one.
    pub fn domain(&self) -> Option<&str> {
        split_key(&self.0).0
    }

    /// The code without its domain: what stands in the short URL's path.
    pub fn path(&self) -> &str {
        split_key(&self.0).1
    }
}

/// The domain, if there is one, and the path of a key.
fn split_key(key: &str) -> (Option<&str>, &str) {
    match key.strip_prefix("//").and_then(|rest| rest.split_once('/')) {
        Some((host, path)) => (Some(host), path),
        None => (None, key),
    }
}

fn check_key(key: &str) -> Result<(), &'static str> {
    match split_key(key) {
        (Some(host), path) => crate::domain::check_host(host).and_then(|()| check_path(path)),
        (None, path) => check_path(path),
    }
    .map(|_| ())
}

/// Whether `path` is one or more segments of unreserved characters; the error is the rule it breaks.
#[inline]
pub(crate) fn check_path(path: &str) -> Result<Traits, &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > MAX_CODE_BYTES {
        return Err("it is longer than 128 bytes");
    }
    let traits = Traits::of(path.as_bytes());
    if traits.has(Traits::ILLEGAL) {
        return Err("it may hold only A-Z a-z 0-9 - _ . ~");
    }
    let dotted = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
    if traits.has(Traits::SLASH | Traits::DOT) && path.split('/').any(dotted) {
        return Err("a segment is empty, \".\" or \"..\"");
    }
    Ok(traits)
}

/// What bytes a path is made of, found in one pass: one load a byte on the redirect's way.
#[derive(Clone, Copy)]
pub(crate) struct Traits(u8);

impl Traits {
    const SLASH: u8 = 1;
    const DOT: u8 = 2;
    const UPPER: u8 = 4;
    const ILLEGAL: u8 = 128;

    /// Those of all bytes together. By fours, which takes half the instructions that one by one does.
    #[inline]
    fn of(bytes: &[u8]) -> Self {
        let of = |byte: u8| TRAITS[byte as usize];
        let (fours, rest) = bytes.as_chunks::<4>();
        let fours = fours.iter().fold(0, |all, &[a, b, c, d]| all | of(a) | of(b) | of(c) | of(d));
        Self(rest.iter().fold(fours, |all, &byte| all | of(byte)))
    }

    const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }

    /// Whether there is more than one segment.
    pub(crate) const fn has_segments(self) -> bool {
        self.has(Self::SLASH)
    }

    /// Whether folding to lower case changes anything.
    pub(crate) const fn has_upper_case(self) -> bool {
        self.has(Self::UPPER)
    }
}

/// The traits of each byte: RFC 3986, section 2.3, and the slash.
const TRAITS: [u8; 256] = {
    let mut table = [Traits::ILLEGAL; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'A'..=b'Z' => Traits::UPPER,
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => 0,
            b'.' => Traits::DOT,
            b'/' => Traits::SLASH,
            _ => Traits::ILLEGAL,
        };
        byte += 1;
    }
    table
};

impl Borrow<str> for Code {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({:?})", &*self.0)
    }
}

impl std::str::FromStr for Code {
    type Err = Error;

    /// A code without a domain, as [`Code::new`].
    fn from_str(code: &str) -> Result<Self> {
        Self::new(code)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_key(&key).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_segments_of_unreserved_characters() {
        for good in ["a", "iii", "A-Z_0.9~", "...", ".a", "a/b", &"x".repeat(128)] {
            assert_eq!(Code::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            ".",
            "..",
            "/",
            "//",
            "/a",
            "a/",
            "a//b",
            "a/../b",
            "a/.",
            "%2F",
            "a b",
            "a\0",
            "é",
            "a?b",
            "a#b",
            "a\\b",
            "a'b",
            "a;b",
            "a\r\nb",
            "//go.acme.com/a",
            &"x".repeat(129),
        ] {
            assert!(matches!(Code::new(bad), Err(Error::InvalidCode { .. })), "{bad:?} was let in");
        }
    }

    #[test]
    fn a_key_carries_its_domain() {
        let domain = Domain::new("Go.Acme.com").unwrap();
        let code = Code::in_domain(&domain, "a/b").unwrap();
        assert_eq!((code.domain(), code.path()), (Some("go.acme.com"), "a/b"));
        assert_eq!(Code::from_key(code.as_str()).unwrap(), code);
        for bad in ["//", "///a", "//go.acme.com", "//go.acme.com/", "//Go.acme.com/a", "//a b/c", "//a/../b", "/a"] {
            assert!(Code::from_key(bad).is_err(), "{bad:?} was let in");
        }
    }

    #[test]
    fn a_code_survives_json() {
        let code = Code::in_domain(&Domain::new("acme.com").unwrap(), "x").unwrap();
        let json = serde_json::to_string(&code).unwrap();
        assert_eq!(json, r#""//acme.com/x""#);
        assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), code);
        assert!(serde_json::from_str::<Code>(r#""a b""#).is_err());
    }
}
