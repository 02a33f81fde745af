//! Targets: what a redirect needs of a link, and no more.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{Error, Link, RedirectStatus, Result, url_policy};

/// The parts of a [`Target`], for stores and caches that read their own rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TargetParts {
    /// The link's id.
    pub id: Uuid,
    /// Where the link leads, as it is stored.
    pub url: String,
    /// How the redirect is answered.
    pub redirect: RedirectStatus,
    /// Whether the query of the short URL is added to the target's.
    pub forward_query: bool,
    /// Whether the link has `max_clicks`.
    pub limited: bool,
    /// From when on the link leads anywhere.
    pub active_from: Option<DateTime<Utc>>,
    /// From when on it no longer does.
    pub expires_at: Option<DateTime<Utc>>,
    /// The link's tags.
    pub tags: Vec<String>,
}

impl TargetParts {
    /// A target without options.
    pub fn new(id: Uuid, url: impl Into<String>) -> Self {
        Self {
            id,
            url: url.into(),
            redirect: RedirectStatus::default(),
            forward_query: false,
            limited: false,
            active_from: None,
            expires_at: None,
            tags: Vec::new(),
        }
    }
}

/// What a redirect needs of a link, packed: caches hold these. Cloning is one reference count.
///
/// A stored URL may have been written by another program, so it is checked here again. One that
/// only holds characters which a `Location` header cannot is serialised. Any other that cannot stand
/// there makes an unfit target: [`check`](Self::check) says so, and the engine answers with that
/// error instead of a redirect.
#[derive(Clone, PartialEq)]
pub struct Target(Arc<Packed>);

/// In this order: what every redirect looks at stands beside the reference count, which it touches in
/// any case.
#[derive(PartialEq)]
#[repr(C)]
struct Packed {
    flags: Flags,
    redirect: RedirectStatus,
    url_len: u32,
    id: Uuid,
    /// The URL, then each tag behind a line feed.
    text: Box<str>,
    /// Milliseconds since 1970; `i64::MIN` is from the beginning.
    active_from: i64,
    /// Milliseconds since 1970; `i64::MAX` is never.
    expires_at: i64,
}

#[derive(Clone, Copy, PartialEq)]
struct Flags(u8);

impl Flags {
    const FORWARDS_QUERY: u8 = 1;
    const LIMITED: u8 = 2;
    /// Has a beginning or an end.
    const TIMED: u8 = 4;
    /// The URL cannot be a header.
    const UNFIT: u8 = 8;

    fn set(flags: &[(u8, bool)]) -> Self {
        Self(flags.iter().filter(|(_, is_set)| *is_set).fold(0, |all, (flag, _)| all | flag))
    }

    const fn has(self, flags: u8) -> bool {
        self.0 & flags != 0
    }
}

/// Whether a link leads anywhere at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Not yet.
    Pending,
    /// Yes.
    Active,
    /// No longer.
    Expired,
}

impl Target {
    /// Packs the parts. Tags with control characters are left out (the rules of
    /// [`Link`](crate::Link) do not let one in).
    pub fn new(parts: TargetParts) -> Self {
        let repaired = url_policy::repair_stored(&parts.url).map(std::borrow::Cow::into_owned);
        let mut fit = repaired.is_ok();
        let mut text = repaired.unwrap_or(parts.url);
        let url_len = u32::try_from(text.len()).unwrap_or_else(|_| {
            // No row is that long, but the length must be the text's.
            fit = false;
            text.clear();
            0
        });
        for tag in parts.tags.iter().filter(|tag| !tag.chars().any(char::is_control)) {
            text.push('\n');
            text.push_str(tag);
        }
        let flags = Flags::set(&[
            (Flags::FORWARDS_QUERY, parts.forward_query),
            (Flags::LIMITED, parts.limited),
            (Flags::TIMED, parts.active_from.is_some() || parts.expires_at.is_some()),
            (Flags::UNFIT, !fit),
        ]);
        Self(Arc::new(Packed {
            flags,
            id: parts.id,
            active_from: parts.active_from.map_or(i64::MIN, |at| at.timestamp_millis()),
            expires_at: parts.expires_at.map_or(i64::MAX, |at| at.timestamp_millis()),
            text: text.into_boxed_str(),
            url_len,
            redirect: parts.redirect,
        }))
    }

    /// The parts again, as a cache elsewhere sends them.
    pub fn to_parts(&self) -> TargetParts {
        TargetParts {
            id: self.id(),
            url: self.url().to_owned(),
            redirect: self.redirect(),
            forward_query: self.forward_query(),
            limited: self.is_limited(),
            active_from: self.active_from(),
            expires_at: self.expires_at(),
            tags: self.tags().map(str::to_owned).collect(),
        }
    }

