//! Counting clicks again.

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Count, Difference, Reconciled, Result, Step, TimeRange, first_id, time_of};
use serde::Deserialize;

use crate::driver::{Driver, Statement};
use crate::rows::{elements, parse_time, read_code, read_id, time_text, to_json};
use crate::stats::count;
use crate::store::SqlStore;

/// About how many rows one call counts: whole hours until it is more than this.
const ROWS: i64 = 20_000;

/// Where the first row and the first count from a moment on stand, and where the first call ends.
pub(crate) const BOUNDS: &str = "
    SELECT CAST(json_array(
        (SELECT hex(event_id) FROM /*prefix*/clicks WHERE event_id >= ?1 ORDER BY event_id LIMIT 1),
        (SELECT hour FROM /*prefix*/click_hours WHERE hour >= ?2 ORDER BY hour LIMIT 1),
        (SELECT hex(event_id) FROM /*prefix*/clicks WHERE event_id >= ?1 ORDER BY event_id LIMIT 1 OFFSET ?3),
        (SELECT hour FROM /*prefix*/click_hours WHERE hour >= ?2 ORDER BY hour LIMIT 1 OFFSET ?3)) AS BLOB)";

/// The hours whose counts are not what the rows say. A sum over both, because a join of both, which have
/// no index in common, took seconds where this takes a tenth of one.
///
/// The watermark once more: rows may have been purged since it was read, and their hours are not to be
/// mended to nothing.
pub(crate) const HOURS: &str = "
    SELECT CAST(json_group_array(json_array(CAST(code AS TEXT), hour, kept, kept_bots, counted, counted_bots)) AS BLOB)
    FROM (
        SELECT code, hour, sum(kept) AS kept, sum(kept_bots) AS kept_bots, sum(counted) AS counted,
            sum(counted_bots) AS counted_bots
        FROM (
            SELECT code, substr(clicked_at, 1, 13) || ':00:00.000Z' AS hour, 0 AS kept, 0 AS kept_bots, 1 AS counted,
                bot AS counted_bots
            FROM /*prefix*/clicks WHERE event_id >= ?1 AND event_id < ?2
            UNION ALL SELECT code, hour, clicks, bots, 0, 0 FROM /*prefix*/click_hours WHERE hour >= ?3 AND hour < ?4
        ) GROUP BY code, hour
    ) WHERE (kept <> counted OR kept_bots <> counted_bots)
        AND hour >= coalesce((SELECT value FROM /*prefix*/linkly_meta WHERE key = 'purged_before'), '')";

/// The totals that are not the sums of their hours, of codes whose last click is in the hours at hand:
/// so each code is summed once in a run over all time. And of the codes in `?3`.
pub(crate) const SUMS: &str = "
    WITH codes AS (
        SELECT h.code FROM /*prefix*/click_hours AS h LEFT JOIN /*prefix*/link_stats AS s ON s.code = h.code
        WHERE h.hour >= ?1 AND h.hour < ?2 AND coalesce(s.last_clicked_at, '') < ?2
        UNION SELECT value FROM json_each(?3)
    ), sums AS (
        SELECT c.code, coalesce(sum(h.clicks), 0) AS clicks, coalesce(sum(h.bots), 0) AS bots
        FROM codes AS c LEFT JOIN /*prefix*/click_hours AS h ON h.code = c.code GROUP BY c.code
    )
    SELECT CAST(json_group_array(json_array(CAST(sums.code AS TEXT), NULL, s.clicks, s.bots, sums.clicks, sums.bots))
        AS BLOB)
    FROM sums LEFT JOIN /*prefix*/link_stats AS s ON s.code = sums.code
    WHERE coalesce(s.clicks, 0) <> sums.clicks OR coalesce(s.bots, 0) <> sums.bots";

const RECOUNT: &str = "INSERT INTO /*prefix*/linkly_recount (batch) VALUES (?1)";

#[derive(Deserialize)]
struct Bounds(Option<String>, Option<String>, Option<String>, Option<String>);

/// Code, hour, what stood there, what the rows say.
#[derive(Deserialize)]
struct DifferenceRow(String, Option<String>, Option<i64>, Option<i64>, Option<i64>, Option<i64>);

impl DifferenceRow {
    fn into_difference(self) -> Option<Difference> {
        let of = |clicks: Option<i64>, bots: Option<i64>| Count {
            clicks: count(clicks.unwrap_or(0)),
            bots: count(bots.unwrap_or(0)),
        };
        let hour = self.1.as_deref().and_then(parse_time);
        Some(Difference::new(read_code(Some(&self.0))?, hour, of(self.2, self.3), of(self.4, self.5)))
    }
}

impl<D: Driver> SqlStore<D> {
    pub(crate) async fn reconcile_hours(&self, range: TimeRange) -> Result<Reconciled> {
        let range = range.widened(Step::Hour);
        let from = range.from.max(self.watermark().await?);
        let done = Ok(Reconciled::new(Vec::new(), None));
        if from >= range.until {
            return done;
        }
        let Some((from, end, has_more)) = self.part_of(TimeRange::new(from, range.until)).await? else {
            return done;
        };
        let hours = self.mend_hours(from, end).await?;
        let codes: Vec<&str> = hours.iter().map(|row| row.0.as_str()).collect();
        let sums = self.mend_sums(from, end, to_json(&codes)).await?;
        let differences: Vec<_> = hours.into_iter().chain(sums).filter_map(DifferenceRow::into_difference).collect();
        for difference in &differences {
            tracing::warn!(?difference, "a count was not what the rows say, and was mended");
        }
        Ok(Reconciled::new(differences, has_more.then_some(end)))
    }

