//! Links: what a store keeps.

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::whole_millis;
use crate::{Code, Error, Result, id};

/// The keys and values that an app keeps with a link.
pub type Metadata = serde_json::Map<String, serde_json::Value>;

/// The most bytes of a title.
pub const MAX_TITLE_BYTES: usize = 1_024;
/// The most tags of a link.
pub const MAX_TAGS: usize = 64;
/// The most bytes of a tag.
pub const MAX_TAG_BYTES: usize = 128;
/// The most bytes of a link's metadata, as JSON.
pub const MAX_METADATA_BYTES: usize = 64 * 1_024;

/// How a redirect is answered. The default is 302: a permanent redirect is kept by browsers, which
/// ends both counting and editing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum RedirectStatus {
    /// 301 Moved Permanently.
    MovedPermanently,
    /// 302 Found.
    #[default]
    Found,
    /// 303 See Other.
    SeeOther,
    /// 307 Temporary Redirect.
    TemporaryRedirect,
    /// 308 Permanent Redirect.
    PermanentRedirect,
}

impl RedirectStatus {
    /// The status code of the answer.
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::MovedPermanently => 301,
            Self::Found => 302,
            Self::SeeOther => 303,
            Self::TemporaryRedirect => 307,
            Self::PermanentRedirect => 308,
        }
    }
}

impl From<RedirectStatus> for u16 {
    fn from(status: RedirectStatus) -> Self {
        status.as_u16()
    }
}

impl TryFrom<u16> for RedirectStatus {
    type Error = Error;

    fn try_from(status: u16) -> Result<Self> {
        Ok(match status {
            301 => Self::MovedPermanently,
            302 => Self::Found,
            303 => Self::SeeOther,
            307 => Self::TemporaryRedirect,
            308 => Self::PermanentRedirect,
            other => {
                return Err(Error::invalid("redirect", format!("{other} is not one of 301, 302, 303, 307, 308")));
            }
        })
    }
}

/// A link as a store keeps it.
///
/// Times have whole milliseconds; tags are sorted and each stands once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// Made once, a UUID of version 7 that carries `created_at`, or 1970 where that is before. A code that is used
    /// again belongs to a new link with a new id.
    pub id: Uuid,
    /// The key.
    pub code: Code,
    /// Where the link leads.
    pub url: String,
    /// When the link was made.
    pub created_at: DateTime<Utc>,
    /// When the link was last changed; `created_at` for one that never was.
    pub updated_at: DateTime<Utc>,
    /// 1 for a new link, raised by one with every update.
    pub version: u32,
    /// From when on the link leads anywhere.
    pub active_from: Option<DateTime<Utc>>,
    /// From when on it no longer does.
    pub expires_at: Option<DateTime<Utc>>,
    /// How many redirects it grants in all; `None` is without limit.
    pub max_clicks: Option<u32>,
    /// How many of `max_clicks` were granted. Written by
    /// [`LinkStore::consume`](crate::LinkStore::consume) alone: an update leaves it as it is.
    pub consumed: u32,
    /// How the redirect is answered.
    pub redirect: RedirectStatus,
    /// Whether the query of the short URL is added to the target's.
    pub forward_query: bool,
    /// A title for people.
    pub title: Option<String>,
    /// Tags, sorted, each once.
    pub tags: Vec<String>,
    /// The app's own keys and values.
    pub metadata: Metadata,
}

impl Link {
    /// A new link of version 1 with a new id and no options.
    ///
    /// The texts are taken as they are: [`Linkly::draft`](crate::Linkly::draft) applies the policies.
    pub fn new(code: Code, url: impl Into<String>, created_at: DateTime<Utc>) -> Self {
        let created_at = whole_millis(created_at);
        Self {
            id: id::new_id(created_at),
            code,
            url: url.into(),
            created_at,
            updated_at: created_at,
            version: 1,
            active_from: None,
            expires_at: None,
            max_clicks: None,
            consumed: 0,
            redirect: RedirectStatus::default(),
            forward_query: false,
            title: None,
            tags: Vec::new(),
            metadata: Metadata::new(),
        }
    }

