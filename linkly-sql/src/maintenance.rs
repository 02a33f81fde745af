//! Maintenance.

use std::collections::HashSet;

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    ChangeCursor, Changes, Code, Deleted, Maintenance, PurgeExpired, PurgedClicks, PurgedLinks, Reconciled, Result,
    Size, Step, TimeRange, first_id, url_hash,
};
use serde::Deserialize;

use crate::driver::{Driver, Sql, Statement};
use crate::links::Deletion;
use crate::rows::{Hex, elements, parse_time, read_code, read_id, time_text, to_json};
use crate::store::SqlStore;

/// How many changes are read in one call.
const PAGE: usize = 1_000;
/// How many hashes of URLs one call of `optimize` makes.
const HASHES: i64 = 10_000;
/// How long the ids of released links are known: longer than any call is sent again, and any click late.
const RELEASED: TimeDelta = TimeDelta::days(30);
/// How many of those one call of `optimize` forgets.
const FORGOTTEN: i64 = 10_000;

/// How many clicks of other programs one call adopts.
const ADOPTED: i64 = 10_000;

/// The log's bounds, a page of it, and whether there are clicks to adopt, of one moment.
pub(crate) const CHANGES: &str = "
    SELECT CAST(json_array((SELECT CAST(value AS TEXT) FROM /*prefix*/linkly_meta WHERE key = 'database'),
        (SELECT min(seq) FROM /*prefix*/link_changes), (SELECT max(seq) FROM /*prefix*/link_changes),
        (SELECT json_group_array(json_array(seq, code))
            FROM (SELECT seq, CAST(code AS TEXT) AS code FROM /*prefix*/link_changes WHERE seq > ?1 ORDER BY seq LIMIT ?2)),
        EXISTS (SELECT 1 FROM /*prefix*/clicks INDEXED BY /*prefix*/clicks_new WHERE event_id IS NULL
            AND id > (SELECT value FROM /*prefix*/linkly_meta WHERE key = 'adopted')))
        AS BLOB)";

pub(crate) const ADOPT: &str = "
    INSERT INTO /*prefix*/linkly_adopt (id) SELECT id FROM /*prefix*/clicks INDEXED BY /*prefix*/clicks_new
    WHERE event_id IS NULL AND id > (SELECT value FROM /*prefix*/linkly_meta WHERE key = 'adopted')
    ORDER BY id LIMIT ?1";

const RAISE_WATERMARK: &str = "
    INSERT INTO /*prefix*/linkly_meta (key, value) VALUES ('purged_before', ?1)
    ON CONFLICT (key) DO UPDATE SET value = max(value, excluded.value) RETURNING value";

pub(crate) const PURGE: &str = "
    DELETE FROM /*prefix*/clicks WHERE id IN (
        SELECT id FROM /*prefix*/clicks WHERE event_id < ?1 ORDER BY event_id LIMIT ?2)";

pub(crate) const IS_PURGED: &str = "SELECT NOT EXISTS (SELECT 1 FROM /*prefix*/clicks WHERE event_id < ?1)";

pub(crate) const EXPIRED: &str = "
    SELECT CAST(json_group_array(json_array(code, id, version)) AS BLOB) FROM (
        SELECT CAST(code AS TEXT) AS code, hex(id) AS id, version FROM /*prefix*/links
        WHERE retired_at IS NULL AND expires_at IS NOT NULL AND expires_at < ?1 AND +code IS NOT NULL
        ORDER BY expires_at LIMIT ?2)";

pub(crate) const UNHASHED: &str = "
    SELECT rowid, CAST(url AS BLOB) FROM /*prefix*/links WHERE url_hash IS NULL AND retired_at IS NULL LIMIT ?1";

pub(crate) const HASH: &str = "
    UPDATE /*prefix*/links AS l SET url_hash = j.value ->> 1
    FROM json_each(?1) AS j WHERE l.rowid = j.value ->> 0 AND l.url = j.value ->> 2";

const OUTDATED: &str = "
    SELECT json_group_array(hex(id)) FROM (SELECT id FROM /*prefix*/released_links WHERE released_at < ?1 LIMIT ?2)";

