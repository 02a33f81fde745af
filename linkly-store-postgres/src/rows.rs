//! Rows in both directions: arrays of columns go in, so that a text of SQL stays the same for any number of
//! rows, and rows come out.
//!
//! A row that was written by another program may hold what this library does not let in. It is read as far as
//! it can be, and a field that cannot is as if it were not set: one row must not fail the others.

use std::borrow::Cow;

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Click, Code, Link, Metadata, RedirectStatus, Target, TargetParts, Uuid, time_of, url_hash, whole_millis,
};
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::call::Param;

/// The bound of a range. Years that RFC 3339 cannot write, which no row has, become its first or last moment.
pub(crate) fn bound(at: DateTime<Utc>) -> DateTime<Utc> {
    let end = |seconds| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    at.clamp(end(-62_167_219_200), end(253_402_300_799))
}

/// The key of a row; `None`, with a warning, when it is not one that this library lets in.
pub(crate) fn read_code(text: &str) -> Option<Code> {
    let code = Code::from_key(text).ok();
    if code.is_none() {
        tracing::warn!(code = text, "a row was skipped: its code is not one");
    }
    code
}

/// The value of a column; that of an unset one where it is not of its type.
fn read<'a, T: FromSql<'a> + Default>(row: &'a Row, column: usize) -> T {
    row.try_get(column).unwrap_or_else(|error| {
        tracing::warn!(%error, "a value that another program wrote is left out");
        T::default()
    })
}

/// The columns of a [`target`].
macro_rules! target_columns {
    () => {
        "l.code, l.id, l.url, l.redirect, l.forward_query, l.max_clicks IS NOT NULL, l.active_from, l.expires_at, l.tags"
    };
}

/// The columns of a [`link`].
macro_rules! link_columns {
    () => {
        "l.code, l.url, l.created_at, l.id, l.updated_at, l.version, l.active_from, l.expires_at, l.max_clicks, \
         l.consumed, l.redirect, l.forward_query, l.title, l.tags, l.metadata::text"
    };
}

/// The columns of a [`click`].
macro_rules! click_columns {
    () => {
        "c.event_id, c.code, c.clicked_at, c.link_id, c.bot, c.visitor, c.referrer, c.browser, c.os, c.device, c.country"
    };
}

pub(crate) use {click_columns, link_columns, target_columns};

/// The key of a row of [`target_columns`] or [`link_columns`].
pub(crate) fn key(row: &Row) -> &str {
    read(row, 0)
}

pub(crate) fn target(row: &Row) -> Target {
    let mut parts = TargetParts::new(read::<Uuid>(row, 1), read::<&str>(row, 2));
    parts.redirect = read_redirect(read(row, 3));
    parts.forward_query = read(row, 4);
    parts.limited = read(row, 5);
    parts.active_from = read(row, 6);
    parts.expires_at = read(row, 7);
    parts.tags = read_tags(row, 8);
    Target::new(parts)
}

/// The link; `None`, with a warning, when its code is not one.
pub(crate) fn link(row: &Row) -> Option<Link> {
    let code = read_code(key(row))?;
    let id: Uuid = read(row, 3);
    // A row whose time cannot be read has that of its id.
    let created_at: Option<DateTime<Utc>> = read(row, 2);
    let created_at = created_at.or_else(|| time_of(id)).unwrap_or_default();
    let mut link = Link::new(code, read::<&str>(row, 1), created_at);
    link.id = id;
    link.updated_at = read::<Option<DateTime<Utc>>>(row, 4).unwrap_or(created_at);
    link.version = number(read(row, 5));
    link.active_from = read(row, 6);
    link.expires_at = read(row, 7);
    link.max_clicks = read::<Option<i64>>(row, 8).map(number);
    link.consumed = number(read(row, 9));
    link.redirect = read_redirect(read(row, 10));
    link.forward_query = read(row, 11);
    link.title = read(row, 12);
    link.tags = read_tags(row, 13);
    link.metadata = read_metadata(read(row, 14));
    Some(link)
}

/// The click; `None`, with a warning, when its code is not one.
pub(crate) fn click(row: &Row) -> Option<Click> {
    let id: Uuid = read(row, 0);
    let code = read_code(read(row, 1))?;
    let clicked_at = read::<Option<DateTime<Utc>>>(row, 2).or_else(|| time_of(id))?;
    let text = |column| read::<Option<String>>(row, column).map(Cow::Owned);
    let mut click = Click::with_id(id, code, clicked_at);
    click.link_id = read(row, 3);
    click.bot = read(row, 4);
    click.visitor = read::<Option<i64>>(row, 5).map(i64::cast_unsigned);
    click.referrer = read(row, 6);
    click.browser = text(7);
    click.os = text(8);
    click.device = text(9);
    click.country = read(row, 10);
    Some(click)
}

/// A number of ours; what the app's own SQL made of it otherwise is the nearest one.
fn number(found: i64) -> u32 {
    u32::try_from(found.max(0)).unwrap_or(u32::MAX)
}

