//! Clicks: recording them, and reading their rows.

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, ClickSink, Cursor, Error, ListClicks, MAX_PAGE, Page, Result, Step, Uuid, first_id, time_of};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::click_batch::ClickBatch;
use crate::error;
use crate::rows::{ClickRow, click_columns, element, time_text};
use crate::store::SqliteStore;

pub(crate) const NEWEST: &str = "sqlite/clicks/newest/";
pub(crate) const OLDEST: &str = "sqlite/clicks/oldest/";

const RECORD: &str = "
    INSERT INTO /*prefix*/linkly_record (ids, times, visitors, entries, dictionary, hours, oldest, mark)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(id), 0) FROM /*prefix*/clicks))";

#[async_trait]
impl ClickSink for SqliteStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        clicks.iter().try_for_each(Click::check)?;
        let Some(batch) = ClickBatch::new(clicks) else {
            return Ok(());
        };
        let query = sqlx::query(self.sql(RECORD))
            .bind(batch.ids)
            .bind(batch.times)
            .bind(batch.visitors)
            .bind(batch.entries)
            .bind(batch.dictionary)
            .bind(batch.hours)
            .bind(batch.oldest);
        query.execute(self.writer()).await.map_err(error::map)?;
        Ok(())
    }
}

impl SqliteStore {
    pub(crate) async fn list_clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let kind = if query.oldest_first { OLDEST } else { NEWEST };
        let (mut from, mut until) = (first_id(query.range.from), first_id(query.range.until));
        if let Some(cursor) = &query.after {
            let last = cursor_id(cursor, kind)?;
            if query.oldest_first {
                let behind = last.as_u128().checked_add(1);
                from =
                    from.max(Uuid::from_u128(behind.ok_or_else(|| Error::invalid("cursor", "nothing is behind it"))?));
            } else {
                until = until.min(last);
            }
        }
        let built = self.built_sql(clicks_sql(query, self.has_clicks_by_code()));
        let rows = sqlx::query(built)
            .bind(i64::from(limit) + 1)
            .bind(from.as_bytes().to_vec())
            .bind(until.as_bytes().to_vec())
            .bind(query.code.as_ref().map(linkly_core::Code::as_str))
            .bind(time_text(Step::Hour.floor(time_of_bound(from))))
            .bind(time_text(time_of_bound(until)))
            .fetch_all(self.pool());
        let mut rows = rows.await.map_err(error::map)?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        // The cursor is the last row's, also when that row is left out.
        let next = match rows.last().filter(|_| has_more) {
            None => None,
            Some(row) => Some(Cursor::new(format!("{kind}{}", id_of(row)?))),
        };
        let mut clicks = Vec::with_capacity(rows.len());
        for row in &rows {
            let json: &[u8] = row.try_get(1).map_err(error::map)?;
            clicks.extend(element::<ClickRow>(&String::from_utf8_lossy(json)).and_then(ClickRow::into_click));
        }
        Ok(Page::new(clicks, next))
    }
}

/// The time of an id that is the bound of a range: behind the last of a moment it is that moment's.
fn time_of_bound(id: Uuid) -> DateTime<Utc> {
    time_of(id).unwrap_or_default()
}

fn id_of(row: &SqliteRow) -> Result<Uuid> {
    let id: &[u8] = row.try_get(0).map_err(error::map)?;
    Ok(Uuid::from_slice(id).unwrap_or_default())
}

fn cursor_id(cursor: &Cursor, kind: &str) -> Result<Uuid> {
    let id = cursor.as_str().strip_prefix(kind);
    let id = id.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))?;
    id.parse().map_err(|_| Error::invalid("cursor", "it is not one that this store wrote"))
}

/// The parameters are `?1` the rows, `?2` and `?3` the ids from which and until which, `?4` the code,
/// `?5` and `?6` the hours from which and until which.
///
/// Without an index over the clicks of each code, one code's rows are found hour by hour: which hours,
/// `click_hours` knows, and in each the ids stand in the order of time.
pub(crate) fn clicks_sql(query: &ListClicks, has_clicks_by_code: bool) -> String {
    let columns = click_columns!();
    let order = if query.oldest_first { "ASC" } else { "DESC" };
    match (&query.code, has_clicks_by_code) {
        (None, _) => format!(
            "SELECT c.event_id, json_array({columns}) FROM /*prefix*/clicks AS c \
             WHERE c.event_id >= ?2 AND c.event_id < ?3 ORDER BY c.event_id {order} LIMIT ?1"
        ),
        (Some(_), true) => format!(
            "SELECT c.event_id, json_array({columns}) FROM /*prefix*/clicks AS c \
             WHERE c.code = ?4 AND c.event_id >= ?2 AND c.event_id < ?3 ORDER BY c.event_id {order} LIMIT ?1"
        ),
        (Some(_), false) => format!(
            "SELECT c.event_id, json_array({columns}) \
             FROM /*prefix*/click_hours AS h CROSS JOIN /*prefix*/clicks AS c \
             WHERE h.code = ?4 AND h.hour >= ?5 AND h.hour <= ?6 AND +c.code = h.code \
             AND c.event_id >= max(?2, unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000)))) \
             AND c.event_id < min(?3, unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000) + 3600000))) \
             ORDER BY h.hour {order}, c.event_id {order} LIMIT ?1"
        ),
    }
}
