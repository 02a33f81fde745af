//! The raw operations on SQLite and libSQL, whose drivers send the same statements.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use linkly_core::chrono::{DateTime, SecondsFormat, Utc};
use linkly_core::{Click, Link, Uuid, url_hash};
use linkly_sql::Value;

use crate::{RawStore, statement_of};

const TARGET: &str = "SELECT id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                      FROM links WHERE code = ?1 AND retired_at IS NULL";
const TARGETS: &str = "SELECT code, id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                       FROM links WHERE code IN (SELECT value FROM json_each(?1)) AND retired_at IS NULL";
const LINK: &str = "SELECT code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, \
                    consumed, redirect, forward_query, title, tags, metadata \
                    FROM links WHERE code = ?1 AND retired_at IS NULL";
const INSERT: &str = "INSERT INTO links (code, url, created_at, id, updated_at, version, active_from, expires_at, \
                      max_clicks, consumed, redirect, forward_query, title, tags, metadata, url_hash) \
                      VALUES (?1, ?2, ?3, ?4, ?3, ?5, NULL, NULL, NULL, 0, ?6, ?7, NULL, NULL, NULL, ?8)";
/// An array of the same values, ids in hex.
const INSERT_MANY: &str = "INSERT INTO links (code, url, created_at, id, updated_at, version, active_from, expires_at, \
                           max_clicks, consumed, redirect, forward_query, title, tags, metadata, url_hash) \
                           SELECT value ->> 0, value ->> 1, value ->> 2, unhex(value ->> 3), value ->> 2, \
                           value ->> 4, NULL, NULL, NULL, 0, value ->> 5, value ->> 6, NULL, NULL, NULL, value ->> 7 \
                           FROM json_each(?1)";
const UPDATE: &str = "UPDATE links SET url = ?2, updated_at = ?3, version = version + 1, active_from = NULL, \
                      expires_at = NULL, max_clicks = NULL, redirect = ?4, forward_query = ?5, title = NULL, \
                      tags = NULL, metadata = NULL, url_hash = ?6 \
                      WHERE code = ?1 AND version = ?7 AND retired_at IS NULL";
const LIST: &str = "SELECT code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, \
                    consumed, redirect, forward_query, title, tags, metadata \
                    FROM links WHERE domain = '' AND retired_at IS NULL AND id < ?1 ORDER BY id DESC LIMIT ?2";
const TOTALS: &str = "SELECT clicks, bots, last_clicked_at FROM link_stats WHERE code = ?1";
const SERIES: &str = "SELECT hour, clicks, bots FROM click_hours WHERE code = ?1 AND hour >= ?2 AND hour < ?3";

/// What a driver of SQLite or libSQL can do. Statements are prepared once, where the driver can.
pub trait SqlDriver {
    /// Whether many codes are cheaper in one question, as they are over a network.
    const ASKS_MANY: bool;

    /// Reads every column of every row.
    fn rows(&self, sql: &str, values: Vec<Value>) -> impl Future<Output = Vec<Vec<Value>>>;

    /// Runs a statement once for each set of values, all in one commit.
    fn run(&self, sql: &str, sets: Vec<Vec<Value>>) -> impl Future<Output = ()>;
}

/// A driver on a database whose schema a store has made.
#[derive(Debug)]
pub struct RawSql<D>(pub D);

impl<D: SqlDriver> RawStore for RawSql<D> {
    async fn look_up(&self, codes: &[&str]) -> usize {
        let mut found = 0;
        for code in codes {
            found += black_box(self.0.rows(TARGET, vec![text(code)]).await).len();
        }
        found
    }

    async fn look_up_many(&self, codes: &[&str]) -> usize {
        if !D::ASKS_MANY {
            return self.look_up(codes).await;
        }
        // Codes need no escaping.
        let json = format!("[\"{}\"]", codes.join("\",\""));
        black_box(self.0.rows(TARGETS, vec![json.into()]).await).len()
    }

    async fn insert(&self, links: &[Link]) {
        if D::ASKS_MANY && links.len() > 1 {
            let json = format!("[{}]", links.iter().map(as_json).collect::<Vec<_>>().join(","));
            return self.0.run(INSERT_MANY, vec![vec![json.into()]]).await;
        }
        let values = |link: &Link| {
            vec![
                text(link.code.as_str()),
                text(&link.url),
                time(link.created_at),
                link.id.as_bytes().to_vec().into(),
                i64::from(link.version).into(),
                i64::from(link.redirect.as_u16()).into(),
                i64::from(link.forward_query).into(),
                url_hash(&link.url).into(),
            ]
        };
        self.0.run(INSERT, links.iter().map(values).collect()).await;
    }

    async fn update(&self, code: &str, url: &str) {
        let found = self.0.rows(LINK, vec![text(code)]).await;
        let [row] = found.as_slice() else { panic!("no link {code:?}") };
        let (version, redirect, forward_query) = (row[5].clone(), row[10].clone(), row[11].clone());
        let values =
            vec![text(code), text(url), time(Utc::now()), redirect, forward_query, url_hash(url).into(), version];
        self.0.run(UPDATE, vec![values]).await;
    }

    async fn list(&self, before: Uuid, limit: u32) -> usize {
        let values = vec![before.as_bytes().to_vec().into(), i64::from(limit).into()];
        black_box(self.0.rows(LIST, values).await).len()
    }

    async fn totals(&self, code: &str) {
        assert_eq!(black_box(self.0.rows(TOTALS, vec![text(code)]).await).len(), 1);
    }

    async fn series(&self, code: &str, range: Range<DateTime<Utc>>) -> usize {
        black_box(self.0.rows(SERIES, vec![text(code), time(range.start), time(range.end)]).await).len()
    }

    async fn record(&self, clicks: &[Click]) -> Duration {
        let statement = statement_of(clicks).await;
        let start = Instant::now();
        self.0.run(&statement.sql, vec![statement.parameters]).await;
        start.elapsed()
    }
}

/// None of its texts needs escaping.
fn as_json(link: &Link) -> String {
    let (id, at) = (link.id.simple(), link.created_at.to_rfc3339_opts(SecondsFormat::Millis, true));
    let (redirect, forward_query) = (link.redirect.as_u16(), u8::from(link.forward_query));
    let (code, url, version, hash) = (link.code.as_str(), &link.url, link.version, url_hash(&link.url));
    format!(r#"["{code}","{url}","{at}","{id}",{version},{redirect},{forward_query},{hash}]"#)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn time(at: DateTime<Utc>) -> Value {
    Value::Text(at.to_rfc3339_opts(SecondsFormat::Millis, true))
}