    /// Whether all texts and numbers are ones that every store can keep. Stores call it before they
    /// write, so that one bad link fails by name and not as a driver's error in the middle of a batch.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`] or [`Error::InvalidInput`] names the field and the rule.
    pub fn check(&self) -> Result<()> {
        crate::url_policy::check_stored(&self.url).map_err(|reason| Error::invalid_url(&self.url, reason))?;
        if self.version == 0 {
            return Err(Error::invalid("version", "it begins at 1"));
        }
        if self.max_clicks == Some(0) {
            return Err(Error::invalid("max_clicks", "a limit is at least 1"));
        }
        let times = [
            ("created_at", Some(self.created_at)),
            ("updated_at", Some(self.updated_at)),
            ("active_from", self.active_from),
            ("expires_at", self.expires_at),
        ];
        for (what, at) in times {
            at.map_or(Ok(()), |at| check_year(what, at, 0))?;
        }
        if let (Some(from), Some(until)) = (self.active_from, self.expires_at)
            && from >= until
        {
            return Err(Error::invalid("expires_at", "it is not after active_from"));
        }
        if let Some(title) = &self.title {
            check_text("title", title, MAX_TITLE_BYTES)?;
        }
        if self.tags.len() > MAX_TAGS {
            return Err(Error::invalid("tags", format!("{} of them, {MAX_TAGS} at most", self.tags.len())));
        }
        for tag in &self.tags {
            if tag.is_empty() {
                return Err(Error::invalid("tag", "it is empty"));
            }
            check_text("tag", tag, MAX_TAG_BYTES)?;
        }
        if !self.tags.is_sorted_by(|a, b| a < b) {
            return Err(Error::invalid("tags", "they are not sorted, or one stands twice"));
        }
        check_metadata(&self.metadata)
    }

    /// Whether this can be inserted: what [`check`](Self::check) asks, and that the id carries `created_at`, because
    /// lists find by their ids when links were made. Stores call it before they insert. An update changes neither,
    /// and asks for neither: the row may be another program's.
    ///
    /// # Errors
    ///
    /// Those of [`check`](Self::check), and [`Error::InvalidInput`] for the id.
    pub fn check_new(&self) -> Result<()> {
        self.check()?;
        // Stores drop what is finer than a millisecond, and no id carries a time before 1970.
        if id::carries(self.id, self.created_at.trunc_subsecs(3).max(DateTime::UNIX_EPOCH)) {
            return Ok(());
        }
        Err(Error::invalid("link id", "it is not a UUID of version 7 that carries created_at: make it by new_id"))
    }
}

/// Whether a time is one that RFC 3339 can write, from the year `first` on.
pub(crate) fn check_year(what: &'static str, at: DateTime<Utc>, first: i32) -> Result<()> {
    if (first..=9_999).contains(&at.year()) {
        return Ok(());
    }
    Err(Error::invalid(what, format!("the year {} is not in {first} to 9999", at.year())))
}

/// Whether `text` is short enough and has no control characters (a NUL fails a whole batch on
/// Postgres).
pub(crate) fn check_text(what: &'static str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        return Err(Error::invalid(what, format!("it has {} bytes, {most} at most", text.len())));
    }
    if let Some(control) = text.chars().find(|char| char.is_control()) {
        return Err(Error::invalid(what, format!("it holds the control character {control:?}")));
    }
    Ok(())
}

