//! Maintenance.

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    ChangeCursor, Changes, Deleted, Maintenance, PurgeExpired, PurgedClicks, PurgedLinks, Reconciled, Result, Size,
    Step, TimeRange, first_id, url_hash,
};
use tokio_postgres::types::Type;

use crate::call::{Call, Param};
use crate::error;
use crate::links::Deletion;
use crate::rows::{bound, read_code};
use crate::stats::count;
use crate::store::PostgresStore;

/// How many hashes of URLs one call of `optimize` makes.
const HASHES: i64 = 10_000;
/// How long the ids of released links are known: longer than any call is sent again, and any click late.
const RELEASED: TimeDelta = TimeDelta::days(30);
/// How many of those one call of `optimize` forgets.
const FORGOTTEN: i64 = 10_000;
/// Our tables, whose statistics are refreshed and whose sizes make up that of the database.
pub(crate) const TABLES: [&str; 8] =
    ["links", "link_tags", "link_changes", "released_links", "link_stats", "click_hours", "clicks", "linkly_meta"];

const RAISE_WATERMARK: &str = "SELECT /*schema.*/linkly_raise_watermark($1)";

/// The first `$2` rows before `$1`, as a range: by their ids each partition would be asked for each.
pub(crate) const PURGE: &str = "
    WITH purged AS (
        DELETE FROM /*schema.*/clicks WHERE event_id < $1 AND event_id <= coalesce((
            SELECT event_id FROM /*schema.*/clicks WHERE event_id < $1 ORDER BY event_id OFFSET $2 - 1 LIMIT 1), $1)
        RETURNING 1
    )
    SELECT count(*) FROM purged";

/// By the first row of all: of those before `$1` none may be left, and the planner would look for one of many.
pub(crate) const IS_PURGED: &str = "
    SELECT coalesce((SELECT event_id FROM /*schema.*/clicks ORDER BY event_id LIMIT 1) >= $1, true)";

pub(crate) const EXPIRED: &str = "
    SELECT code, id, version FROM /*schema.*/links
    WHERE retired_at IS NULL AND expires_at IS NOT NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2";

pub(crate) const UNHASHED: &str = "
    SELECT code, url FROM /*schema.*/links WHERE url_hash IS NULL AND retired_at IS NULL LIMIT $1";

pub(crate) const HASH: &str = "
    WITH asked AS (
        SELECT n.* FROM unnest($1, $2, $3) AS n (code, url, hash)
        JOIN /*schema.*/links AS l ON l.code = n.code AND l.url = n.url ORDER BY l.code FOR UPDATE OF l
    )
    UPDATE /*schema.*/links AS l SET url_hash = n.hash FROM asked AS n WHERE l.code = n.code";

pub(crate) const FORGET: &str = "
    DELETE FROM /*schema.*/released_links WHERE id IN (
        SELECT id FROM /*schema.*/released_links WHERE released_at < $1 LIMIT $2)";

/// Changes that were committed after the log had been trimmed beyond them.
const TRIM: &str = "
    DELETE FROM /*schema.*/link_changes WHERE seq <= (SELECT last_value FROM /*schema.*/linkly_trimmed)";

const SIZE: &str = "
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind = 'r' AND (c.relname = ANY ($2) OR EXISTS (
        SELECT FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent
        WHERE i.inhrelid = c.oid AND p.relname = 'clicks' AND p.relnamespace = n.oid))";

