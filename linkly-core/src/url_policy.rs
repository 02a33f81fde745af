//! Which URLs a link may lead to.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Domain, Error, Result};

/// The most bytes of a URL.
pub const MAX_URL_BYTES: usize = 8 * 1_024;

/// Schemes that run or show what the URL itself holds, or read the visitor's own files.
const NEVER: [&str; 6] = ["javascript", "data", "vbscript", "file", "blob", "about"];

/// Which URLs a link may lead to, and what of the caller's text is kept.
///
/// Text that does not begin with `http://` or `https://`, in any case, gets `https://` in front; the
/// result must be a URL by the WHATWG standard. Refused are credentials, control characters, an
/// empty host and more than 8 KiB. The caller's text is kept to the letter unless it holds what
/// cannot stand in a `Location` header (other than ASCII, spaces) or what browsers read as another
/// character (a backslash); then the URL's serialisation is kept.
///
/// ```
/// use linkly_core::UrlPolicy;
///
/// let policy = UrlPolicy::default();
/// assert_eq!(policy.apply("iii.dev/docs")?, "https://iii.dev/docs");
/// assert_eq!(policy.apply("HTTP://iii.dev/a%2Fb")?, "HTTP://iii.dev/a%2Fb");
/// assert_eq!(policy.apply("https://bücher.example/ä b")?, "https://xn--bcher-kva.example/%C3%A4%20b");
/// assert!(policy.apply("javascript:alert(1)").is_err());
/// # Ok::<(), linkly_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct UrlPolicy {
    /// Schemes besides `http` and `https`. Default: none.
    pub schemes: Vec<String>,
    /// Host names of the app's own short URLs, in any case and also international ones: a link to one of them could redirect in a circle.
    /// Default: none.
    pub own_hosts: Vec<String>,
    /// The most bytes of a URL. Default and upper limit: 8 KiB.
    pub max_bytes: usize,
}

impl Default for UrlPolicy {
    fn default() -> Self {
        Self { schemes: Vec::new(), own_hosts: Vec::new(), max_bytes: MAX_URL_BYTES }
    }
}

impl UrlPolicy {
    /// Lets in one more scheme, such as `mailto` or an app's own.
    #[must_use]
    pub fn with_scheme(mut self, scheme: &str) -> Self {
        self.schemes.push(scheme.to_owned());
        self
    }

    /// Refuses links to `host`.
    #[must_use]
    pub fn with_own_host(mut self, host: &str) -> Self {
        self.own_hosts.push(host.to_owned());
        self
    }

    /// The URL to keep for the text that a caller gave.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`] with the rule that the text breaks.
    pub fn apply(&self, text: &str) -> Result<String> {
        self.admit(text).map_err(|reason| Error::invalid_url(text, reason))
    }

    fn admit(&self, text: &str) -> Result<String, &'static str> {
        let max_bytes = self.max_bytes.min(MAX_URL_BYTES);
        if text.len() > max_bytes {
            return Err("it is longer than 8 KiB, or than the limit that was set");
        }
        if text.chars().any(char::is_control) {
            return Err("it holds a control character");
        }
        let text = text.trim_matches(' ');
        if text.is_empty() {
            return Err("it is empty");
        }
        let (scheme, text) = match self.scheme_of(text) {
            Some(scheme) => (scheme, text.to_owned()),
            None if begins_with_web_scheme(text) => return Err("its scheme is not followed by //"),
            None => ("https".to_owned(), format!("https://{text}")),
        };
        let is_web = scheme == "http" || scheme == "https";
        if is_web && has_empty_host(&text) {
            return Err("its host is empty");
        }
        let url = Url::parse(&text).map_err(reason_of)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it holds a user name or a password");
        }
        if is_web && url.host_str().is_none_or(str::is_empty) {
            return Err("its host is empty");
        }
        if url.host_str().is_some_and(|host| self.is_own(host)) {
            return Err("it leads back to this service");
        }
        let kept = if text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') { text } else { url.into() };
        if kept.len() > max_bytes {
            return Err("written out it is longer than 8 KiB, or than the limit that was set");
        }
        check_stored(&kept)?;
        Ok(kept)
    }

    fn is_own(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.own_hosts.iter().any(|own| Domain::new(own).is_ok_and(|own| own.host() == host))
    }

    /// The scheme the text begins with, if it is one that this policy lets in.
    fn scheme_of(&self, text: &str) -> Option<String> {
        let (scheme, rest) = text.split_once(':')?;
        let scheme = scheme.to_ascii_lowercase();
        let is_web = (scheme == "http" || scheme == "https") && rest.starts_with("//");
        let is_let_in = self.schemes.iter().any(|other| other.eq_ignore_ascii_case(&scheme));
        (is_web || is_let_in && !NEVER.contains(&scheme.as_str())).then_some(scheme)
    }
}

