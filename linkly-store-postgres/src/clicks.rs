//! Clicks: recording them, and reading their rows.

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Click, ClickSink, Code, Cursor, Error, ListClicks, MAX_PAGE, Page, Result, Step, Uuid, first_id, time_of,
};
use tokio_postgres::types::Type;

use crate::call::Param;
use crate::error;
use crate::rows::{ClickColumns, bound, click, click_columns};
use crate::store::PostgresStore;

pub(crate) const NEWEST: &str = "postgres/clicks/newest/";
pub(crate) const OLDEST: &str = "postgres/clicks/oldest/";

pub(crate) const RECORD: &str = "SELECT /*schema.*/linkly_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

#[async_trait]
impl ClickSink for PostgresStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        if clicks.is_empty() {
            return Ok(());
        }
        for click in clicks {
            click.check()?;
        }
        self.query(RECORD, &ClickColumns::of(clicks).params()).await?;
        Ok(())
    }
}

impl PostgresStore {
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
        let params: [Param<'_>; 6] = [
            (&(i64::from(limit) + 1), Type::INT8),
            (&from, Type::UUID),
            (&until, Type::UUID),
            (&query.code.as_ref().map(Code::as_str), Type::TEXT),
            (&bound(Step::Hour.floor(time_of_bound(from))), Type::TIMESTAMPTZ),
            (&bound(time_of_bound(until)), Type::TIMESTAMPTZ),
        ];
        let mut rows = self.read(&clicks_sql(query, self.has_clicks_by_code()), &params).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        // The cursor is the last row's, also when that row is left out.
        let next = match rows.last().filter(|_| has_more) {
            None => None,
            Some(row) => Some(Cursor::new(format!("{kind}{}", row.try_get::<_, Uuid>(0).map_err(error::map)?))),
        };
        Ok(Page::new(rows.iter().filter_map(click).collect(), next))
    }
}

/// The time of an id that is the bound of a range: behind the last of a moment it is that moment's.
fn time_of_bound(id: Uuid) -> DateTime<Utc> {
    time_of(id).unwrap_or_default()
}

fn cursor_id(cursor: &Cursor, kind: &str) -> Result<Uuid> {
    let id = cursor.as_str().strip_prefix(kind);
    let id = id.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))?;
    id.parse().map_err(|_| Error::invalid("cursor", "it is not one that this store wrote"))
}

/// The parameters are `$1` the rows, `$2` and `$3` the ids from which and until which, `$4` the code,
/// `$5` and `$6` the hours from which and until which.
///
/// Without an index over the clicks of each code, one code's rows are found hour by hour: which hours,
/// `click_hours` knows, and in each the ids stand in the order of time. No hour gives more than a page.
pub(crate) fn clicks_sql(query: &ListClicks, has_clicks_by_code: bool) -> String {
    let columns = click_columns!();
    let order = if query.oldest_first { "ASC" } else { "DESC" };
    match (&query.code, has_clicks_by_code) {
        (None, _) => format!(
            "SELECT {columns} FROM /*schema.*/clicks AS c \
             WHERE c.event_id >= $2 AND c.event_id < $3 ORDER BY c.event_id {order} LIMIT $1"
        ),
        (Some(_), true) => format!(
            "SELECT {columns} FROM /*schema.*/clicks AS c \
             WHERE c.code = $4 AND c.event_id >= $2 AND c.event_id < $3 ORDER BY c.event_id {order} LIMIT $1"
        ),
        (Some(_), false) => format!(
            "SELECT c.* FROM /*schema.*/click_hours AS h CROSS JOIN LATERAL ( \
                 SELECT {columns} FROM /*schema.*/clicks AS c \
                 WHERE c.event_id >= greatest($2, /*schema.*/linkly_first_id(h.hour)) \
                 AND c.event_id < least($3, /*schema.*/linkly_first_id(h.hour + interval '1 hour')) \
                 AND c.code = h.code ORDER BY c.event_id {order} LIMIT $1 \
             ) AS c \
             WHERE h.code = $4 AND h.hour >= $5 AND h.hour <= $6 \
             ORDER BY h.hour {order}, c.event_id {order} LIMIT $1"
        ),
    }
}
