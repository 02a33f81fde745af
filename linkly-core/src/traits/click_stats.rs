//! What is read out of recorded clicks.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::link_store::only;
use super::{Cursor, MAX_PAGE, Page, Scope};
use crate::{Click, Code, Result};

/// What is read out of recorded clicks.
///
/// # Contract
///
/// - `clicks` counts every row, bots included; `bots` counts those of bots.
/// - What [`ClickSink::record`](super::ClickSink::record) acknowledged is in every answer that is
///   asked for later; where a store is told to answer from a replica, with the lag that it states.
/// - Statistics of a retired code stay readable.
#[async_trait]
pub trait ClickStats: Debug + Send + Sync + 'static {
    /// The totals of codes, in order; zero for a code that was never clicked.
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>>;

    /// The clicks of one code by hour or day.
    ///
    /// # Contract
    ///
    /// - Buckets come in the order of time, and empty ones are left out.
    /// - The range is widened to whole steps of UTC; over all time the buckets' sums equal the totals.
    async fn series(&self, query: &Series) -> Result<Vec<Bucket>>;

    /// A page of clicks in the order of their ids, which is the order of time.
    ///
    /// # Contract
    ///
    /// - The range is exact to the millisecond: from `from` on, until before `until`.
    /// - A cursor that no page gave is an [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>>;

    /// The codes with the most clicks in a range of whole hours, the most clicked first, equals by
    /// code.
    async fn top(&self, query: &Top) -> Result<Vec<TopLink>>;
}

/// The counts of one code, exact at every moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Clicks, bots included.
    pub clicks: u64,
    /// Clicks of bots.
    pub bots: u64,
    /// The latest click.
    pub last_clicked_at: Option<DateTime<Utc>>,
}

impl Totals {
    /// Totals that a store has read.
    pub fn new(clicks: u64, bots: u64, last_clicked_at: Option<DateTime<Utc>>) -> Self {
        Self { clicks, bots, last_clicked_at }
    }
}

/// Time from `from` on, until before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The first moment in it.
    pub from: DateTime<Utc>,
    /// The first moment behind it.
    pub until: DateTime<Utc>,
}

impl TimeRange {
    /// From `from` on, until before `until`.
    pub fn new(from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        Self { from, until }
    }

    /// From 1970 until the year 9999.
    pub fn all() -> Self {
        let end = DateTime::from_timestamp(253_402_300_799, 0).unwrap_or(DateTime::<Utc>::MAX_UTC);
        Self::new(DateTime::UNIX_EPOCH, end)
    }

    /// Whether `at` is in it.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.until
    }

    /// The range of whole steps that covers this one. A range that holds nothing stays as it is.
    #[must_use]
    pub fn widened(&self, step: Step) -> Self {
        if self.from >= self.until {
            return *self;
        }
        let until = step.floor(self.until);
        let until = if until < self.until { until.checked_add_signed(step.length()) } else { Some(until) };
        Self::new(step.floor(self.from), until.unwrap_or(self.until))
    }
}

/// The width of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// An hour.
    #[default]
    Hour,
    /// A day of UTC.
    Day,
}

impl Step {
    /// How long it is.
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// The beginning of the step that `at` is in.
    pub fn floor(self, at: DateTime<Utc>) -> DateTime<Utc> {
        // Not `duration_trunc`, which knows no times behind the year 2262.
        let millis = at.timestamp_millis();
        let past = millis.rem_euclid(self.length().num_milliseconds());
        DateTime::from_timestamp_millis(millis - past).unwrap_or(at)
    }
}

/// The clicks of one code by hour or day.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series {
    /// Of this code.
    pub code: Code,
    /// In this range, widened to whole steps.
    pub range: TimeRange,
    /// By hour or day.
    pub step: Step,
}

impl Series {
    /// The clicks of `code` in `range`, by `step`.
    pub fn new(code: Code, range: TimeRange, step: Step) -> Self {
        Self { code, range, step }
    }
}