fn check_metadata(metadata: &Metadata) -> Result<()> {
    fn has_nul(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::String(text) => text.contains('\0'),
            serde_json::Value::Array(items) => items.iter().any(has_nul),
            serde_json::Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
            _ => false,
        }
    }
    if metadata.is_empty() {
        return Ok(());
    }
    if metadata.iter().any(|(key, value)| key.contains('\0') || has_nul(value)) {
        return Err(Error::invalid("metadata", "a text in it holds the control character '\\0'"));
    }
    let bytes = serde_json::to_vec(metadata).map_or(usize::MAX, |json| json.len());
    if bytes > MAX_METADATA_BYTES {
        return Err(Error::invalid("metadata", format!("it has {bytes} bytes, {MAX_METADATA_BYTES} at most")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn link() -> Link {
        Link::new(Code::new("a").unwrap(), "https://iii.dev", DateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_link_survives_json() {
        let mut link = link();
        link.tags = vec!["a".into(), "b".into()];
        link.redirect = RedirectStatus::PermanentRedirect;
        let json = serde_json::to_value(&link).unwrap();
        assert_eq!(json["redirect"], 308);
        assert_eq!(serde_json::from_value::<Link>(json).unwrap(), link);
    }

    #[test]
    fn what_a_store_cannot_keep_is_refused_by_name() {
        type Spoil = fn(&mut Link);
        let spoils: [(&str, Spoil); 13] = [
            ("URL", |link| link.url = "https://a\r\nSet-Cookie: x".into()),
            ("URL", |link| link.url = format!("https://a.com/{}", "x".repeat(9_000))),
            ("title", |link| link.title = Some("a\0b".into())),
            ("title", |link| link.title = Some("x".repeat(MAX_TITLE_BYTES + 1))),
            ("tag", |link| link.tags = vec!["a\nb".into()]),
            ("tag", |link| link.tags = vec![String::new()]),
            ("tags", |link| link.tags = vec!["b".into(), "a".into()]),
            ("tags", |link| link.tags = (0..65).map(|n| format!("{n:03}")).collect()),
            ("metadata", |link| link.metadata = serde_json::from_str(r#"{"a":["\u0000"]}"#).unwrap()),
            ("max_clicks", |link| link.max_clicks = Some(0)),
            ("expires_at", |link| link.expires_at = Some(DateTime::<Utc>::MAX_UTC)),
            ("active_from", |link| link.active_from = Some(DateTime::<Utc>::MIN_UTC)),
            ("expires_at", |link| (link.active_from, link.expires_at) = (Some(link.created_at), Some(link.created_at))),
        ];
        link().check().unwrap();
        for (named, spoil) in spoils {
            let mut spoiled = link();
            spoil(&mut spoiled);
            let error = spoiled.check().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(named), "{named}: {error}");
        }
    }

    #[test]
    fn the_id_of_a_new_link_carries_when_it_was_made() {
        let of = |time: &str| {
            let mut link = link();
            link.created_at = time.parse().unwrap();
            link.id = id::new_id(link.created_at);
            link
        };
        let times =
            ["2026-01-05T10:00:00.001Z", "2026-01-05T10:00:00.001999Z", "1970-01-01T00:00:00Z", "1969-07-20T20:17:40Z"];
        for time in times {
            of(time).check_new().unwrap();
        }
        type Spoil = fn(&mut Link);
        let spoils: [Spoil; 5] = [
            |link| link.created_at += TimeDelta::milliseconds(1),
            |link| link.created_at -= TimeDelta::milliseconds(1),
            |link| link.created_at = "1960-01-01T00:00:00Z".parse().unwrap(),
            |link| link.id = Uuid::from_u128(link.id.as_u128() & !(0xf << 76) | 4 << 76),
            |link| *link = of_leap_second(),
        ];
        for (number, spoil) in spoils.into_iter().enumerate() {
            let mut spoiled = of("2026-01-05T10:00:00.001Z");
            spoil(&mut spoiled);
            spoiled.check().unwrap();
            let error = spoiled.check_new().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains("link id"), "{number}: {error}");
        }
        fn of_leap_second() -> Link {
            let mut link = link();
            link.created_at = "2016-12-31T23:59:60.500Z".parse().unwrap();
            link.id = id::new_id(link.created_at);
            link
        }
    }
}
