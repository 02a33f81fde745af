//! Clicks: one row for each redirect.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::whole_millis;
use crate::link::{check_text, check_year};
use crate::{Code, Error, Result, id};

/// The most bytes of each text of a click.
pub const MAX_CLICK_TEXT_BYTES: usize = 255;

/// One click, as a store keeps it. No address and no user agent: what people can be told by stays
/// out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Click {
    /// Made once, a UUID of version 7 that carries `clicked_at`. The same click may be delivered
    /// again and counts once, by this id.
    pub id: Uuid,
    /// The link's key.
    pub code: Code,
    /// The link's id, where it was known.
    pub link_id: Option<Uuid>,
    /// When, in whole milliseconds.
    pub clicked_at: DateTime<Utc>,
    /// The host of the referring page.
    pub referrer: Option<String>,
    /// The browser's name.
    pub browser: Option<Cow<'static, str>>,
    /// The operating system's name.
    pub os: Option<Cow<'static, str>>,
    /// The kind of device: `pc`, `smartphone`, `mobilephone`, `appliance`, `crawler`, `misc`.
    pub device: Option<Cow<'static, str>>,
    /// The country, as the app found it: ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// A keyed hash that tells visitors apart for as long as its key lives.
    pub visitor: Option<u64>,
    /// Whether a program and not a person clicked: a crawler, a preview, a HEAD request.
    pub bot: bool,
}

impl Click {
    /// A click with a new id and nothing known but when.
    pub fn new(code: Code, clicked_at: DateTime<Utc>) -> Self {
        let clicked_at = whole_millis(clicked_at);
        Self::with_id(id::new_id(clicked_at), code, clicked_at)
    }

    /// A click that has an id already: for stores and queues that read their own rows.
    pub fn with_id(id: Uuid, code: Code, clicked_at: DateTime<Utc>) -> Self {
        Self {
            id,
            code,
            link_id: None,
            clicked_at: whole_millis(clicked_at),
            referrer: None,
            browser: None,
            os: None,
            device: None,
            country: None,
            visitor: None,
            bot: false,
        }
    }

    /// Whether every store can keep this click. Sinks call it before they write.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] names the field and the rule.
    pub fn check(&self) -> Result<()> {
        check_year("clicked_at", self.clicked_at, 1970)?;
        if !id::carries(self.id, self.clicked_at) {
            return Err(Error::invalid("click id", "it is not a UUID of version 7 that carries clicked_at"));
        }
        let texts = [
            ("referrer", self.referrer.as_deref()),
            ("browser", self.browser.as_deref()),
            ("os", self.os.as_deref()),
            ("device", self.device.as_deref()),
            ("country", self.country.as_deref()),
        ];
        for (what, text) in texts {
            check_text(what, text.unwrap_or_default(), MAX_CLICK_TEXT_BYTES)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn click() -> Click {
        Click::new(Code::new("a").unwrap(), Utc::now())
    }

    #[test]
    fn a_click_survives_json() {
        let mut click = click();
        click.browser = Some("Firefox".into());
        click.visitor = Some(u64::MAX);
        let json = serde_json::to_string(&click).unwrap();
        assert_eq!(serde_json::from_str::<Click>(&json).unwrap(), click);
    }

    #[test]
    fn what_a_store_cannot_keep_is_refused_by_name() {
        click().check().unwrap();
        let mut nul = click();
        nul.referrer = Some("a\0b".into());
        let mut long = click();
        long.country = Some("x".repeat(256));
        let mut moved = click();
        moved.clicked_at += chrono::TimeDelta::seconds(1);
        for (named, bad) in [("referrer", nul), ("country", long), ("click id", moved)] {
            let error = bad.check().unwrap_err();
            assert!(error.is_invalid_input() && error.to_string().contains(named), "{error}");
        }
    }
}
