//! Where a database is: what a URL says.

use std::path::PathBuf;

use linkly_core::{Error, Result};

/// Where a database is.
#[derive(PartialEq, Eq)]
pub(crate) enum Place {
    /// In this process's memory.
    Memory,
    /// In a file.
    File(PathBuf),
    /// On a server: its URL without parameters, and the token.
    Server { url: String, token: String },
}

/// What a URL says, with the token that is to be taken where it holds none.
pub(crate) fn place_of(url: &str, token: Option<&str>) -> Result<Place> {
    let invalid = |reason: &str| Err(Error::invalid("url", format!("{:?}: {reason}", shown(url))));
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    if let Some(path) = place.strip_prefix("file:") {
        if !query.is_empty() {
            return invalid("a file takes nothing behind a ?");
        }
        // `file:///var/a.db` is the same as `file:/var/a.db`.
        return match decoded(path.strip_prefix("//").unwrap_or(path)) {
            Some(path) if path == ":memory:" => Ok(Place::Memory),
            Some(path) if path.is_empty() => invalid("it names no file"),
            Some(path) => Ok(Place::File(path.into())),
            None => invalid("what stands behind a % is not a byte in hex, or no UTF-8"),
        };
    }
    let Some((scheme, host)) = place.split_once("://") else {
        return invalid("it begins neither with file: nor with libsql://, https:// or http://");
    };
    if host.is_empty() || host.starts_with('/') {
        return invalid("it names no host");
    }
    if host.contains('@') || host.contains('#') {
        return invalid("it may hold no @ and no #: the token goes behind ?authToken=");
    }
    let (mut in_url, mut with_tls) = (None, true);
    for (key, value) in
        query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    {
        match (key, value) {
            ("authToken", value) => {
                let Some(value) = decoded(value) else {
                    return invalid("the token is not percent-encoded as it should be");
                };
                in_url = Some(value);
            }
            ("tls", "0" | "1") if scheme == "libsql" => with_tls = value == "1",
            // Without the value, which may be a token under another name.
            _ => {
                return invalid(&format!(
                    "behind the ? stands {key:?}, and only authToken and, for libsql://, tls=0 may"
                ));
            }
        }
    }
    let scheme = match scheme {
        "libsql" if with_tls => "https",
        "libsql" => "http",
        "https" | "http" => scheme,
        _ => return invalid("it begins neither with file: nor with libsql://, https:// or http://"),
    };
    let token = in_url.or_else(|| token.map(str::to_owned)).unwrap_or_default();
    if token.chars().any(char::is_control) {
        return Err(Error::invalid("auth_token", "it holds a control character, as a line's end"));
    }
    Ok(Place::Server { url: format!("{scheme}://{}", host.trim_end_matches('/')), token })
}

/// A URL as an error may show it: without what stands behind the `?`, and without what looks like a password.
pub(crate) fn shown(url: &str) -> String {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let place = match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => place.to_owned(),
    };
    if query.is_empty() { place } else { format!("{place}?…") }
}

/// A text with `%20` and the like read as the bytes they are.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let hex = behind.get(..2).and_then(|hex| std::str::from_utf8(hex).ok())?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str, token: &str) -> Place {
        Place::Server { url: url.to_owned(), token: token.to_owned() }
    }

    #[test]
    fn a_url_names_a_file_memory_or_a_server() {
        let file = |path: &str| Place::File(path.into());
        for (url, wanted) in [
            ("file:./x.db", file("./x.db")),
            ("file:/abs/x.db", file("/abs/x.db")),
            ("file:///abs/x.db", file("/abs/x.db")),
            ("file:a%20b.db", file("a b.db")),
            ("file::memory:", Place::Memory),
            ("libsql://a.turso.io", server("https://a.turso.io", "fallback")),
            ("libsql://a.turso.io/?authToken=e.y%2Bz", server("https://a.turso.io", "e.y+z")),
            ("libsql://127.0.0.1:8080?tls=0&authToken=t", server("http://127.0.0.1:8080", "t")),
            ("http://127.0.0.1:8080", server("http://127.0.0.1:8080", "fallback")),
            ("https://a.io/sub/", server("https://a.io/sub", "fallback")),
        ] {
            assert!(place_of(url, Some("fallback")).unwrap() == wanted, "{url}");
        }
    }

    #[test]
    fn another_url_is_refused_without_showing_a_secret() {
        for bad in [
            "./linkly.db",
            "sqlite:./a.db",
            "postgres://user:secret@a",
            "file:",
            "file:a?key=secret",
            "file:%zz",
            "libsql://",
            "https://user:secret@a.io",
            "libsql://a.io?token=secret",
            "libsql://a.io?authToken=secret%",
            "https://a.io?tls=0",
        ] {
            let error = place_of(bad, None).err().unwrap().to_string();
            assert!(error.contains("invalid url") && !error.contains("secret"), "{error}");
        }
        let error = place_of("libsql://a.io", Some("secret\n")).err().unwrap().to_string();
        assert!(error.contains("auth_token") && !error.contains("secret"), "{error}");
    }
}
