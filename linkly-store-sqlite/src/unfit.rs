//! Rows that were there before the migration: what no rule of this library would let in is reported, and
//! kept.

use std::collections::BTreeSet;

use linkly_core::{Code, Folding, Result, Target, TargetParts, Uuid, url_hash};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::error;
use crate::rows::to_json;
use crate::store::SqliteStore;

/// How many rows that were there before are read at once.
const CHUNK: i64 = 1_000;
/// How many examples of unfit rows are kept.
const EXAMPLES: usize = 5;

/// What a migration found in a database that had links and clicks before. Kept in the database, so that
/// every later [`SqliteStore::migrate`] returns it again.
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

/// Looks at the rows that were there before, a chunk at a time, and gives the links the hash of their URL.
pub(crate) async fn look_at_rows(store: &SqliteStore, connection: &mut SqliteConnection) -> Result<MigrationReport> {
    let mut findings = Findings { folding: store.config().folding.unwrap_or_default(), ..Findings::default() };
    look_at_links(store, connection, &mut findings).await.map_err(error::map)?;
    look_at_clicks(store, connection, &mut findings).await.map_err(error::map)?;
    let report = findings.into_report();
    if report.links + report.clicks > 0 {
        tracing::info!(links = report.links, clicks = report.clicks, "a database that was there before was upgraded");
    }
    for unfit in &report.unfit {
        tracing::warn!(what = unfit.what, rows = unfit.rows, examples = ?unfit.examples, "{}", unfit.consequence);
    }
    Ok(report)
}

async fn look_at_links(
    store: &SqliteStore,
    connection: &mut SqliteConnection,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let read = store.sql(
        "SELECT rowid, CAST(code AS BLOB), CAST(url AS BLOB), CAST(created_at AS BLOB), updated_at IS NOT NULL \
         FROM /*prefix*/links WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
    );
    let write = store.sql(
        "UPDATE /*prefix*/links AS l SET url_hash = j.value ->> 1 FROM json_each(?1) AS j WHERE l.rowid = j.value ->> 0",
    );
    let mut last = i64::MIN;
    loop {
        let rows = sqlx::query(read.clone()).bind(last).bind(CHUNK).fetch_all(&mut *connection).await?;
        let mut hashes = Vec::with_capacity(rows.len());
        for row in &rows {
            last = row.try_get(0)?;
            let text = |column: usize| -> sqlx::Result<Option<String>> {
                let bytes: Option<&[u8]> = row.try_get(column)?;
                Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
            };
            let url = text(2)?.unwrap_or_default();
            hashes.push((last, url_hash(&url)));
            findings.link(text(1)?.as_deref(), &url, &text(3)?.unwrap_or_default(), row.try_get(4)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(write.clone()).bind(to_json(&hashes)).execute(&mut *connection).await?;
    }
}

async fn look_at_clicks(
    store: &SqliteStore,
    connection: &mut SqliteConnection,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let count = store.sql("SELECT count(*), count(event_id) FROM /*prefix*/clicks");
    let (all, read): (i64, i64) = sqlx::query_as(count).fetch_one(&mut *connection).await?;
    findings.report.clicks = all.cast_unsigned();
    if all > read {
        let examples =
            store.sql("SELECT CAST(clicked_at AS BLOB) FROM /*prefix*/clicks WHERE event_id IS NULL LIMIT 5");
        let examples: Vec<Vec<u8>> = sqlx::query_scalar(examples).fetch_all(&mut *connection).await?;
        findings.unread_clicks.rows = (all - read).cast_unsigned();
        findings.unread_clicks.examples =
            examples.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    }
    let codes = store.sql(
        "SELECT CAST(code AS BLOB), clicks FROM /*prefix*/link_stats WHERE code >= CAST(?1 AS TEXT) \
         ORDER BY code LIMIT ?2",
    );
    let mut from: Vec<u8> = Vec::new();
    loop {
        let rows = sqlx::query(codes.clone()).bind(from.clone()).bind(CHUNK).fetch_all(&mut *connection).await?;
        for row in &rows {
            from = row.try_get(0)?;
            findings.clicked_code(&String::from_utf8_lossy(&from), row.try_get(1)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
        // The next text in the order of bytes.
        from.push(0);
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