/// `https:\\host` and `https:host` are typing errors; in front of them `https://` would make a host of
/// the scheme.
fn begins_with_web_scheme(text: &str) -> bool {
    text.split_once(':')
        .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
}

/// The parser skips any number of slashes before the host; a browser's user would be surprised.
fn has_empty_host(text: &str) -> bool {
    let after = text.split_once("://").map_or("", |(_, after)| after);
    after.is_empty() || after.starts_with(['/', '\\', '?', '#', ':', '@'])
}

fn reason_of(error: url::ParseError) -> &'static str {
    match error {
        url::ParseError::EmptyHost => "its host is empty",
        url::ParseError::IdnaError | url::ParseError::InvalidDomainCharacter => "its host is not a host name",
        url::ParseError::InvalidPort => "its port is not a number (a scheme other than http and https is not let in)",
        url::ParseError::InvalidIpv4Address | url::ParseError::InvalidIpv6Address => "its host is not an address",
        _ => "it is not a URL",
    }
}

/// Whether a stored URL can stand in a `Location` header; the error is the rule it breaks. The
/// scheme's policy was applied when the link was made; here is refused what no policy lets in.
pub(crate) fn check_stored(url: &str) -> Result<(), &'static str> {
    if url.len() > MAX_URL_BYTES {
        return Err("it is longer than 8 KiB");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("it holds a character that a Location header cannot");
    }
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err("it has no scheme");
    };
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err("it has no scheme");
    }
    if NEVER.iter().any(|never| scheme.eq_ignore_ascii_case(never)) {
        return Err("its scheme is never let in");
    }
    if begins_with_web_scheme(url) && (!rest.starts_with("//") || has_empty_host(url)) {
        return Err("its host is empty");
    }
    Ok(())
}

/// The URL of a row that another program may have written, as it can stand in a `Location` header:
/// as it is, or serialised where only its characters are in the way.
pub(crate) fn repair_stored(url: &str) -> Result<std::borrow::Cow<'_, str>, &'static str> {
    let reason = match check_stored(url) {
        Ok(()) => return Ok(url.into()),
        Err(reason) => reason,
    };
    let is_repairable = !url.is_ascii() || url.contains(' ');
    if is_repairable
        && !has_empty_host(url)
        && !url.chars().any(char::is_control)
        && let Ok(parsed) = Url::parse(url)
        && matches!(parsed.scheme(), "http" | "https")
    {
        let serialised = String::from(parsed);
        check_stored(&serialised)?;
        return Ok(serialised.into());
    }
    Err(reason)
}

