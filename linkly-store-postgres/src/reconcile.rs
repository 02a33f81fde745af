//! Counting clicks again.

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Count, Difference, Reconciled, Result, Step, TimeRange, Uuid, first_id, time_of};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use crate::call::{Call, Param};
use crate::error;
use crate::rows::{bound, read_code};
use crate::stats::count;
use crate::store::PostgresStore;

/// About how many rows one call counts: whole hours until it is more than this.
const ROWS: i64 = 20_000;

/// Where the first row and the first count from a moment on stand, and where the first call ends.
pub(crate) const BOUNDS: &str = "
    SELECT
        (SELECT event_id FROM /*schema.*/clicks WHERE event_id >= $1 ORDER BY event_id LIMIT 1),
        (SELECT hour FROM /*schema.*/click_hours WHERE hour >= $2 ORDER BY hour LIMIT 1),
        (SELECT event_id FROM /*schema.*/clicks WHERE event_id >= $1 ORDER BY event_id LIMIT 1 OFFSET $3),
        (SELECT hour FROM /*schema.*/click_hours WHERE hour >= $2 ORDER BY hour LIMIT 1 OFFSET $3)";

/// The hours whose counts are not what the rows say.
///
/// The watermark once more: rows may have been purged since it was read, and their hours are not to be
/// mended to nothing.
pub(crate) const HOURS: &str = "
    SELECT code, hour, sum(kept)::bigint, sum(kept_bots)::bigint, sum(counted)::bigint, sum(counted_bots)::bigint
    FROM (
        SELECT code, date_trunc('hour', clicked_at, 'UTC') AS hour, 0 AS kept, 0 AS kept_bots, 1 AS counted,
            bot::integer AS counted_bots
        FROM /*schema.*/clicks WHERE event_id >= $1 AND event_id < $2
        UNION ALL SELECT code, hour, clicks, bots, 0, 0 FROM /*schema.*/click_hours WHERE hour >= $3 AND hour < $4
    ) AS counts
    WHERE hour >= coalesce((SELECT value::timestamptz FROM /*schema.*/linkly_meta WHERE key = 'purged_before'),
        '-infinity')
    GROUP BY code, hour HAVING sum(kept) <> sum(counted) OR sum(kept_bots) <> sum(counted_bots)";

/// The totals that are not the sums of their hours, of codes whose last click is in the hours at hand:
/// so each code is summed once in a run over all time. And of the codes in `$3`.
pub(crate) const SUMS: &str = "
    WITH codes AS (
        SELECT h.code FROM /*schema.*/click_hours AS h LEFT JOIN /*schema.*/link_stats AS s ON s.code = h.code
        WHERE h.hour >= $1 AND h.hour < $2 AND coalesce(s.last_clicked_at, '-infinity') < $2
        UNION SELECT * FROM unnest($3)
    ), sums AS (
        SELECT c.code, coalesce(sum(h.clicks), 0)::bigint AS clicks, coalesce(sum(h.bots), 0)::bigint AS bots
        FROM codes AS c LEFT JOIN /*schema.*/click_hours AS h ON h.code = c.code GROUP BY c.code
    )
    SELECT sums.code, NULL::timestamptz, coalesce(s.clicks, 0), coalesce(s.bots, 0), sums.clicks, sums.bots
    FROM sums LEFT JOIN /*schema.*/link_stats AS s ON s.code = sums.code
    WHERE coalesce(s.clicks, 0) <> sums.clicks OR coalesce(s.bots, 0) <> sums.bots";

const RECOUNT: &str = "SELECT /*schema.*/linkly_recount($1, $2)";

/// Where rows of clicks and hours stand.
#[derive(Default)]
struct Bounds {
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

/// What differs: code, hour, what stood there, what the rows say.
struct Found {
    code: String,
    hour: Option<DateTime<Utc>>,
    kept: Count,
    counted: Count,
}

impl Found {
    fn of(row: &Row) -> Result<Self> {
        let read = || {
            let count = |column| -> std::result::Result<Count, tokio_postgres::Error> {
                Ok(Count { clicks: count(row.try_get(column)?), bots: count(row.try_get(column + 1)?) })
            };
            Ok(Self { code: row.try_get(0)?, hour: row.try_get(1)?, kept: count(2)?, counted: count(4)? })
        };
        read().map_err(error::map)
    }