fn read_redirect(status: i16) -> RedirectStatus {
    u16::try_from(status).ok().and_then(|status| RedirectStatus::try_from(status).ok()).unwrap_or_else(|| {
        tracing::warn!(status, "a link with another status than a redirect's is answered with 302");
        RedirectStatus::default()
    })
}

fn read_tags(row: &Row, column: usize) -> Vec<String> {
    read::<Vec<Option<String>>>(row, column).into_iter().flatten().collect()
}

fn read_metadata(json: Option<&str>) -> Metadata {
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
}

/// Tags as Postgres writes an array: those of several links are of different lengths, which an array of
/// arrays cannot be.
fn array_text(tags: &[String]) -> String {
    let mut text = String::from("{");
    for (number, tag) in tags.iter().enumerate() {
        text.push_str(if number == 0 { "\"" } else { ",\"" });
        for char in tag.chars() {
            if matches!(char, '"' | '\\') {
                text.push('\\');
            }
            text.push(char);
        }
        text.push('"');
    }
    text.push('}');
    text
}

/// What is written of a link.
pub(crate) struct LinkValues<'a> {
    code: &'a str,
    url: &'a str,
    created_at: DateTime<Utc>,
    id: Uuid,
    updated_at: DateTime<Utc>,
    version: i64,
    active_from: Option<DateTime<Utc>>,
    expires_at: Option<DateTime<Utc>>,
    max_clicks: Option<i64>,
    consumed: i64,
    redirect: i16,
    forward_query: bool,
    title: Option<&'a str>,
    tags: Option<String>,
    metadata: Option<String>,
    url_hash: i64,
}

impl<'a> LinkValues<'a> {
    pub(crate) fn of(link: &'a Link) -> Self {
        let has_metadata = !link.metadata.is_empty();
        Self {
            code: link.code.as_str(),
            url: &link.url,
            created_at: whole_millis(link.created_at),
            id: link.id,
            updated_at: whole_millis(link.updated_at),
            version: link.version.into(),
            active_from: link.active_from.map(whole_millis),
            expires_at: link.expires_at.map(whole_millis),
            max_clicks: link.max_clicks.map(i64::from),
            consumed: link.consumed.into(),
            redirect: link.redirect.as_u16().cast_signed(),
            forward_query: link.forward_query,
            title: link.title.as_deref(),
            tags: (!link.tags.is_empty()).then(|| array_text(&link.tags)),
            metadata: has_metadata.then(|| serde_json::to_string(&link.metadata).unwrap_or_default()),
            url_hash: url_hash(&link.url),
        }
    }

    /// In the order of the statements in [`links`](crate::links).
    pub(crate) fn params(&self) -> [Param<'_>; 16] {
        [
            (&self.code, Type::TEXT),
            (&self.url, Type::TEXT),
            (&self.created_at, Type::TIMESTAMPTZ),
            (&self.id, Type::UUID),
            (&self.updated_at, Type::TIMESTAMPTZ),
            (&self.version, Type::INT8),
            (&self.active_from, Type::TIMESTAMPTZ),
            (&self.expires_at, Type::TIMESTAMPTZ),
            (&self.max_clicks, Type::INT8),
            (&self.consumed, Type::INT8),
            (&self.redirect, Type::INT2),
            (&self.forward_query, Type::BOOL),
            (&self.title, Type::TEXT),
            (&self.tags, Type::TEXT),
            (&self.metadata, Type::TEXT),
            (&self.url_hash, Type::INT8),
        ]
    }
}

/// What is written of links, a column each.
#[derive(Default)]
pub(crate) struct LinkColumns<'a> {
    codes: Vec<&'a str>,
    urls: Vec<&'a str>,
    created_at: Vec<DateTime<Utc>>,
    ids: Vec<Uuid>,
    updated_at: Vec<DateTime<Utc>>,
    versions: Vec<i64>,
    active_from: Vec<Option<DateTime<Utc>>>,
    expires_at: Vec<Option<DateTime<Utc>>>,
    max_clicks: Vec<Option<i64>>,
    consumed: Vec<i64>,
    redirects: Vec<i16>,
    forward_query: Vec<bool>,
    titles: Vec<Option<&'a str>>,
    tags: Vec<Option<String>>,
    metadata: Vec<Option<String>>,
    url_hashes: Vec<i64>,
}

/// `unnest` fills a shorter column up with NULLs, so one without anything else need not be sent.
fn leave_out_if_unused<T>(column: &mut Vec<Option<T>>) {
    if column.iter().all(Option::is_none) {
        column.clear();
    }
}

