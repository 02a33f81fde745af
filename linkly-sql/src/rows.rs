//! Rows, as JSON in both directions.
//!
//! A batch goes in as one parameter and an answer comes out as one row, or one column, of JSON. Through
//! sqlx a row of several columns costs 4.2 µs (each value is duplicated, each row passes a channel and
//! wakes its reader), the same as an element of one array 2.0. Over HTTP each value is an object.

use linkly_core::chrono::{DateTime, Datelike, SecondsFormat, Utc};
use linkly_core::{Code, Link, Metadata, RedirectStatus, Result, Target, TargetParts, Uuid, time_of, url_hash};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use crate::error;

/// A time as it is stored. Years that RFC 3339 cannot write become its first or last moment.
pub(crate) fn time_text(at: DateTime<Utc>) -> String {
    match at.year() {
        0..=9_999 => at.to_rfc3339_opts(SecondsFormat::Millis, true),
        10_000.. => "9999-12-31T23:59:59.999Z".to_owned(),
        _ => "0000-01-01T00:00:00.000Z".to_owned(),
    }
}

pub(crate) fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// The key of a row; `None`, with a warning, when it is not one that this library lets in.
pub(crate) fn read_code(text: Option<&str>) -> Option<Code> {
    let code = text.and_then(|text| Code::from_key(text).ok());
    if code.is_none() {
        tracing::warn!(code = text, "a row was skipped: its code is not one");
    }
    code
}

/// The elements of an array of rows. One that does not fit its type was written by another program: it
/// is left out with a warning, and does not fail the others.
pub(crate) fn elements<T: DeserializeOwned>(backend: &'static str, json: &str) -> Result<Vec<T>> {
    if let Ok(rows) = serde_json::from_str(json) {
        return Ok(rows);
    }
    let rows: Vec<serde_json::Value> = serde_json::from_str(json)
        .map_err(|found| error::failed(backend, format!("an answer is not the JSON that was asked for: {found}")))?;
    Ok(rows.into_iter().filter_map(element_of).collect())
}

/// One row; `None`, with a warning, when it does not fit its type.
pub(crate) fn element<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).inspect_err(warn_of_unfit).ok()
}

fn element_of<T: DeserializeOwned>(value: serde_json::Value) -> Option<T> {
    serde_json::from_value(value).inspect_err(warn_of_unfit).ok()
}

fn warn_of_unfit(error: &serde_json::Error) {
    tracing::warn!(%error, "a row was skipped: it does not fit its columns");
}

/// What is sent: any array.
pub(crate) fn to_json<T: Serialize>(rows: &[T]) -> String {
    // Strings and numbers only: this cannot fail.
    serde_json::to_string(rows).unwrap_or_default()
}

/// An id in hex, which `unhex` makes 16 bytes of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hex(pub(crate) Uuid);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.simple().encode_lower(&mut [0; 32]))
    }
}

/// A time as it is stored.
struct Time(DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time_text(self.0))
    }
}

/// The columns of a [`TargetRow`] behind its first.
macro_rules! target_columns {
    () => {
        "hex(l.id), CAST(l.url AS TEXT), l.redirect, l.forward_query, l.max_clicks IS NOT NULL, l.active_from, \
         l.expires_at, CAST(l.tags AS TEXT)"
    };
}

/// The columns of a [`LinkRow`] behind its first.
macro_rules! link_columns {
    () => {
        "CAST(l.code AS TEXT), CAST(l.url AS TEXT), l.created_at, hex(l.id), l.updated_at, l.version, l.active_from, \
         l.expires_at, l.max_clicks, l.consumed, l.redirect, l.forward_query, CAST(l.title AS TEXT), \
         CAST(l.tags AS TEXT), CAST(l.metadata AS TEXT)"
    };
}

pub(crate) use {link_columns, target_columns};

#[derive(Deserialize)]
pub(crate) struct TargetRow {
    /// Which of the codes that were asked for.
    pub(crate) key: usize,
    id: String,
    url: String,
    redirect: i64,
    forward_query: i64,
    limited: i64,
    active_from: Option<String>,
    expires_at: Option<String>,
    tags: Option<String>,
}

