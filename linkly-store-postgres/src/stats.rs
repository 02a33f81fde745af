//! Statistics.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{
    Bucket, Click, ClickStats, Code, ListClicks, MAX_PAGE, Page, Result, Scope, Series, Step, TimeRange, Top, TopLink,
    Totals,
};
use tokio_postgres::types::Type;

use crate::call::Param;
use crate::error;
use crate::list::keys_of;
use crate::rows::{bound, key, read_code};
use crate::store::PostgresStore;

pub(crate) const TOTALS: &str =
    "SELECT code, clicks, bots, last_clicked_at FROM /*schema.*/link_stats WHERE code = ANY ($1)";

pub(crate) const SERIES: &str = "
    SELECT hour, clicks, bots FROM /*schema.*/click_hours WHERE code = $1 AND hour >= $2 AND hour < $3";

#[async_trait]
impl ClickStats for PostgresStore {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        if codes.is_empty() {
            return Ok(Vec::new());
        }
        let asked: Vec<&str> = codes.iter().map(Code::as_str).collect();
        let rows = self.read(TOTALS, &[(&asked, Type::TEXT_ARRAY)]).await?;
        let mut found: HashMap<&str, Totals> = HashMap::with_capacity(rows.len());
        for row in &rows {
            let read = || Ok((row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
            let (clicks, bots, last) = read().map_err(error::map)?;
            found.insert(key(row), Totals::new(count(clicks), count(bots), last));
        }
        Ok(asked.iter().map(|code| found.get(code).copied().unwrap_or_default()).collect())
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        let range = query.range.widened(query.step);
        let params: [Param<'_>; 3] = [
            (&query.code.as_str(), Type::TEXT),
            (&bound(range.from), Type::TIMESTAMPTZ),
            (&bound(range.until), Type::TIMESTAMPTZ),
        ];
        let mut buckets = BTreeMap::<DateTime<Utc>, Bucket>::new();
        for row in self.read(SERIES, &params).await? {
            let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (hour, clicks, bots) = read().map_err(error::map)?;
            let start = query.step.floor(hour);
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
        let params: [Param<'_>; 5] = [
            (&i64::from(query.limit.clamp(1, MAX_PAGE)), Type::INT8),
            (&bound(range.from), Type::TIMESTAMPTZ),
            (&bound(range.until), Type::TIMESTAMPTZ),
            (&prefix, Type::TEXT),
            (&end, Type::TEXT),
        ];
        let mut links = Vec::new();
        for row in self.read(top_sql(query), &params).await? {
            let read = || Ok((row.try_get(1)?, row.try_get(2)?));
            let (clicks, bots) = read().map_err(error::map)?;
            links.extend(read_code(key(&row)).map(|code| TopLink::new(code, count(clicks), count(bots))));
        }
        Ok(links)
    }
}

/// A count of rows; what the app's own SQL made negative is none.
pub(crate) fn count(found: i64) -> u64 {
    u64::try_from(found).unwrap_or(0)
}

/// `$1` is how many, `$2` and `$3` the hours, `$4` and `$5` the keys of a domain. Over all time a total
/// is the sum of its hours, so the totals are read instead.
pub(crate) fn top_sql(query: &Top) -> &'static str {
    macro_rules! of_hours {
        ($scope:literal) => {
            concat!(
                "SELECT code, sum(clicks)::bigint AS clicks, sum(bots)::bigint FROM /*schema.*/click_hours ",
                "WHERE hour >= $2 AND hour < $3",
                $scope,
                " GROUP BY code ORDER BY 2 DESC, code LIMIT $1"
            )
        };
    }
    macro_rules! of_totals {
        ($scope:literal) => {
            concat!(
                "SELECT code, clicks, bots FROM /*schema.*/link_stats WHERE clicks > 0",
                $scope,
                " ORDER BY clicks DESC, code LIMIT $1"
            )
        };
    }
    let all = TimeRange::all();
    let is_all_time = query.range.from <= all.from && query.range.until >= all.until;
    match (&query.scope, is_all_time) {
        (Scope::All, false) => of_hours!(""),
        (Scope::Plain, false) => of_hours!(" AND (code < '//' OR code >= '/0')"),
        (Scope::Domain(_), false) => of_hours!(" AND code >= $4 AND code < $5"),
        (Scope::All, true) => of_totals!(""),
        (Scope::Plain, true) => of_totals!(" AND (code < '//' OR code >= '/0')"),
        (Scope::Domain(_), true) => of_totals!(" AND code >= $4 AND code < $5"),
    }
}