pub(crate) const FORGET: &str = "
    DELETE FROM /*prefix*/released_links WHERE id IN (SELECT unhex(value) FROM json_each(?1))";

const HAS_STATISTICS: &str = "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_stat1'";

/// Until when a table counts as small. Reading it through is then what SQLite may choose over its indexes.
const SMALL: &str = "
    DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < 10000 AND tbl COLLATE NOCASE IN ('/*prefix*/links',
        '/*prefix*/clicks', '/*prefix*/click_hours', '/*prefix*/link_stats', '/*prefix*/link_tags',
        '/*prefix*/link_changes', '/*prefix*/released_links')";

/// Has all connections but this one read what is left of the statistics: they do with the schema, and that when it
/// has changed.
const RELOAD: &str = "CREATE TABLE /*prefix*/linkly_reload (at); DROP TABLE /*prefix*/linkly_reload;";

#[derive(Deserialize)]
struct ChangesRow(Option<String>, Option<i64>, Option<i64>, Vec<(i64, String)>, u8);

#[derive(Deserialize)]
struct ExpiredRow(String, String, u32);

impl<D: Driver> SqlStore<D> {
    /// Removes the planner's statistics of our tables that were gathered while they were small: a connection keeps
    /// them for as long as it is open, and would go on reading a table through that has grown since.
    async fn forget_small_tables(&self) -> Result<()> {
        let statistics = self.driver().read(Statement::new(Sql::Static(HAS_STATISTICS))).await?;
        // The names are in quotes, where a mark is no comment.
        let small = Statement::new(self.with_prefix(SMALL));
        if statistics.is_empty() || self.driver().write(small).await? == 0 {
            return Ok(());
        }
        self.driver().transaction(self.with_prefix(RELOAD)).await
    }

    /// Counts clicks that other programs wrote since the last time, as many as a call may.
    async fn adopt_clicks(&self) -> Result<()> {
        self.write(ADOPT, vec![ADOPTED.into()]).await?;
        Ok(())
    }
}

