//! What callers give to make and to change links.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::whole_millis;
use crate::{Link, Metadata, RedirectStatus};

/// A link to make. Only the URL is needed.
///
/// ```
/// use linkly_core::NewLink;
///
/// let link = NewLink::new("iii.dev").with_code("iii").with_tags(["docs"]);
/// let json: NewLink = serde_json::from_str(r#"{"url": "iii.dev", "code": "iii", "tags": ["docs"]}"#)?;
/// assert_eq!(link, json);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct NewLink {
    /// Where it leads, as a person would type it.
    pub url: String,
    /// The code; a random one if there is none.
    #[serde(default)]
    pub code: Option<String>,
    /// From when on it leads anywhere.
    #[serde(default)]
    pub active_from: Option<DateTime<Utc>>,
    /// From when on it no longer does.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// How many redirects it grants in all.
    #[serde(default)]
    pub max_clicks: Option<u32>,
    /// How the redirect is answered; 302 unless told otherwise.
    #[serde(default)]
    pub redirect: RedirectStatus,
    /// Whether the query of the short URL is added to the target's.
    #[serde(default)]
    pub forward_query: bool,
    /// A title for people.
    #[serde(default)]
    pub title: Option<String>,
    /// Tags, in any order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The app's own keys and values.
    #[serde(default)]
    pub metadata: Metadata,
    /// Answer with a live link that leads to the same URL and has the same options, if there is one
    /// among the newest 1,000 to that URL, instead of making another. Two at the same moment, also two in
    /// one call, may still make two.
    #[serde(default)]
    pub reuse: bool,
}

impl NewLink {
    /// A link to this URL, with a random code and no options.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// With this code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Leading somewhere only from `from` on and until before `until`.
    #[must_use]
    pub fn with_active(mut self, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Self {
        (self.active_from, self.expires_at) = (from, until);
        self
    }

    /// Leading nowhere from this moment on.
    #[must_use]
    pub fn with_expiry(mut self, at: DateTime<Utc>) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Granting so many redirects in all.
    #[must_use]
    pub fn with_max_clicks(mut self, count: u32) -> Self {
        self.max_clicks = Some(count);
        self
    }

    /// Answered with this status.
    #[must_use]
    pub fn with_redirect(mut self, status: RedirectStatus) -> Self {
        self.redirect = status;
        self
    }

    /// Adding the query of the short URL to the target's.
    #[must_use]
    pub fn with_forwarded_query(mut self) -> Self {
        self.forward_query = true;
        self
    }

    /// With this title.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// With these tags.
    #[must_use]
    pub fn with_tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// With these keys and values of the app's own.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Answered with a live link like this one, if there is one.
    #[must_use]
    pub fn with_reuse(mut self) -> Self {
        self.reuse = true;
        self
    }

    /// Writes the options into `link`.
    pub(super) fn fill(self, link: &mut Link) {
        link.active_from = self.active_from.map(whole_millis);
        link.expires_at = self.expires_at.map(whole_millis);
        link.max_clicks = self.max_clicks;
        link.redirect = self.redirect;
        link.forward_query = self.forward_query;
        link.title = self.title;
        link.tags = as_set(self.tags);
        link.metadata = self.metadata;
    }
}

/// What to change of a link; what is not named stays as it is. In JSON, `null` takes an option away
/// and a missing key leaves it.
///
/// ```
/// use linkly_core::LinkPatch;
///
/// let patch: LinkPatch = serde_json::from_str(r#"{"title": "Docs", "expires_at": null}"#)?;
/// assert_eq!(patch, LinkPatch::new().with_title(Some("Docs".into())).with_expires_at(None));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LinkPatch {
    /// Change only this version, and answer [`Error::Conflict`](crate::Error::Conflict) otherwise.
    pub version: Option<u32>,
    /// Where it leads.
    pub url: Option<String>,
    /// From when on it leads anywhere.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub active_from: Option<Option<DateTime<Utc>>>,
    /// From when on it no longer does.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<DateTime<Utc>>>,
    /// How many redirects it grants in all, those already granted included.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub max_clicks: Option<Option<u32>>,
    /// How the redirect is answered.
    pub redirect: Option<RedirectStatus>,
    /// Whether the query of the short URL is added to the target's.
    pub forward_query: Option<bool>,
    /// A title for people.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Option<Option<String>>,
    /// All tags, in any order.
    pub tags: Option<Vec<String>>,
    /// All of the app's own keys and values.
    pub metadata: Option<Metadata>,
}

