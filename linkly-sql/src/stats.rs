//! Statistics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Bucket, Click, ClickStats, Code, ListClicks, MAX_PAGE, Page, Result, Scope, Series, Step, TimeRange, Top, TopLink,
    Totals,
};
use serde::Deserialize;

use crate::driver::{Driver, Row};
use crate::list::keys_of;
use crate::rows::{elements, parse_time, read_code, time_text, to_json};
use crate::store::SqlStore;

pub(crate) const TOTALS: &str = "
    SELECT CAST(json_group_array(json_array(j.key, s.clicks, s.bots, s.last_clicked_at)) AS BLOB)
    FROM json_each(?1) AS j CROSS JOIN /*prefix*/link_stats AS s WHERE s.code = j.value";

pub(crate) const SERIES: &str = "
    SELECT CAST(json_group_array(json_array(hour, clicks, bots)) AS BLOB)
    FROM /*prefix*/click_hours WHERE code = ?1 AND hour >= ?2 AND hour < ?3";

#[derive(Deserialize)]
struct TotalsRow(usize, i64, i64, Option<String>);

#[derive(Deserialize)]
struct HourRow(String, i64, i64);

#[async_trait]
impl<D: Driver> ClickStats for SqlStore<D> {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        let mut totals = vec![Totals::default(); codes.len()];
        if codes.is_empty() {
            return Ok(totals);
        }
        let json = self.read_replica_json(self.statement(TOTALS).bind(to_json(codes))).await?;
        for TotalsRow(key, clicks, bots, last) in elements(self.driver().backend(), &json)? {
            if let Some(place) = totals.get_mut(key) {
                *place = Totals::new(count(clicks), count(bots), last.as_deref().and_then(parse_time));
            }
        }
        Ok(totals)
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        let range = query.range.widened(query.step);
        let hours = self.statement(SERIES).bind(query.code.as_str());
        let json = self.read_replica_json(hours.bind(time_text(range.from)).bind(time_text(range.until))).await?;
        let mut buckets = BTreeMap::<DateTime<Utc>, Bucket>::new();
        for HourRow(hour, clicks, bots) in elements(self.driver().backend(), &json)? {
            let Some(start) = parse_time(&hour).map(|hour| query.step.floor(hour)) else {
                continue;
            };
            let bucket = buckets.entry(start).or_insert_with(|| Bucket::new(start, 0, 0));
            bucket.clicks += count(clicks);
            bucket.bots += count(bots);
        }
        Ok(buckets.into_values().collect())
    }

    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        self.list_clicks(query).await
    }

    async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
        let range = query.range.widened(Step::Hour);
        let (prefix, end) = keys_of(&query.scope);
        let statement = self
            .statement(top_sql(query))
            .bind(i64::from(query.limit.clamp(1, MAX_PAGE)))
            .bind(time_text(range.from))
            .bind(time_text(range.until))
            .bind(prefix)
            .bind(end);
        let rows = self.driver().read_replica(statement.trimmed()).await?;
        let link = |row: &Row| {
            let of = |column| count(row.integer(column).unwrap_or(0));
            Some(TopLink::new(read_code(row.text(0).as_deref())?, of(1), of(2)))
        };
        Ok(rows.iter().filter_map(link).collect())
    }
}

/// A count of rows; what the app's own SQL made negative is none.
pub(crate) fn count(found: i64) -> u64 {
    u64::try_from(found).unwrap_or(0)
}

/// `?1` is how many, `?2` and `?3` the hours, `?4` and `?5` the keys of a domain. Over all time a total
/// is the sum of its hours, so the totals are read instead. `+` keeps the index of codes out, which SQLite
/// 3.47 takes for a domain, to read all of its hours.
pub(crate) fn top_sql(query: &Top) -> &'static str {
    macro_rules! of_hours {
        ($scope:literal) => {
            concat!(
                "SELECT CAST(code AS BLOB), sum(clicks) AS clicks, sum(bots) FROM /*prefix*/click_hours ",
                "WHERE hour >= ?2 AND hour < ?3",
                $scope,
                " GROUP BY code ORDER BY 2 DESC, code LIMIT ?1"
            )
        };
    }
    macro_rules! of_totals {
        ($scope:literal) => {
            concat!(
                "SELECT CAST(code AS BLOB), clicks, bots FROM /*prefix*/link_stats WHERE clicks > 0",
                $scope,
                " ORDER BY clicks DESC, code LIMIT ?1"
            )
        };
    }
    let all = TimeRange::all();
    let is_all_time = query.range.from <= all.from && query.range.until >= all.until;
    match (&query.scope, is_all_time) {
        (Scope::All, false) => of_hours!(""),
        (Scope::Plain, false) => of_hours!(" AND (code < '//' OR code >= '/0')"),
        (Scope::Domain(_), false) => of_hours!(" AND +code >= ?4 AND +code < ?5"),
        (Scope::All, true) => of_totals!(""),
        (Scope::Plain, true) => of_totals!(" AND (code < '//' OR code >= '/0')"),
        (Scope::Domain(_), true) => of_totals!(" AND code >= ?4 AND code < ?5"),
    }
}
