//! What holds for any text that comes from outside.

use linkly_core::{Code, Domain, Target, TargetParts, UrlPolicy, Uuid};
use proptest::prelude::*;
use url::Url;

/// Texts that look like URLs, and everything else.
fn url_like() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![
        Just("https://"),
        Just("http://"),
        Just("HTTPS://"),
        Just(""),
        Just("//"),
        Just("javascript:"),
        Just("data:"),
        Just("https:/"),
        Just("https:\\\\"),
        Just("ftp://"),
        Just("mailto:"),
        Just("http:"),
    ];
    let host = prop_oneof![
        "[a-z]{1,8}\\.[a-z]{2,3}",
        "[a-z0-9äöü日.-]{0,12}",
        Just("user@host".to_owned()),
        Just("a:b@host".to_owned()),
        Just("[::1]".to_owned()),
        Just("127.0.0.1".to_owned()),
        "[a-z]{1,4}:[0-9]{1,6}",
        "\\PC{0,6}",
    ];
    let tail = prop_oneof![
        "(/[a-zA-Z0-9%._~-]{0,6}){0,4}(\\?[a-z=&%0-9]{0,10})?(#[a-z]{0,4})?",
        "[/?#\\\\]\\PC{0,20}",
        "(%0[adAD]|%2[fF]|\\.\\.|/|//|\\\\| |\\t|\\r|\\n|\u{0}|\u{7f}|\u{85}|\u{2028}){0,6}",
        any::<String>(),
    ];
    prop_oneof![
        4 => (scheme, host, tail).prop_map(|(scheme, host, tail)| format!("{scheme}{host}{tail}")),
        1 => any::<String>(),
    ]
}

/// Texts that look like codes and paths, and everything else.
fn code_like() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9._~-]{0,130}",
        "(/|//|\\.|\\.\\.|%2F|%2f|[a-zA-Z.~_-]{1,4}){0,8}",
        "//[a-z.]{1,8}/[a-z/.]{0,8}",
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn an_accepted_url_is_a_legal_location_that_leads_to_the_same_place(text in url_like()) {
        if let Ok(kept) = UrlPolicy::default().apply(&text) {
            prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()), "{kept:?}");
            prop_assert!(kept.len() <= 8 * 1024);
            prop_assert!(http::HeaderValue::from_str(&kept).is_ok());
            let parsed = Url::parse(&kept).unwrap();
            prop_assert!(matches!(parsed.scheme(), "http" | "https"), "{kept:?}");
            prop_assert!(parsed.host_str().is_some_and(|host| !host.is_empty()));
            prop_assert!(parsed.username().is_empty() && parsed.password().is_none());
            let text = text.trim_matches(' ');
            let is_web = |text: &str| {
                let lower = text.to_ascii_lowercase();
                lower.starts_with("http://") || lower.starts_with("https://")
            };
            let asked = if is_web(text) { text.to_owned() } else { format!("https://{text}") };
            prop_assert_eq!(&parsed, &Url::parse(&asked).unwrap());
            // What was let in once is let in again, as it is.
            prop_assert_eq!(UrlPolicy::default().apply(&kept).unwrap(), kept.clone());
            prop_assert!(Target::new(TargetParts::new(Uuid::nil(), kept)).check().is_ok());
        }
    }

    #[test]
    fn a_target_that_passes_its_check_is_always_a_legal_header(url in url_like()) {
        let target = Target::new(TargetParts::new(Uuid::nil(), url));
        if target.check().is_ok() {
            prop_assert!(http::HeaderValue::from_str(target.url()).is_ok());
            let scheme = target.url().split(':').next().unwrap_or_default().to_ascii_lowercase();
            prop_assert!(!matches!(scheme.as_str(), "" | "javascript" | "data" | "vbscript" | "file"));
        }
    }

    #[test]
    fn a_code_holds_no_byte_that_a_path_a_header_or_sql_reads_differently(text in code_like()) {
        if let Ok(code) = Code::new(&text) {
            let path = code.path();
            prop_assert_eq!(path, text.as_str());
            prop_assert!(path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte)));
            prop_assert!(http::HeaderValue::from_str(path).is_ok());
            // As a path, a browser asks for exactly this.
            let url = Url::parse(&format!("https://s.example/{path}")).unwrap();
            prop_assert_eq!(url.path(), format!("/{path}"));
            prop_assert_eq!(url.host_str(), Some("s.example"));
        }
    }

    #[test]
    fn a_plain_code_is_never_the_key_of_a_link_in_a_domain(text in code_like(), host in "[a-z]{1,6}\\.[a-z]{2,3}") {
        let domain = Domain::new(&host).unwrap();
        if let Ok(plain) = Code::new(&text) {
            prop_assert_eq!(plain.domain(), None);
            prop_assert!(!plain.as_str().starts_with("//"));
            let inside = Code::in_domain(&domain, &text).unwrap();
            prop_assert!(inside.as_str().starts_with(domain.prefix()));
            prop_assert_eq!((inside.domain(), inside.path()), (Some(domain.host()), text.as_str()));
            prop_assert_eq!(Code::from_key(inside.as_str()).unwrap(), inside);
        } else {
            prop_assert!(Code::in_domain(&domain, &text).is_err());
        }
    }

    #[test]
    fn a_key_reads_back_to_what_was_written_and_nothing_else_is_a_key(text in code_like()) {
        if let Ok(code) = Code::from_key(&text) {
            prop_assert_eq!(code.as_str(), text.as_str());
            let again = match code.domain() {
                Some(host) => Code::in_domain(&Domain::new(host).unwrap(), code.path()).unwrap(),
                None => Code::new(code.path()).unwrap(),
            };
            prop_assert_eq!(again, code);
        }
    }
}
