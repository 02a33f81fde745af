//! The host of the page that a click came from.

use url::Url;

use crate::MAX_CLICK_TEXT_BYTES;

/// What sends a `Referer` that names a site, or an app by its package.
const SCHEMES: [&str; 4] = ["https", "http", "android-app", "ios-app"];

/// The host of a `Referer` header in lower case, without user, port and path; `None` when it has none.
pub(super) fn host(referrer: &str) -> Option<String> {
    let (scheme, rest) = referrer.split_once("://")?;
    if !SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        && port.bytes().all(|byte| byte.is_ascii_digit());
    // Nearly every referrer is plain, and then this is a tenth of a parse of the URL.
    let mut host = if plain { host.to_owned() } else { Url::parse(referrer).ok()?.host_str()?.to_owned() };
    host.make_ascii_lowercase();
    if host.ends_with('.') {
        host.pop();
    }
    let named = host.bytes().any(|byte| byte.is_ascii_alphanumeric());
    let kept = named && host.len() <= MAX_CLICK_TEXT_BYTES && !host.chars().any(char::is_control);
    kept.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_host_is_kept() {
        for (referrer, expected) in [
            ("https://News.example.com/a?q=secret#x", "news.example.com"),
            ("http://example.com", "example.com"),
            ("HTTPS://example.com:8443/", "example.com"),
            ("https://user:password@example.com/", "example.com"),
            ("https://bücher.example/", "xn--bcher-kva.example"),
            ("https://[2001:db8::1]:80/", "[2001:db8::1]"),
            ("https://example.com./", "example.com"),
            ("https://example.com?q", "example.com"),
            ("android-app://com.google.android.gm/", "com.google.android.gm"),
        ] {
            assert_eq!(host(referrer).as_deref(), Some(expected), "{referrer}");
        }
    }

    #[test]
    fn what_names_no_site_has_no_host() {
        let long = format!("https://{}.example/", "x".repeat(300));
        for referrer in
            ["", "about:blank", "https://", "https:///a", "https://../", "data://x", "no url", "https://a b/", &long]
        {
            assert_eq!(host(referrer), None, "{referrer}");
        }
    }
}