impl<'a> LinkColumns<'a> {
    pub(crate) fn of(links: impl IntoIterator<Item = &'a Link>) -> Self {
        let mut columns = Self::default();
        for link in links.into_iter().map(LinkValues::of) {
            columns.codes.push(link.code);
            columns.urls.push(link.url);
            columns.created_at.push(link.created_at);
            columns.ids.push(link.id);
            columns.updated_at.push(link.updated_at);
            columns.versions.push(link.version);
            columns.active_from.push(link.active_from);
            columns.expires_at.push(link.expires_at);
            columns.max_clicks.push(link.max_clicks);
            columns.consumed.push(link.consumed);
            columns.redirects.push(link.redirect);
            columns.forward_query.push(link.forward_query);
            columns.titles.push(link.title);
            columns.tags.push(link.tags);
            columns.metadata.push(link.metadata);
            columns.url_hashes.push(link.url_hash);
        }
        leave_out_if_unused(&mut columns.active_from);
        leave_out_if_unused(&mut columns.expires_at);
        leave_out_if_unused(&mut columns.max_clicks);
        leave_out_if_unused(&mut columns.titles);
        leave_out_if_unused(&mut columns.tags);
        leave_out_if_unused(&mut columns.metadata);
        columns
    }

    /// In the order of the statements in [`links`](crate::links).
    pub(crate) fn params(&self) -> [Param<'_>; 16] {
        [
            (&self.codes, Type::TEXT_ARRAY),
            (&self.urls, Type::TEXT_ARRAY),
            (&self.created_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.ids, Type::UUID_ARRAY),
            (&self.updated_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.versions, Type::INT8_ARRAY),
            (&self.active_from, Type::TIMESTAMPTZ_ARRAY),
            (&self.expires_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.max_clicks, Type::INT8_ARRAY),
            (&self.consumed, Type::INT8_ARRAY),
            (&self.redirects, Type::INT2_ARRAY),
            (&self.forward_query, Type::BOOL_ARRAY),
            (&self.titles, Type::TEXT_ARRAY),
            (&self.tags, Type::TEXT_ARRAY),
            (&self.metadata, Type::TEXT_ARRAY),
            (&self.url_hashes, Type::INT8_ARRAY),
        ]
    }
}

/// What is written of clicks, a column each.
#[derive(Default)]
pub(crate) struct ClickColumns<'a> {
    ids: Vec<Uuid>,
    codes: Vec<&'a str>,
    clicked_at: Vec<DateTime<Utc>>,
    link_ids: Vec<Option<Uuid>>,
    bots: Vec<bool>,
    visitors: Vec<Option<i64>>,
    referrers: Vec<Option<&'a str>>,
    browsers: Vec<Option<&'a str>>,
    systems: Vec<Option<&'a str>>,
    devices: Vec<Option<&'a str>>,
    countries: Vec<Option<&'a str>>,
    oldest: DateTime<Utc>,
}

impl<'a> ClickColumns<'a> {
    pub(crate) fn of(clicks: &'a [Click]) -> Self {
        let oldest = clicks.iter().map(|click| click.clicked_at).min().unwrap_or_default();
        let mut columns = Self { oldest, ..Self::default() };
        for click in clicks {
            columns.ids.push(click.id);
            columns.codes.push(click.code.as_str());
            columns.clicked_at.push(click.clicked_at);
            columns.link_ids.push(click.link_id);
            columns.bots.push(click.bot);
            columns.visitors.push(click.visitor.map(u64::cast_signed));
            columns.referrers.push(click.referrer.as_deref());
            columns.browsers.push(click.browser.as_deref());
            columns.systems.push(click.os.as_deref());
            columns.devices.push(click.device.as_deref());
            columns.countries.push(click.country.as_deref());
        }
        columns
    }

    /// In the order of the parameters of `linkly_record`.
    pub(crate) fn params(&self) -> [Param<'_>; 12] {
        [
            (&self.ids, Type::UUID_ARRAY),
            (&self.codes, Type::TEXT_ARRAY),
            (&self.clicked_at, Type::TIMESTAMPTZ_ARRAY),
            (&self.link_ids, Type::UUID_ARRAY),
            (&self.bots, Type::BOOL_ARRAY),
            (&self.visitors, Type::INT8_ARRAY),
            (&self.referrers, Type::TEXT_ARRAY),
            (&self.browsers, Type::TEXT_ARRAY),
            (&self.systems, Type::TEXT_ARRAY),
            (&self.devices, Type::TEXT_ARRAY),
            (&self.countries, Type::TEXT_ARRAY),
            (&self.oldest, Type::TIMESTAMPTZ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use linkly_core::chrono::Datelike;

    use super::*;

    #[test]
    fn an_array_of_tags_is_written_as_postgres_reads_it() {
        let tags = |tags: &[&str]| array_text(&tags.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(tags(&[]), "{}");
        assert_eq!(tags(&["a", "NULL", "b,c {}"]), r#"{"a","NULL","b,c {}"}"#);
        assert_eq!(tags(&[r#"a"b\c"#]), r#"{"a\"b\\c"}"#);
    }

    #[test]
    fn a_bound_is_a_time_that_postgres_has() {
        let at: DateTime<Utc> = "2026-01-11T10:20:30.456Z".parse().unwrap();
        assert_eq!(bound(at), at);
        assert_eq!(bound(DateTime::<Utc>::MIN_UTC).year(), 0);
        assert_eq!(bound(DateTime::<Utc>::MAX_UTC).year(), 9_999);
    }
}
