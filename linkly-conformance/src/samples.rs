//! Links, clicks and times that the cases are about.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Click, Code, Domain, Link, RedirectStatus};
use rand::SeedableRng;
use rand::rngs::StdRng;

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// A Monday morning, at a whole hour.
pub(crate) fn start() -> DateTime<Utc> {
    at("2026-01-05T10:00:00Z")
}

pub(crate) fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

pub(crate) fn code(text: &str) -> Code {
    Code::new(text).expect("a code")
}

pub(crate) fn domain(host: &str) -> Domain {
    Domain::new(host).expect("a host name")
}

pub(crate) fn code_in(host: &str, text: &str) -> Code {
    Code::in_domain(&domain(host), text).expect("a code")
}

/// A link without options.
pub(crate) fn link(text: &str) -> Link {
    link_to(code(text))
}

pub(crate) fn link_to(code: Code) -> Link {
    let url = format!("https://example.com/{}", code.path());
    Link::new(code, url, start())
}

/// The link with a change: its struct may get more fields, so it cannot be written out elsewhere.
pub(crate) fn with(mut link: Link, change: impl FnOnce(&mut Link)) -> Link {
    change(&mut link);
    link
}

/// A link with every option, none of them as it is by default.
pub(crate) fn full_link(text: &str) -> Link {
    let mut link = link(text);
    link.url = format!("HTTPS://user-pages.example/{text}?a=%20&b='\"#f");
    link.updated_at = start() + TimeDelta::milliseconds(1_001);
    link.version = 3;
    link.active_from = Some(at("2020-02-29T23:59:59.999Z"));
    link.expires_at = Some(at("2099-12-31T00:00:00.001Z"));
    link.max_clicks = Some(u32::MAX);
    link.consumed = 7;
    link.redirect = RedirectStatus::PermanentRedirect;
    link.forward_query = true;
    link.title = Some("Ein Titel, 100 % \"gut\" – 🦀 'quoted' \\ _".into());
    link.tags = vec!["a tag".into(), "b,c;d".into(), "été 🏷".into()];
    link.metadata = serde_json::from_str(
        r#"{"app":{"nested":[1,-2,3.5,true,null,{"deep":"ü\n\t\"'\\"}]},"big":18446744073709551615,"empty":{},"":""}"#,
    )
    .expect("JSON");
    link
}

/// `count` links of which each has its own millisecond, so that the order of ids is known.
pub(crate) fn links(prefix: &str, count: usize) -> Vec<Link> {
    let made = (0..count).map(|n| {
        let code = code(&format!("{prefix}{n:05}"));
        let url = format!("https://example.com/{prefix}/{n}");
        Link::new(code, url, start() + TimeDelta::milliseconds(n as i64))
    });
    made.collect()
}

pub(crate) fn codes_of(links: &[Link]) -> Vec<Code> {
    links.iter().map(|link| link.code.clone()).collect()
}

pub(crate) fn click(text: &str, clicked_at: DateTime<Utc>) -> Click {
    Click::new(code(text), clicked_at)
}

pub(crate) fn bot(text: &str, clicked_at: DateTime<Utc>) -> Click {
    let mut click = click(text, clicked_at);
    click.bot = true;
    click
}

/// A click of this very link.
pub(crate) fn click_of(link: &Link, clicked_at: DateTime<Utc>) -> Click {
    let mut click = Click::new(link.code.clone(), clicked_at);
    click.link_id = Some(link.id);
    click
}

/// The same random numbers in every run.
pub(crate) fn seeded(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