    /// Whether the URL can stand in a `Location` header.
    ///
    /// # Errors
    ///
    /// [`Error::UnfitRow`] with the rule that the stored URL breaks.
    pub fn check(&self) -> Result<()> {
        if !self.0.flags.has(Flags::UNFIT) {
            return Ok(());
        }
        let reason = url_policy::check_stored(self.url()).err().unwrap_or("it is not a URL");
        Err(Error::unfit_row("url", self.url(), reason))
    }

    /// Whether a redirect needs no second look: the URL is fit, and no time bounds it.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        !self.0.flags.has(Flags::UNFIT | Flags::TIMED)
    }

    /// The link's id.
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// Where the link leads. Goes into a header only when [`check`](Self::check) passes; targets
    /// that come out of [`Linkly::resolve`](crate::Linkly::resolve) have passed.
    pub fn url(&self) -> &str {
        &self.0.text[..self.0.url_len as usize]
    }

    /// How the redirect is answered.
    pub fn redirect(&self) -> RedirectStatus {
        self.0.redirect
    }

    /// Whether the query of the short URL is added to the target's.
    pub fn forward_query(&self) -> bool {
        self.0.flags.has(Flags::FORWARDS_QUERY)
    }

    /// Whether the link has `max_clicks`, so that each redirect must be granted by the store.
    pub fn is_limited(&self) -> bool {
        self.0.flags.has(Flags::LIMITED)
    }

    /// From when on the link leads anywhere.
    pub fn active_from(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0.active_from)
    }

    /// From when on it no longer does.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.0.expires_at)
    }

    /// The link's tags.
    pub fn tags(&self) -> impl Iterator<Item = &str> {
        self.0.text[self.0.url_len as usize..].split('\n').skip(1)
    }

    /// Whether the link depends on the wall clock at all.
    pub fn is_timed(&self) -> bool {
        self.0.flags.has(Flags::TIMED)
    }

    /// Whether the link leads anywhere at `now`: from `active_from` on, until before `expires_at`.
    pub fn activity(&self, now: DateTime<Utc>) -> Activity {
        let now = now.timestamp_millis();
        if now < self.0.active_from {
            Activity::Pending
        } else if now < self.0.expires_at {
            Activity::Active
        } else {
            Activity::Expired
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        2 * size_of::<usize>() + size_of::<Packed>() + self.0.text.len()
    }
}

impl From<&Link> for Target {
    fn from(link: &Link) -> Self {
        Self::new(TargetParts {
            id: link.id,
            url: link.url.clone(),
            redirect: link.redirect,
            forward_query: link.forward_query,
            limited: link.max_clicks.is_some(),
            active_from: link.active_from,
            expires_at: link.expires_at,
            tags: link.tags.clone(),
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("id", &self.id())
            .field("url", &self.url())
            .field("redirect", &self.redirect())
            .field("limited", &self.is_limited())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back() {
        let mut parts = TargetParts::new(Uuid::from_u128(7), "https://iii.dev/é?a=%0A".replace('é', "e"));
        parts.tags = vec!["a".into(), "b c".into()];
        parts.limited = true;
        parts.expires_at = DateTime::from_timestamp_millis(1_000);
        let target = Target::new(parts.clone());
        assert_eq!(target.to_parts(), parts);
        assert!(target.check().is_ok() && target.is_timed());
    }

    #[test]
    fn an_unfit_url_is_an_error_and_never_a_header() {
        for url in ["", "iii.dev", "javascript:alert(1)", "https://a\r\nX: y", "https://a b", "https://", "/x"] {
            let target = Target::new(TargetParts::new(Uuid::nil(), url));
            assert!(matches!(target.check(), Err(Error::UnfitRow { what: "url", .. })), "{url:?} passed");
        }
    }

    #[test]
    fn a_link_leads_from_its_activation_until_before_its_expiry() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        let mut parts = TargetParts::new(Uuid::nil(), "https://iii.dev");
        (parts.active_from, parts.expires_at) = (Some(at(10)), Some(at(20)));
        let target = Target::new(parts);
        let seen: Vec<_> = [9, 10, 19, 20].map(|millis| target.activity(at(millis))).into();
        assert_eq!(seen, [Activity::Pending, Activity::Active, Activity::Active, Activity::Expired]);
    }

    #[test]
    fn a_target_is_small() {
        assert!(size_of::<Packed>() <= 56, "{}", size_of::<Packed>());
    }
}