#[async_trait]
impl<D: Driver> Maintenance for SqlStore<D> {
    /// Also counts clicks that other programs wrote.
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        let asked = after.and_then(|cursor| cursor.as_str().split_once('.'));
        let asked =
            asked.and_then(|(database, seq)| Some((database, seq.parse::<i64>().ok().filter(|seq| *seq >= 0)?)));
        // Without a cursor none behind the end: the page stays empty.
        let behind = asked.map_or(i64::MAX, |(_, seq)| seq);
        let json = self.read_json(self.statement(CHANGES).bind(behind).bind(PAGE as i64 + 1)).await?;
        let row = serde_json::from_str(&json);
        let ChangesRow(database, first, last, mut rows, has_new_clicks) =
            row.map_err(|error| self.failed(format!("the change log cannot be read: {error}")))?;
        if has_new_clicks == 1
            && let Err(error) = self.adopt_clicks().await
        {
            // The changes are known all the same.
            tracing::warn!(%error, "clicks of other programs are not counted yet");
        }
        let (database, end) = (database.unwrap_or_default(), last.unwrap_or(0));
        let cursor = |seq: i64| ChangeCursor::new(format!("{database}.{seq}"));
        let Some(after) = after else {
            return Ok(Changes::new(Vec::new(), cursor(end)));
        };
        // A cursor of another database, or from before a backup was restored, or from before what was
        // trimmed: any link may have changed.
        let known = |(of, seq): &(&str, i64)| *of == database && *seq <= end && first.unwrap_or(1) <= seq + 1;
        let Some((_, seq)) = asked.filter(known) else {
            tracing::info!(cursor = after.as_str(), end, "the change log does not reach back to a cursor");
            let mut changes = Changes::new(Vec::new(), cursor(end));
            changes.lost = true;
            return Ok(changes);
        };
        let has_more = rows.len() > PAGE;
        rows.truncate(PAGE);
        let next = rows.last().map_or(seq, |(seq, _)| *seq);
        let mut seen = HashSet::new();
        let codes: Vec<Code> = rows
            .iter()
            .filter(|(_, code)| seen.insert(code.as_str()))
            .filter_map(|(_, code)| read_code(Some(code)))
            .collect();
        let mut changes = Changes::new(codes, cursor(next));
        changes.more = has_more;
        Ok(changes)
    }

    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        let limit = limit.max(1);
        let asked = Step::Hour.floor(before).max(DateTime::UNIX_EPOCH);
        // The watermark first: a click that arrives between the two statements is refused already.
        let raise = self.statement(RAISE_WATERMARK).bind(time_text(asked));
        let raised = self.driver().write_returning(raise).await?;
        let watermark = raised.first().and_then(|row| parse_time(&row.text(0)?)).unwrap_or(asked);
        let first = first_id(watermark).as_bytes().to_vec();
        let removed = self.write(PURGE, vec![first.clone().into(), i64::from(limit).into()]).await?;
        let done = removed < u64::from(limit) || {
            let left = self.driver().read(self.statement(IS_PURGED).bind(first)).await?;
            left.first().and_then(|row| row.integer(0)) == Some(1)
        };
        Ok(PurgedClicks::new(removed, done, watermark))
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        let limit = query.limit.max(1);
        let expired = self.statement(EXPIRED).bind(time_text(query.before)).bind(i64::from(limit) + 1);
        let mut rows: Vec<ExpiredRow> = elements(self.driver().backend(), &self.read_json(expired).await?)?;
        let done = rows.len() <= limit as usize;
        rows.truncate(limit as usize);
        // By version: a link whose expiry is moved meanwhile stays.
        let deletions: Vec<_> = rows
            .iter()
            .filter_map(|ExpiredRow(code, id, version)| {
                Some(Deletion(code, Hex(read_id(id)?), Some(*version), query.release))
            })
            .collect();
        if deletions.is_empty() {
            return Ok(PurgedLinks::new(Vec::new(), done));
        }
        let deleted = self.delete_links(&deletions).await?;
        let codes = deletions.iter().zip(deleted).filter(|(_, deleted)| *deleted == Deleted::Deleted);
        Ok(PurgedLinks::new(codes.filter_map(|(deletion, _)| read_code(Some(deletion.0))).collect(), done))
    }

    /// A total whose code has no hours at all, which only SQL by others leaves, is not looked at: all
    /// totals would have to be read for it.
    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
        self.reconcile_hours(range).await
    }

    /// Also counts clicks that other programs wrote, makes the hashes by which links are found by URL for links that other programs wrote, and
    /// forgets the ids of links that were released more than 30 days ago: only until then is deleting one
    /// again [`Deleted::Deleted`], and are its inserts and clicks that come late kept out. Gathers no statistics
    /// for the planner, which the statements do not need, and removes those that somebody gathered of our tables
    /// while they were small.
    async fn optimize(&self) -> Result<()> {
        self.adopt_clicks().await?;
        let mut hashes = Vec::new();
        for row in self.driver().read(self.statement(UNHASHED).bind(HASHES)).await? {
            // One that is not UTF-8 is no URL.
            let url = row.bytes(1).and_then(|url| std::str::from_utf8(url).ok());
            hashes.extend(row.integer(0).zip(url).map(|(rowid, url)| (rowid, url_hash(url), url.to_owned())));
        }
        if !hashes.is_empty() {
            self.write(HASH, vec![to_json(&hashes).into()]).await?;
        }
        // Found by a reader, which may walk them all, and by nobody's write.
        let outdated = self.statement(OUTDATED).bind(time_text(Utc::now() - RELEASED)).bind(FORGOTTEN);
        let outdated: Vec<String> = elements(self.driver().backend(), &self.read_json(outdated).await?)?;
        if !outdated.is_empty() {
            self.write(FORGET, vec![to_json(&outdated).into()]).await?;
        }
        self.forget_small_tables().await?;
        self.driver().optimize().await
    }

    async fn size(&self) -> Result<Size> {
        let pages =
            Statement::new(Sql::Static("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"));
        let rows = self.driver().read(pages).await?;
        Ok(Size::new(rows.first().and_then(|row| row.integer(0)).unwrap_or(0).cast_unsigned()))
    }

    async fn ping(&self) -> Result<()> {
        self.driver().read(self.statement("SELECT 1 FROM /*prefix*/linkly_meta LIMIT 1")).await?;
        Ok(())
    }
}