/// The clicks of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bucket {
    /// When the step begins.
    pub start: DateTime<Utc>,
    /// Clicks in it, bots included.
    pub clicks: u64,
    /// Clicks of bots in it.
    pub bots: u64,
}

impl Bucket {
    /// A bucket that a store has read.
    pub fn new(start: DateTime<Utc>, clicks: u64, bots: u64) -> Self {
        Self { start, clicks, bots }
    }
}

/// Which clicks to list: a page of 50, the newest first, unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListClicks {
    /// In this range.
    pub range: TimeRange,
    /// Of this code.
    pub code: Option<Code>,
    /// The oldest first, as an export wants it.
    pub oldest_first: bool,
    /// How many: 1 to 1,000.
    pub limit: u32,
    /// Behind this cursor.
    pub after: Option<Cursor>,
}

impl ListClicks {
    /// The clicks of all codes in `range`.
    pub fn new(range: TimeRange) -> Self {
        Self { range, code: None, oldest_first: false, limit: 50, after: None }
    }

    /// Of this code alone.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// The oldest first.
    #[must_use]
    pub fn with_oldest_first(mut self) -> Self {
        self.oldest_first = true;
        self
    }

    /// So many at the most: 1 to 1,000.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }

    /// Behind this cursor.
    #[must_use]
    pub fn with_after(mut self, after: Option<Cursor>) -> Self {
        self.after = after;
        self
    }
}

/// The codes with the most clicks: the first 10 unless told otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Top {
    /// Among these links.
    pub scope: Scope,
    /// In this range, widened to whole hours.
    pub range: TimeRange,
    /// How many: 1 to 1,000.
    pub limit: u32,
}

impl Top {
    /// The most clicked of `scope` in `range`.
    pub fn new(scope: Scope, range: TimeRange) -> Self {
        Self { scope, range, limit: 10 }
    }

    /// So many at the most: 1 to 1,000.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }
}

/// One of the most clicked codes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TopLink {
    /// The code.
    pub code: Code,
    /// Its clicks in the range, bots included.
    pub clicks: u64,
    /// Those of bots.
    pub bots: u64,
}

impl TopLink {
    /// A row that a store has read.
    pub fn new(code: Code, clicks: u64, bots: u64) -> Self {
        Self { code, clicks, bots }
    }
}

/// One code at a time.
#[async_trait]
pub trait ClickStatsExt: ClickStats {
    /// The totals of one code.
    async fn total(&self, code: &Code) -> Result<Totals> {
        only(self.totals(std::slice::from_ref(code)).await?)
    }
}

impl<S: ClickStats + ?Sized> ClickStatsExt for S {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_widened_to_whole_steps() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let range = TimeRange::new(at("2026-01-01T10:20:00Z"), at("2026-01-01T11:00:00Z"));
        assert_eq!(range.widened(Step::Hour), TimeRange::new(at("2026-01-01T10:00:00Z"), at("2026-01-01T11:00:00Z")));
        assert_eq!(range.widened(Step::Day), TimeRange::new(at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z")));
        assert!(range.contains(range.from) && !range.contains(range.until));
        let nothing = TimeRange::new(range.until, range.from);
        assert_eq!(nothing.widened(Step::Day), nothing);
    }
    #[test]
    fn a_range_of_any_times_is_widened_without_a_panic() {
        let ends = TimeRange::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
        assert_eq!(ends.widened(Step::Day).until, ends.until);
        assert_eq!(ends.widened(Step::Hour).from, ends.from);
        let (before, late) = ("1960-03-01T10:20:00Z".parse().unwrap(), "9000-03-01T10:20:00Z".parse().unwrap());
        let range = TimeRange::new(before, late).widened(Step::Day);
        let [from, until] = ["1960-03-01T00:00:00Z", "9000-03-02T00:00:00Z"].map(|text| text.parse().unwrap());
        assert_eq!(range, TimeRange::new(from, until));
    }
}