#[async_trait]
impl Maintenance for PostgresStore {
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        self.read_changes(after).await
    }

    /// Partitions that are older than the watermark are dropped, each with all its rows, whatever `limit` is.
    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        let limit = limit.max(1);
        let asked = bound(Step::Hour.floor(before).max(DateTime::UNIX_EPOCH));
        // The watermark first: a click that arrives between the two statements is refused already.
        let raised = self.query(RAISE_WATERMARK, &[(&asked, Type::TIMESTAMPTZ)]).await?;
        let watermark = raised.first().map_or(Ok(asked), |row| row.try_get(0)).map_err(error::map)?;
        let first = first_id(watermark);
        // Whole partitions go whole, whatever the limit: it is one step, and each row would be many.
        let dropped = self.drop_partitions(first).await?;
        let purged = self.query(PURGE, &[(&first, Type::UUID), (&i64::from(limit), Type::INT8)]).await?;
        let removed = count(purged.first().map_or(Ok(0), |row| row.try_get(0)).map_err(error::map)?);
        let done = removed < u64::from(limit) || {
            let is_purged = self.query(IS_PURGED, &[(&first, Type::UUID)]).await?;
            is_purged.first().map_or(Ok(true), |row| row.try_get(0)).map_err(error::map)?
        };
        Ok(PurgedClicks::new(dropped + removed, done, watermark))
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        let limit = query.limit.max(1);
        let params: [Param<'_>; 2] = [(&bound(query.before), Type::TIMESTAMPTZ), (&(i64::from(limit) + 1), Type::INT8)];
        let mut rows = self.query(EXPIRED, &params).await?;
        let done = rows.len() <= limit as usize;
        rows.truncate(limit as usize);
        // By version: a link whose expiry is moved meanwhile stays.
        let mut deletions = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get::<_, i64>(2)?));
            let (code, id, version) = read().map_err(error::map)?;
            let version = u32::try_from(version).ok();
            deletions.push(Deletion { code, id, version, release: query.release });
        }
        if deletions.is_empty() {
            return Ok(PurgedLinks::new(Vec::new(), done));
        }
        let deleted = self.delete_links(&deletions).await?;
        let codes = deletions.iter().zip(deleted).filter(|(_, deleted)| *deleted == Deleted::Deleted);
        Ok(PurgedLinks::new(codes.filter_map(|(deletion, _)| read_code(deletion.code)).collect(), done))
    }

    /// A total whose code has no hours at all, which only SQL by others leaves, is not looked at: all
    /// totals would have to be read for it.
    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
        self.reconcile_hours(range).await
    }

    /// Also makes the hashes by which links are found by URL for links that other programs wrote, and
    /// forgets the ids of links that were released more than 30 days ago: only until then is deleting one
    /// again [`Deleted::Deleted`], and are its inserts and clicks that come late kept out. Makes partitions of
    /// clicks for the time ahead: 7 days, 4 weeks or 3 months of them.
    async fn optimize(&self) -> Result<()> {
        let unhashed = self.query(UNHASHED, &[(&HASHES, Type::INT8)]).await?;
        let (mut codes, mut urls, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
        for row in &unhashed {
            let read = || Ok((row.try_get(0)?, row.try_get(1)?));
            let (code, url): (&str, &str) = read().map_err(error::map)?;
            codes.push(code);
            urls.push(url);
            hashes.push(url_hash(url));
        }
        if !codes.is_empty() {
            let params: [Param<'_>; 3] =
                [(&codes, Type::TEXT_ARRAY), (&urls, Type::TEXT_ARRAY), (&hashes, Type::INT8_ARRAY)];
            self.query(HASH, &params).await?;
        }
        let params: [Param<'_>; 2] = [(&(Utc::now() - RELEASED), Type::TIMESTAMPTZ), (&FORGOTTEN, Type::INT8)];
        self.query(FORGET, &params).await?;
        self.query(TRIM, &[]).await?;
        self.make_partitions().await?;
        for table in TABLES {
            let analyze = self.built_sql(&format!("ANALYZE /*schema.*/{table}"));
            self.run(self.pool(), Call::fresh(&analyze, &[])).await?;
        }
        Ok(())
    }

    /// That of the library's own tables and their indexes.
    async fn size(&self) -> Result<Size> {
        let schema = self.config().schema.as_str();
        let params: [Param<'_>; 2] = [(&schema, Type::TEXT), (&&TABLES[..], Type::TEXT_ARRAY)];
        let rows = self.query(SIZE, &params).await?;
        let bytes = rows.first().map_or(Ok(0), |row| row.try_get(0)).map_err(error::map)?;
        Ok(Size::new(count(bytes)))
    }

    async fn ping(&self) -> Result<()> {
        self.query("SELECT FROM /*schema.*/linkly_meta LIMIT 1", &[]).await?;
        Ok(())
    }
}
