//! Rows that were there before the migration: what no rule of this library would let in is reported, and
//! kept.

use std::collections::BTreeSet;

use linkly_core::{Code, Folding, Result, Target, TargetParts, Uuid, url_hash};
use serde::{Deserialize, Serialize};

use crate::driver::{Driver, Row};
use crate::rows::to_json;
use crate::store::SqlStore;

/// How many rows that were there before are read at once.
const CHUNK: i64 = 1_000;
/// How many examples of unfit rows are kept.
const EXAMPLES: usize = 5;

/// What a migration found in a database that had links and clicks before. Kept in the database, so that
/// every later [`SqlStore::migrate`] returns it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrationReport {
    /// How many links were there before.
    pub links: u64,
    /// How many clicks were there before.
    pub clicks: u64,
    /// What no rule of this library would let in.
    pub unfit: Vec<Unfit>,
}

/// Rows that no rule of this library would let in. They stay in their tables as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unfit {
    /// The column.
    pub what: String,
    /// What comes of it.
    pub consequence: String,
    /// How many rows.
    pub rows: u64,
    /// What stands in the first of them.
    pub examples: Vec<String>,
}

/// The links up to `?2` behind `?1`.
const LINKS: &str = "
    SELECT rowid, CAST(code AS BLOB), CAST(url AS BLOB), CAST(created_at AS BLOB), updated_at IS NOT NULL, version
    FROM /*prefix*/links WHERE rowid > ?1 AND rowid <= ?2 ORDER BY rowid LIMIT ?3";
/// By version: the URL of a link that was changed meanwhile is another.
const HASH: &str = "
    UPDATE /*prefix*/links AS l SET url_hash = j.value ->> 1 FROM json_each(?1) AS j
    WHERE l.rowid = j.value ->> 0 AND l.version = j.value ->> 2 AND l.url_hash IS NULL";
const CLICKS: &str = "SELECT count(*), count(event_id) FROM /*prefix*/clicks WHERE id <= ?1";
const UNREAD: &str = "
    SELECT CAST(clicked_at AS BLOB) FROM /*prefix*/clicks WHERE event_id IS NULL AND id <= ?1 LIMIT ?2";
const CODES: &str = "
    SELECT CAST(code AS BLOB), clicks FROM /*prefix*/link_stats WHERE code >= CAST(?1 AS TEXT) ORDER BY code LIMIT ?2";

/// Looks at the rows that were there before, up to the number of a link and that of a click, a chunk at a
/// time, and gives the links the hash of their URL. Doing it again changes nothing.
pub(crate) async fn look_at_rows<D: Driver>(
    store: &SqlStore<D>,
    folding: Folding,
    (link, click): (i64, i64),
) -> Result<MigrationReport> {
    let mut findings = Findings { folding, ..Findings::default() };
    look_at_links(store, link, &mut findings).await?;
    look_at_clicks(store, click, &mut findings).await?;
    let report = findings.into_report();
    tracing::info!(links = report.links, clicks = report.clicks, "a database that was there before was upgraded");
    for unfit in &report.unfit {
        tracing::warn!(what = unfit.what, rows = unfit.rows, examples = ?unfit.examples, "{}", unfit.consequence);
    }
    Ok(report)
}

async fn look_at_links<D: Driver>(store: &SqlStore<D>, until: i64, findings: &mut Findings) -> Result<()> {
    let mut last = i64::MIN;
    loop {
        let rows = store.driver().write_returning(store.statement(LINKS).bind(last).bind(until).bind(CHUNK)).await?;
        let mut hashes = Vec::with_capacity(rows.len());
        for row in &rows {
            last = row.integer(0).unwrap_or(until);
            let url = row.text(2).unwrap_or_default();
            hashes.push((last, url_hash(&url), row.integer(5)));
            let has_time = row.integer(4) == Some(1);
            findings.link(row.text(1).as_deref(), &url, &row.text(3).unwrap_or_default(), has_time);
        }
        if rows.is_empty() {
            return Ok(());
        }
        store.write(HASH, vec![to_json(&hashes).into()]).await?;
    }
}

async fn look_at_clicks<D: Driver>(store: &SqlStore<D>, until: i64, findings: &mut Findings) -> Result<()> {
    let rows = store.driver().write_returning(store.statement(CLICKS).bind(until)).await?;
    let count = |column| rows.first().and_then(|row| row.integer(column)).unwrap_or(0).cast_unsigned();
    let (all, read) = (count(0), count(1));
    findings.report.clicks = all;
    if all > read {
        let examples = store.statement(UNREAD).bind(until).bind(EXAMPLES as i64);
        findings.unread_clicks.rows = all - read;
        findings.unread_clicks.examples =
            store.driver().write_returning(examples).await?.into_iter().map(Row::into_text).collect();
    }
    let mut from: Vec<u8> = Vec::new();
    loop {
        let rows = store.driver().write_returning(store.statement(CODES).bind(from.clone()).bind(CHUNK)).await?;
        let Some(last) = rows.last() else {
            return Ok(());
        };
        // The next text in the order of bytes.
        from = [last.bytes(0).unwrap_or_default(), &[0]].concat();
        for row in &rows {
            findings.clicked_code(&row.text(0).unwrap_or_default(), row.integer(1).unwrap_or(0));
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    folding: Folding,
    report: MigrationReport,
    codes: Found,
    unfolded: Found,
    urls: Found,
    times: Found,
    unread_clicks: Found,
    clicked_codes: Found,
}

#[derive(Default)]
struct Found {
    rows: u64,
    examples: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, rows: u64, example: &str) {
        self.rows += rows;
        if self.examples.len() < EXAMPLES {
            self.examples.insert(example.chars().take(200).collect());
        }
    }
}

impl Findings {
    fn link(&mut self, code: Option<&str>, url: &str, created_at: &str, has_time: bool) {
        self.report.links += 1;
        match Code::from_key(code.unwrap_or_default()) {
            Err(_) => self.codes.add(1, code.unwrap_or("NULL")),
            Ok(code)
                if self.folding == Folding::Lower && code.as_str().bytes().any(|byte| byte.is_ascii_uppercase()) =>
            {
                self.unfolded.add(1, code.as_str());
            }
            Ok(_) => {}
        }
        if Target::new(TargetParts::new(Uuid::nil(), url)).check().is_err() {
            self.urls.add(1, url);
        }
        if !has_time {
            self.times.add(1, created_at);
        }
    }

    fn clicked_code(&mut self, code: &str, clicks: i64) {
        if Code::from_key(code).is_err() {
            self.clicked_codes.add(clicks.cast_unsigned(), code);
        }
    }

    fn into_report(self) -> MigrationReport {
        let found = [
            ("links.code", "no redirect reaches these links and no list shows them", self.codes),
            ("links.code", "codes are folded to lower case, so no redirect reaches these links", self.unfolded),
            ("links.url", "these links answer with an error instead of a redirect", self.urls),
            ("links.created_at", "these links count as made in 1970", self.times),
            ("clicks.clicked_at", "these clicks are in no total and no list", self.unread_clicks),
            ("clicks.code", "these clicks are in totals that no code can ask for, and in no list", self.clicked_codes),
        ];
        let found = found.into_iter().filter(|(_, _, found)| found.rows > 0);
        let unfit = found.map(|(what, consequence, found)| Unfit {
            what: what.to_owned(),
            consequence: consequence.to_owned(),
            rows: found.rows,
            examples: found.examples.into_iter().collect(),
        });
        MigrationReport { unfit: unfit.collect(), ..self.report }
    }
}
