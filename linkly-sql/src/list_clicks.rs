//! Pages of clicks.

use std::borrow::Cow;

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Code, Cursor, Error, ListClicks, MAX_PAGE, Page, Result, Step, Uuid, first_id, time_of};
use serde::Deserialize;

use crate::driver::{Driver, Row, Statement};
use crate::rows::{element, parse_time, read_code, read_id, time_text};
use crate::store::SqlStore;

/// The columns of a [`ClickRow`].
macro_rules! click_columns {
    () => {
        "hex(c.event_id), CAST(c.code AS TEXT), c.clicked_at, hex(c.link_id), c.bot, c.visitor, \
         CAST(c.referrer AS TEXT), CAST(c.browser AS TEXT), CAST(c.os AS TEXT), CAST(c.device AS TEXT), \
         CAST(c.country AS TEXT)"
    };
}

impl<D: Driver> SqlStore<D> {
    pub(crate) async fn list_clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let order = if query.oldest_first { "oldest" } else { "newest" };
        let kind = format!("{}/clicks/{order}/", self.driver().backend());
        let (mut from, mut until) = (first_id(query.range.from), first_id(query.range.until));
        if let Some(cursor) = &query.after {
            let last = cursor_id(cursor, &kind)?;
            if query.oldest_first {
                let behind = last.as_u128().checked_add(1);
                from =
                    from.max(Uuid::from_u128(behind.ok_or_else(|| Error::invalid("cursor", "nothing is behind it"))?));
            } else {
                until = until.min(last);
            }
        }
        let statement = Statement::new(self.with_prefix(&clicks_sql(query, self.has_clicks_by_code())))
            .bind(i64::from(limit) + 1)
            .bind(from.as_bytes().to_vec())
            .bind(until.as_bytes().to_vec())
            .bind(query.code.as_ref().map(Code::as_str))
            .bind(time_text(Step::Hour.floor(time_of_bound(from))))
            .bind(time_text(time_of_bound(until)));
        let mut rows = self.driver().read_replica(statement.trimmed()).await?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        // The cursor is the last row's, also when that row is left out.
        let next = rows.last().filter(|_| has_more).map(|row| Cursor::new(format!("{kind}{}", id_of(row))));
        let clicks = rows.iter().filter_map(|row| element::<ClickRow>(&row.text(1)?)).filter_map(ClickRow::into_click);
        Ok(Page::new(clicks.collect(), next))
    }
}

/// The time of an id that is the bound of a range: behind the last of a moment it is that moment's.
fn time_of_bound(id: Uuid) -> DateTime<Utc> {
    time_of(id).unwrap_or_default()
}

/// The id in the first column.
pub(crate) fn id_of(row: &Row) -> Uuid {
    row.bytes(0).and_then(|id| Uuid::from_slice(id).ok()).unwrap_or_default()
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
            "SELECT c.event_id, CAST(json_array({columns}) AS BLOB) FROM /*prefix*/clicks AS c \
             WHERE c.event_id >= ?2 AND c.event_id < ?3 ORDER BY c.event_id {order} LIMIT ?1"
        ),
        (Some(_), true) => format!(
            "SELECT c.event_id, CAST(json_array({columns}) AS BLOB) FROM /*prefix*/clicks AS c \
             WHERE c.code = ?4 AND c.event_id >= ?2 AND c.event_id < ?3 ORDER BY c.event_id {order} LIMIT ?1"
        ),
        (Some(_), false) => format!(
            "SELECT c.event_id, CAST(json_array({columns}) AS BLOB) \
             FROM /*prefix*/click_hours AS h CROSS JOIN /*prefix*/clicks AS c \
             WHERE h.code = ?4 AND h.hour >= ?5 AND h.hour <= ?6 AND +c.code = h.code \
             AND c.event_id >= max(?2, unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000)))) \
             AND c.event_id < min(?3, unhex(printf('%012x70008000000000000000', max(0, unixepoch(h.hour) * 1000) + 3600000))) \
             ORDER BY h.hour {order}, c.event_id {order} LIMIT ?1"
        ),
    }
}

#[derive(Deserialize)]
struct ClickRow {
    id: String,
    code: Option<String>,
    clicked_at: String,
    link_id: Option<String>,
    bot: i64,
    visitor: Option<i64>,
    referrer: Option<String>,
    browser: Option<String>,
    os: Option<String>,
    device: Option<String>,
    country: Option<String>,
}

impl ClickRow {
    /// The click; `None`, with a warning, when its code is not one.
    fn into_click(self) -> Option<Click> {
        let code = read_code(self.code.as_deref())?;
        let id = read_id(&self.id)?;
        let clicked_at = parse_time(&self.clicked_at).or_else(|| time_of(id))?;
        let mut click = Click::with_id(id, code, clicked_at);
        click.link_id = self.link_id.as_deref().and_then(read_id);
        click.bot = self.bot != 0;
        click.visitor = self.visitor.map(i64::cast_unsigned);
        click.referrer = self.referrer;
        click.browser = self.browser.map(Cow::Owned);
        click.os = self.os.map(Cow::Owned);
        click.device = self.device.map(Cow::Owned);
        click.country = self.country;
        Some(click)
    }
}