impl TargetRow {
    pub(crate) fn into_target(self) -> Target {
        let mut parts = TargetParts::new(read_id(&self.id).unwrap_or_default(), self.url);
        parts.redirect = read_redirect(self.redirect);
        parts.forward_query = self.forward_query != 0;
        parts.limited = self.limited != 0;
        parts.active_from = self.active_from.as_deref().and_then(parse_time);
        parts.expires_at = self.expires_at.as_deref().and_then(parse_time);
        parts.tags = read_tags(self.tags.as_deref());
        Target::new(parts)
    }
}

#[derive(Deserialize)]
pub(crate) struct LinkRow {
    /// Which of the codes that were asked for.
    pub(crate) key: usize,
    code: Option<String>,
    url: String,
    created_at: Option<String>,
    id: String,
    updated_at: Option<String>,
    version: u32,
    active_from: Option<String>,
    expires_at: Option<String>,
    max_clicks: Option<u32>,
    consumed: u32,
    redirect: i64,
    forward_query: i64,
    title: Option<String>,
    tags: Option<String>,
    metadata: Option<String>,
}

impl LinkRow {
    /// The link; `None`, with a warning, when its code is not one.
    pub(crate) fn into_link(self) -> Option<Link> {
        let code = read_code(self.code.as_deref())?;
        let id = read_id(&self.id).unwrap_or_default();
        // A row whose time cannot be read has that of its id.
        let created_at = self.created_at.as_deref().and_then(parse_time).or_else(|| time_of(id)).unwrap_or_default();
        let mut link = Link::new(code, self.url, created_at);
        link.id = id;
        link.updated_at = self.updated_at.as_deref().and_then(parse_time).unwrap_or(created_at);
        link.version = self.version;
        link.active_from = self.active_from.as_deref().and_then(parse_time);
        link.expires_at = self.expires_at.as_deref().and_then(parse_time);
        link.max_clicks = self.max_clicks;
        link.consumed = self.consumed;
        link.redirect = read_redirect(self.redirect);
        link.forward_query = self.forward_query != 0;
        link.title = self.title;
        link.tags = read_tags(self.tags.as_deref());
        link.metadata = read_metadata(self.metadata.as_deref());
        Some(link)
    }
}

/// An id out of hex.
pub(crate) fn read_id(hex: &str) -> Option<Uuid> {
    Uuid::try_parse(hex).ok()
}

fn read_redirect(status: i64) -> RedirectStatus {
    u16::try_from(status).ok().and_then(|status| RedirectStatus::try_from(status).ok()).unwrap_or_else(|| {
        tracing::warn!(status, "a link with another status than a redirect's is answered with 302");
        RedirectStatus::default()
    })
}

fn read_tags(json: Option<&str>) -> Vec<String> {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

fn read_metadata(json: Option<&str>) -> Metadata {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// What is written of a link, in the order of the statements in [`links`](crate::links).
#[derive(Serialize)]
pub(crate) struct LinkOut<'a>(
    &'a str,
    &'a str,
    Time,
    Hex,
    Time,
    u32,
    Option<Time>,
    Option<Time>,
    Option<u32>,
    u32,
    u16,
    u8,
    Option<&'a str>,
    Option<String>,
    Option<String>,
    i64,
);

impl<'a> LinkOut<'a> {
    pub(crate) fn new(link: &'a Link) -> Self {
        Self(
            link.code.as_str(),
            &link.url,
            Time(link.created_at),
            Hex(link.id),
            Time(link.updated_at),
            link.version,
            link.active_from.map(Time),
            link.expires_at.map(Time),
            link.max_clicks,
            link.consumed,
            link.redirect.as_u16(),
            u8::from(link.forward_query),
            link.title.as_deref(),
            (!link.tags.is_empty()).then(|| to_json(&link.tags)),
            (!link.metadata.is_empty()).then(|| serde_json::to_string(&link.metadata).unwrap_or_default()),
            url_hash(&link.url),
        )
    }
}