    /// The next hours with rows or counts: from when, until when, and whether any are behind.
    async fn part_of(&self, range: TimeRange) -> Result<Option<(DateTime<Utc>, DateTime<Utc>, bool)>> {
        let bounds = self.bounds(range.from, ROWS).await?;
        let hour_of = |id: &Option<String>, hour: &Option<String>| {
            let clicked = id.as_deref().and_then(read_id).and_then(time_of).map(|at| Step::Hour.floor(at));
            clicked.into_iter().chain(hour.as_deref().and_then(parse_time)).min()
        };
        let Some(from) = hour_of(&bounds.0, &bounds.1).filter(|from| *from < range.until) else {
            return Ok(None);
        };
        let Some(last) = hour_of(&bounds.2, &bounds.3) else {
            return Ok(Some((from, range.until, false)));
        };
        let end = (last.max(from) + Step::Hour.length()).min(range.until);
        let behind = self.bounds(end, 0).await?;
        let has_more = hour_of(&behind.0, &behind.1).is_some_and(|next| next < range.until);
        Ok(Some((from, end, has_more)))
    }

    async fn bounds(&self, from: DateTime<Utc>, rows: i64) -> Result<Bounds> {
        let statement = self.statement(BOUNDS).bind(first_id(from).as_bytes().to_vec());
        let json = self.read_json(statement.bind(time_text(from)).bind(rows)).await?;
        serde_json::from_str(&json).map_err(|error| self.failed(format!("the hours cannot be read: {error}")))
    }

    async fn mend_hours(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<DifferenceRow>> {
        let statement = self
            .statement(HOURS)
            .bind(first_id(from).as_bytes().to_vec())
            .bind(first_id(until).as_bytes().to_vec())
            .bind(time_text(from))
            .bind(time_text(until));
        self.mend(statement).await
    }

    async fn mend_sums(&self, from: DateTime<Utc>, until: DateTime<Utc>, codes: String) -> Result<Vec<DifferenceRow>> {
        self.mend(self.statement(SUMS).bind(time_text(from)).bind(time_text(until)).bind(codes)).await
    }

    /// Mends what a statement finds by counting once more inside the statement that writes: clicks may have
    /// come meanwhile.
    async fn mend(&self, find: Statement) -> Result<Vec<DifferenceRow>> {
        let found: Vec<DifferenceRow> = elements(self.driver().backend(), &self.read_json(find).await?)?;
        if !found.is_empty() {
            let batch: Vec<_> = found.iter().map(|row| (row.0.as_str(), row.1.as_deref())).collect();
            self.write(RECOUNT, vec![to_json(&batch).into()]).await?;
        }
        Ok(found)
    }

    async fn watermark(&self) -> Result<DateTime<Utc>> {
        let rows = self
            .driver()
            .read(self.statement("SELECT CAST(value AS BLOB) FROM /*prefix*/linkly_meta WHERE key = 'purged_before'"))
            .await?;
        Ok(rows.first().and_then(|row| parse_time(&row.text(0)?)).unwrap_or(DateTime::UNIX_EPOCH))
    }
}

#[cfg(test)]
mod tests {
    use linkly_core::{Click, ClickSink, ClickStatsExt, Code, Maintenance, Totals};

    use super::*;
    use crate::rusqlite_driver::Rusqlite;

    /// A purge that commits after reconciling has read the watermark.
    #[tokio::test]
    async fn a_purge_meanwhile_does_not_take_the_counts_of_its_hours() {
        let store = Rusqlite::in_memory().await;
        let at: DateTime<Utc> = "2026-01-11T10:20:30.456Z".parse().unwrap();
        let code = Code::new("a").unwrap();
        store.record(&[Click::new(code.clone(), at), Click::new(code.clone(), at)]).await.unwrap();
        let hour = Step::Hour.floor(at);
        let until = hour + Step::Hour.length();
        assert!(store.watermark().await.unwrap() < hour);
        assert!(store.purge_clicks(until, 10).await.unwrap().done);

        assert!(store.mend_hours(hour, until).await.unwrap().is_empty());
        // Nor when it commits between finding and mending.
        let batch = to_json(&[("a", Some(time_text(hour))), ("a", None)]);
        store.write(RECOUNT, vec![batch.into()]).await.unwrap();
        assert!(store.mend_sums(hour, until, to_json(&["a"])).await.unwrap().is_empty());
        assert_eq!(store.total(&code).await.unwrap(), Totals::new(2, 0, Some(at)));
        let hours = store.statement("SELECT sum(clicks) FROM click_hours");
        assert_eq!(store.driver().read(hours).await.unwrap()[0].integer(0), Some(2));
    }
}
