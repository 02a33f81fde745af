//! What is taken down of a visit, and how it is packed until the recorder's task looks at it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::group::Group;
use crate::Code;

/// The most bytes kept of a referrer or a user agent until it is looked at.
const MAX_TEXT_BYTES: usize = 512;

/// What is looked at of a referrer or a user agent.
pub(super) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT_BYTES)]
}

/// What a visit takes down. Making one costs nothing: texts are borrowed, and all that takes time
/// (the user agent, the referrer's host, the visitor's hash, the click's id) is left to the recorder's
/// task.
///
/// `Debug` shows neither address nor user agent.
#[derive(Clone)]
#[must_use = "a capture does nothing until it is recorded"]
pub struct Capture<'a> {
    key: Key<'a>,
    pub(super) link_id: Option<Uuid>,
    at_millis: i64,
    pub(super) referrer: Option<&'a str>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) country: Option<[u8; 2]>,
    pub(super) ip: Option<IpAddr>,
    pub(super) bot: Option<bool>,
}

#[derive(Clone)]
enum Key<'a> {
    Code(Code),
    /// One that was checked, and is not worth an allocation.
    Checked(&'a str),
}

impl Key<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Code(code) => code.as_str(),
            Self::Checked(key) => key,
        }
    }
}

impl<'a> Capture<'a> {
    /// A visit of `code` at that time, of which nothing else is known. The click keeps whole
    /// milliseconds, and a time before 1970 as 1970.
    pub const fn new(code: Code, at: DateTime<Utc>) -> Self {
        Self::with_key(Key::Code(code), at.timestamp_millis())
    }

    /// The same with a key that was checked, at milliseconds since 1970.
    pub(crate) const fn of_checked(key: &'a str, at_millis: i64) -> Self {
        Self::with_key(Key::Checked(key), at_millis)
    }

    const fn with_key(key: Key<'a>, at_millis: i64) -> Self {
        Self { key, link_id: None, at_millis, referrer: None, user_agent: None, country: None, ip: None, bot: None }
    }

    /// The link's id.
    pub fn with_link_id(mut self, id: impl Into<Option<Uuid>>) -> Self {
        self.link_id = id.into();
        self
    }

    /// The `Referer` header as it came. Only its host is kept; what is beyond 512 bytes is not looked
    /// at.
    pub fn with_referrer(mut self, referrer: impl Into<Option<&'a str>>) -> Self {
        self.referrer = referrer.into();
        self
    }

    /// The `User-Agent` header as it came. Only what it says about browser, system and device is kept;
    /// what is beyond 512 bytes is not looked at.
    pub fn with_user_agent(mut self, user_agent: impl Into<Option<&'a str>>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// The visitor's country, ISO 3166-1 alpha-2 in any case, as a proxy's header or the app's own
    /// lookup gives it. Text that is not two letters or digits is left out, and so is `XX`, which
    /// stands for unknown.
    pub fn with_country<'t>(mut self, country: impl Into<Option<&'t str>>) -> Self {
        let two = country.into().and_then(|text| <[u8; 2]>::try_from(text.as_bytes()).ok());
        let upper = two.map(|two| two.map(|byte| byte.to_ascii_uppercase()));
        self.country = upper.filter(|two| two.iter().all(u8::is_ascii_alphanumeric) && two != b"XX");
        self
    }

    /// The visitor's address. It goes into the [visitor's hash](super::VisitorHash), if there is one,
    /// and nowhere else.
    pub fn with_ip(mut self, ip: impl Into<Option<IpAddr>>) -> Self {
        self.ip = ip.into();
        self
    }

    /// Whether a program clicked, where that is known already (a HEAD request). Else the user agent
    /// tells.
    pub fn with_bot(mut self, bot: impl Into<Option<bool>>) -> Self {
        self.bot = bot.into();
        self
    }
}

impl fmt::Debug for Capture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = DateTime::from_timestamp_millis(self.at_millis);
        f.debug_struct("Capture").field("code", &self.key.as_str()).field("at", &at).finish_non_exhaustive()
    }
}

/// A capture in a chunk; its code and its texts stand in the chunk's text, one behind the other.
///
/// The code too: kept as a [`Code`] it is an allocation that one thread makes and another gives back, for
/// which all threads wait at the allocator's lock.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) link_id: Option<Uuid>,
    pub(super) at_millis: i64,
    pub(super) country: Option<[u8; 2]>,
    pub(super) ip: Option<IpAddr>,
    pub(super) bot: Option<bool>,
    text: u32,
    code: u16,
    referrer: u16,
    user_agent: u16,
}

