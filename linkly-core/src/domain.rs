//! Domains: the hosts that have links of their own.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// The most bytes of a host name (RFC 1035, section 2.3.4).
pub const MAX_DOMAIN_BYTES: usize = 253;

/// The host name of a domain that has links of its own, in lower case and punycode.
///
/// ```
/// use linkly_core::Domain;
///
/// assert_eq!(Domain::new("Bücher.example")?.host(), "xn--bcher-kva.example");
/// assert!(Domain::new("go.acme.com:8080").is_err());
/// # Ok::<(), linkly_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain {
    /// `//host/`, ready to stand in front of a code.
    prefix: Arc<str>,
}

impl Domain {
    /// The domain of a host name in any case, also an international one. No port, no path.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] when the text is not a host name.
    pub fn new(host: &str) -> Result<Self> {
        let invalid = |reason: &str| Error::invalid("domain", format!("{host:?}: {reason}"));
        let parsed = match url::Host::parse(host) {
            Ok(url::Host::Domain(name)) => name,
            Ok(url::Host::Ipv4(address)) => address.to_string(),
            Ok(url::Host::Ipv6(_)) => return Err(invalid("an IPv6 address cannot be a domain of links")),
            Err(_) => return Err(invalid("it is not a host name (without scheme, port and path)")),
        };
        let name = parsed.strip_suffix('.').unwrap_or(&parsed);
        check_host(name).map_err(invalid)?;
        Ok(Self { prefix: format!("//{name}/").into() })
    }

    /// The host name, in lower case and punycode.
    pub fn host(&self) -> &str {
        &self.prefix[2..self.prefix.len() - 1]
    }

    /// `//host/`: every key of this domain begins with it, and no other key does.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Whether `host` is a host name as this crate keeps them; the error is the rule it breaks.
pub(crate) fn check_host(host: &str) -> Result<(), &'static str> {
    let kept = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if host.is_empty() || host.len() > MAX_DOMAIN_BYTES {
        return Err("a host name has 1 to 253 bytes");
    }
    if !host.bytes().all(kept) {
        return Err("a host name holds only a-z 0-9 - _ .");
    }
    if host.split('.').any(str::is_empty) {
        return Err("a label of the host name is empty");
    }
    Ok(())
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.host())
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({:?})", self.host())
    }
}

impl std::str::FromStr for Domain {
    type Err = Error;

    fn from_str(host: &str) -> Result<Self> {
        Self::new(host)
    }
}

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.host())
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let host = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::new(&host).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_kept_in_lower_case_and_punycode() {
        for (given, kept) in [
            ("Go.Acme.com", "go.acme.com"),
            ("localhost", "localhost"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("acme.com.", "acme.com"),
            ("127.0.0.1", "127.0.0.1"),
        ] {
            assert_eq!(Domain::new(given).unwrap().host(), kept);
        }
    }

    #[test]
    fn what_is_not_a_host_name_is_refused() {
        for bad in ["", ".", "a..b", "a/b", "a:80", "a b", "[::1]", "a%2fb", "user@a", "a\\b", &"a.".repeat(130)] {
            assert!(matches!(Domain::new(bad), Err(Error::InvalidInput { .. })), "{bad:?} was let in");
        }
    }
}