/// Adds the query of the short URL to the target's, before the fragment. A query that cannot stand
/// in a header is left out.
pub(crate) fn with_query(url: &str, query: &str) -> String {
    if query.is_empty() || !query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return url.to_owned();
    }
    let (base, fragment) = match url.split_once('#') {
        Some((base, fragment)) => (base, Some(fragment)),
        None => (url, None),
    };
    let joint = match base.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, old)) if old.ends_with('&') => "",
        Some(_) => "&",
    };
    let mut joined = String::with_capacity(url.len() + query.len() + 1);
    for part in [base, joint, query] {
        joined.push_str(part);
    }
    if let Some(fragment) = fragment {
        joined.push('#');
        joined.push_str(fragment);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn kept(text: &str) -> String {
        UrlPolicy::default().apply(text).unwrap()
    }

    #[track_caller]
    fn refused(text: &str) -> &'static str {
        match UrlPolicy::default().apply(text) {
            Err(Error::InvalidUrl { reason, .. }) => reason,
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn text_is_kept_to_the_letter_where_a_header_can_hold_it() {
        for text in [
            "https://iii.dev",
            "HtTpS://III.dev",
            "http://iii.dev/a%2Fb/../c?x=%0d%0A&y=1#z",
            "https://iii.dev/?redirect=https://other.example/",
            "https://[::1]:8080/",
            "https://iii.dev./",
        ] {
            assert_eq!(kept(text), text);
        }
    }

    #[test]
    fn text_without_a_web_scheme_gets_https_in_front() {
        assert_eq!(kept("iii.dev"), "https://iii.dev");
        assert_eq!(kept("example.com:8080"), "https://example.com:8080");
        assert_eq!(kept("  iii.dev  "), "https://iii.dev");
        assert_eq!(kept("localhost:3111/s/a"), "https://localhost:3111/s/a");
    }

    #[test]
    fn what_a_header_cannot_hold_is_serialised() {
        assert_eq!(kept("https://iii.dev/a b"), "https://iii.dev/a%20b");
        assert_eq!(kept("https://iii.dev\\a"), "https://iii.dev/a");
        assert_eq!(kept("https://bücher.example/ä"), "https://xn--bcher-kva.example/%C3%A4");
        assert_eq!(kept("https://日本.example/?q=本"), "https://xn--wgv71a.example/?q=%E6%9C%AC");
    }

    #[test]
    fn what_is_not_a_web_address_is_refused_with_the_rule() {
        let port = "its port is not a number (a scheme other than http and https is not let in)";
        for (text, reason) in [
            ("", "it is empty"),
            ("   ", "it is empty"),
            ("javascript:alert(1)", port),
            ("JavaScript:alert(1)", port),
            ("data:text/html,<script>", port),
            ("mailto:a@b.c", "it holds a user name or a password"),
            ("//host", "its host is empty"),
            ("///host", "its host is empty"),
            ("/path", "its host is empty"),
            ("https://", "its host is empty"),
            ("http:///x", "its host is empty"),
            ("https://?q", "its host is empty"),
            ("https://:80/", "its host is empty"),
            ("https:\\\\iii.dev", "its scheme is not followed by //"),
            ("HTTPS:iii.dev", "its scheme is not followed by //"),
            ("user@host", "it holds a user name or a password"),
            ("https://user:pw@iii.dev", "it holds a user name or a password"),
            ("https://@iii.dev", "its host is empty"),
            ("https://iii.dev\r\nSet-Cookie: a", "it holds a control character"),
            ("https://iii.dev/a\tb", "it holds a control character"),
            ("https://iii.dev/\u{85}", "it holds a control character"),
            ("https://iii%0d.dev/", "its host is not a host name"),
            ("https://a b/", "its host is not a host name"),
            ("https://\u{ad}/", "its host is empty"),
            ("https://iii.dev:99999/", port),
            ("https://1.2.3.400/", "its host is not an address"),
        ] {
            assert_eq!(refused(text), reason, "{text:?}");
        }
        let long = format!("https://iii.dev/{}", "x".repeat(9 * 1_024));
        assert_eq!(refused(&long), "it is longer than 8 KiB, or than the limit that was set");
        let grows = format!("https://iii.dev/{}", "é".repeat(3_000));
        assert_eq!(refused(&grows), "written out it is longer than 8 KiB, or than the limit that was set");
    }

    #[test]
    fn other_schemes_and_own_hosts_are_the_apps_to_say() {
        let policy = UrlPolicy::default().with_scheme("mailto").with_scheme("javascript").with_own_host("Go.acme.com");
        assert_eq!(policy.apply("mailto:a@b.c").unwrap(), "mailto:a@b.c");
        assert!(policy.apply("javascript:alert(1)").is_err());
        let configured: UrlPolicy =
            serde_json::from_str(r#"{"own_hosts": ["Go.Acme.com", "bücher.example"], "schemes": ["MailTo"]}"#).unwrap();
        assert!(configured.apply("https://bücher.example/x").is_err() && configured.apply("go.acme.com").is_err());
        assert!(configured.apply("mailto:a@b.c").is_ok());
        assert!(serde_json::from_str::<UrlPolicy>(r#"{"own_host": []}"#).is_err());
        for text in ["https://go.acme.com/x", "GO.ACME.COM", "https://go.acme.com.:443/x"] {
            assert!(policy.apply(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_row_of_another_program_is_repaired_where_only_its_characters_are_in_the_way() {
        assert_eq!(repair_stored("https://iii.dev/ä b").unwrap(), "https://iii.dev/%C3%A4%20b");
        for bad in ["iii.dev", "https://a\r\nb", "javascript:alert('ä')", "https:///ä", ""] {
            assert!(repair_stored(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_forwarded_query_goes_behind_the_targets_own() {
        for (url, query, joined) in [
            ("https://a.b", "x=1", "https://a.b?x=1"),
            ("https://a.b?", "x=1", "https://a.b?x=1"),
            ("https://a.b/?y#f", "x=1", "https://a.b/?y&x=1#f"),
            ("https://a.b/?y&#f?g", "x=1", "https://a.b/?y&x=1#f?g"),
            ("https://a.b", "", "https://a.b"),
            ("https://a.b", "x=\r\n", "https://a.b"),
            ("https://a.b", "x=#", "https://a.b"),
        ] {
            assert_eq!(with_query(url, query), joined);
        }
    }
}