/// The length of a text that is not there.
const NO_TEXT: u16 = u16::MAX;

/// The captures of one batch: two allocations that are used again for later batches, none for each
/// capture.
#[derive(Debug)]
pub(super) struct Chunk {
    /// When its first capture came.
    pub(super) since: Instant,
    slots: Vec<Slot>,
    text: String,
    /// Those who wait until the batch is durable.
    group: Option<Arc<Group>>,
}

impl Chunk {
    pub(super) fn new() -> Self {
        Self { since: Instant::now(), slots: Vec::new(), text: String::new(), group: None }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Packs a capture. The address is kept only for `keep_ip`.
    pub(super) fn push(&mut self, capture: &Capture<'_>, keep_ip: bool) {
        // A batch has at most 65,536 captures, and each at most 1,024 bytes and its key.
        let text = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let code = self.push_text(Some(capture.key.as_str()));
        let referrer = self.push_text(capture.referrer);
        let user_agent = self.push_text(capture.user_agent);
        self.slots.push(Slot {
            link_id: capture.link_id,
            at_millis: capture.at_millis,
            country: capture.country,
            ip: capture.ip.filter(|_| keep_ip),
            bot: capture.bot,
            text,
            code,
            referrer,
            user_agent,
        });
    }

    fn push_text(&mut self, text: Option<&str>) -> u16 {
        let Some(text) = text else { return NO_TEXT };
        let kept = cut(text);
        self.text.push_str(kept);
        u16::try_from(kept.len()).unwrap_or(NO_TEXT)
    }

    /// The captures in order, each with its code, its referrer and its user agent.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&Slot, &str, Option<&str>, Option<&str>)> {
        self.slots.iter().map(|slot| {
            let mut rest = self.text.get(slot.text as usize..).unwrap_or_default();
            let mut next = |len: u16| {
                let (text, behind) = (len != NO_TEXT).then(|| rest.split_at_checked(len.into())).flatten()?;
                rest = behind;
                Some(text)
            };
            (slot, next(slot.code).unwrap_or_default(), next(slot.referrer), next(slot.user_agent))
        })
    }

    /// Those who wait for this batch.
    pub(super) fn group(&mut self) -> &Arc<Group> {
        self.group.get_or_insert_default()
    }

    pub(super) fn take_group(&mut self) -> Option<Arc<Group>> {
        self.group.take()
    }

    /// Makes it ready to be used again.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.text.clear();
        self.group = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture(code: &str) -> Capture<'static> {
        Capture::new(Code::new(code).unwrap(), Utc::now())
    }

    #[test]
    fn texts_come_out_as_they_went_in() {
        let long = "é".repeat(400);
        let mut chunk = Chunk::new();
        chunk.push(&capture("a").with_referrer("https://a.example/").with_user_agent("Firefox"), false);
        chunk.push(&capture("b").with_user_agent(""), false);
        chunk.push(&capture("c").with_referrer(&*long), false);
        let read: Vec<_> = chunk.iter().map(|(_, code, referrer, agent)| (code, referrer, agent)).collect();
        let cut = &long[..512];
        assert_eq!(
            read,
            [("a", Some("https://a.example/"), Some("Firefox")), ("b", None, Some("")), ("c", Some(cut), None)]
        );
    }

    #[test]
    fn a_chunk_that_is_used_again_is_empty() {
        let mut chunk = Chunk::new();
        for _ in 0..3 {
            chunk.push(&capture("a").with_user_agent("Firefox"), false);
            assert_eq!((chunk.len(), &*chunk.text), (1, "aFirefox"));
            chunk.clear();
        }
    }

    #[test]
    fn an_address_is_kept_only_where_it_is_hashed() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let mut chunk = Chunk::new();
        chunk.push(&capture("a").with_ip(ip), false);
        chunk.push(&capture("b").with_ip(ip), true);
        let kept: Vec<_> = chunk.iter().map(|(slot, ..)| slot.ip).collect();
        assert_eq!(kept, [None, Some(ip)]);
        let shown = format!("{:?}", capture("a").with_ip(ip).with_user_agent("secret"));
        assert!(!shown.contains("192.0") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_country_is_two_letters() {
        for (text, kept) in [("ch", Some(*b"CH")), ("T1", Some(*b"T1")), ("XX", None), ("xx", None), ("CHE", None)] {
            assert_eq!(capture("a").with_country(text).country, kept, "{text}");
        }
        assert_eq!(capture("a").with_country("é").country, None);
    }

    #[test]
    fn a_slot_is_small() {
        assert!(size_of::<Slot>() <= 80, "{}", size_of::<Slot>());
    }
}