    fn into_difference(self) -> Option<Difference> {
        Some(Difference::new(read_code(&self.code)?, self.hour, self.kept, self.counted))
    }
}

impl PostgresStore {
    pub(crate) async fn reconcile_hours(&self, range: TimeRange) -> Result<Reconciled> {
        let range = range.widened(Step::Hour);
        let (from, until) = (bound(range.from).max(self.watermark().await?), bound(range.until));
        let done = Ok(Reconciled::new(Vec::new(), None));
        if from >= until {
            return done;
        }
        let Some((from, end, has_more)) = self.part_of(TimeRange::new(from, until)).await? else {
            return done;
        };
        let hours = self.mend_hours(from, end).await?;
        let codes: Vec<&str> = hours.iter().map(|found| found.code.as_str()).collect();
        let sums = self.mend_sums(from, end, &codes).await?;
        let differences: Vec<_> = hours.into_iter().chain(sums).filter_map(Found::into_difference).collect();
        for difference in &differences {
            tracing::warn!(?difference, "a count was not what the rows say, and was mended");
        }
        Ok(Reconciled::new(differences, has_more.then_some(end)))
    }

    /// The next hours with rows or counts: from when, until when, and whether any are behind.
    async fn part_of(&self, range: TimeRange) -> Result<Option<(DateTime<Utc>, DateTime<Utc>, bool)>> {
        let bounds = self.bounds(range.from, ROWS).await?;
        let Some(from) = bounds.first.filter(|from| *from < range.until) else {
            return Ok(None);
        };
        let Some(last) = bounds.last else {
            return Ok(Some((from, range.until, false)));
        };
        let end = (last.max(from) + Step::Hour.length()).min(range.until);
        let behind = self.bounds(end, 0).await?;
        let has_more = behind.first.is_some_and(|next| next < range.until);
        Ok(Some((from, end, has_more)))
    }

    async fn bounds(&self, from: DateTime<Utc>, rows: i64) -> Result<Bounds> {
        let params: [Param<'_>; 3] = [(&first_id(from), Type::UUID), (&from, Type::TIMESTAMPTZ), (&rows, Type::INT8)];
        let rows = self.query(BOUNDS, &params).await?;
        let Some(row) = rows.first() else {
            return Ok(Bounds::default());
        };
        let hour_of = |id: usize, hour: usize| {
            let clicked: Option<Uuid> = row.try_get(id)?;
            let clicked = clicked.and_then(time_of).map(|at| Step::Hour.floor(at));
            let counted: Option<DateTime<Utc>> = row.try_get(hour)?;
            Ok(clicked.into_iter().chain(counted).min())
        };
        let read = || Ok(Bounds { first: hour_of(0, 1)?, last: hour_of(2, 3)? });
        read().map_err(error::map)
    }

    async fn mend_hours(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Vec<Found>> {
        let params: [Param<'_>; 4] = [
            (&first_id(from), Type::UUID),
            (&first_id(until), Type::UUID),
            (&from, Type::TIMESTAMPTZ),
            (&until, Type::TIMESTAMPTZ),
        ];
        self.mend(HOURS, &params).await
    }

    async fn mend_sums(&self, from: DateTime<Utc>, until: DateTime<Utc>, codes: &[&str]) -> Result<Vec<Found>> {
        let params: [Param<'_>; 3] =
            [(&from, Type::TIMESTAMPTZ), (&until, Type::TIMESTAMPTZ), (&codes, Type::TEXT_ARRAY)];
        self.mend(SUMS, &params).await
    }

    /// Mends by counting once more while no clicks are written: some may have come since.
    async fn mend(&self, text: &'static str, params: &[Param<'_>]) -> Result<Vec<Found>> {
        let sql = self.sql(text);
        let rows = self.run(self.pool(), Call::fresh(&sql, params)).await?;
        let found = rows.iter().map(Found::of).collect::<Result<Vec<_>>>()?;
        self.recount(found.iter().map(|found| (found.code.as_str(), found.hour))).await?;
        Ok(found)
    }

    async fn recount<'a>(&self, of: impl Iterator<Item = (&'a str, Option<DateTime<Utc>>)>) -> Result<()> {
        let (codes, hours): (Vec<&str>, Vec<_>) = of.unzip();
        if codes.is_empty() {
            return Ok(());
        }
        self.query(RECOUNT, &[(&codes, Type::TEXT_ARRAY), (&hours, Type::TIMESTAMPTZ_ARRAY)]).await?;
        Ok(())
    }

    async fn watermark(&self) -> Result<DateTime<Utc>> {
        let text = "SELECT value::timestamptz FROM /*schema.*/linkly_meta WHERE key = 'purged_before'";
        let rows = self.query(text, &[]).await?;
        rows.first().map_or(Ok(DateTime::UNIX_EPOCH), |row| row.try_get(0)).map_err(error::map)
    }
}