impl LinkPatch {
    /// Nothing to change.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this version.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Leading to this URL.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Leading somewhere only from this moment on, or from the beginning.
    #[must_use]
    pub fn with_active_from(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.active_from = Some(at);
        self
    }

    /// Leading nowhere from this moment on, or without end.
    #[must_use]
    pub fn with_expires_at(mut self, at: Option<DateTime<Utc>>) -> Self {
        self.expires_at = Some(at);
        self
    }

    /// Granting so many redirects in all, or any number.
    #[must_use]
    pub fn with_max_clicks(mut self, count: Option<u32>) -> Self {
        self.max_clicks = Some(count);
        self
    }

    /// Answered with this status.
    #[must_use]
    pub fn with_redirect(mut self, status: RedirectStatus) -> Self {
        self.redirect = Some(status);
        self
    }

    /// Adding the query of the short URL to the target's, or not.
    #[must_use]
    pub fn with_forward_query(mut self, forward: bool) -> Self {
        self.forward_query = Some(forward);
        self
    }

    /// With this title, or none.
    #[must_use]
    pub fn with_title(mut self, title: Option<String>) -> Self {
        self.title = Some(title);
        self
    }

    /// With these tags and no others.
    #[must_use]
    pub fn with_tags<S: Into<String>>(mut self, tags: impl IntoIterator<Item = S>) -> Self {
        self.tags = Some(tags.into_iter().map(Into::into).collect());
        self
    }

    /// With these keys and values and no others.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Writes the changes into `link`. The URL has been through the policy.
    pub(super) fn apply(&self, link: &mut Link) {
        fn set<T: Clone>(field: &mut T, change: Option<&T>) {
            if let Some(value) = change {
                field.clone_from(value);
            }
        }
        set(&mut link.url, self.url.as_ref());
        set(&mut link.active_from, self.active_from.map(|at| at.map(whole_millis)).as_ref());
        set(&mut link.expires_at, self.expires_at.map(|at| at.map(whole_millis)).as_ref());
        set(&mut link.max_clicks, self.max_clicks.as_ref());
        set(&mut link.redirect, self.redirect.as_ref());
        set(&mut link.forward_query, self.forward_query.as_ref());
        set(&mut link.title, self.title.as_ref());
        set(&mut link.tags, self.tags.clone().map(as_set).as_ref());
        set(&mut link.metadata, self.metadata.as_ref());
    }
}

/// Tags as a link keeps them: sorted, each once.
fn as_set(mut tags: Vec<String>) -> Vec<String> {
    tags.sort_unstable();
    tags.dedup();
    tags
}

/// A key that is there, also with `null`.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn a_patch_changes_what_it_names_and_nothing_else() {
        let mut link = Link::new(Code::new("a").unwrap(), "https://iii.dev", Utc::now());
        NewLink::new("").with_max_clicks(3).with_title("T").with_tags(["b", "a", "b"]).fill(&mut link);
        assert_eq!(link.tags, ["a", "b"]);
        let before = link.clone();
        LinkPatch::new().apply(&mut link);
        assert_eq!(link, before);
        LinkPatch::new().with_max_clicks(None).with_tags(["c"]).apply(&mut link);
        assert_eq!((link.max_clicks, &link.tags[..]), (None, &["c".to_owned()][..]));
        assert_eq!((link.title, link.url), (before.title, before.url));
    }

    #[test]
    fn a_misspelt_key_is_an_error() {
        assert!(serde_json::from_str::<NewLink>(r#"{"url": "a", "expiry": 1}"#).is_err());
        assert!(serde_json::from_str::<LinkPatch>(r#"{"ttl": 1}"#).is_err());
    }
}
