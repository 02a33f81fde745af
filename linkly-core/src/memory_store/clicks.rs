//! The clicks, and what is counted of them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::cursor_id;
use super::list::lowest_code;
use crate::id::first_id;
use crate::{
    Bucket, Click, Code, Count, Difference, Error, ListClicks, MAX_PAGE, Page, PurgedClicks, Reconciled, Result,
    Series, Step, TimeRange, Top, TopLink, Totals,
};

const NEWEST: &str = "memory/clicks/newest/";
const OLDEST: &str = "memory/clicks/oldest/";

/// How many hours with clicks one call of `reconcile` counts.
const RECONCILED_HOURS: usize = 24;

#[derive(Default)]
pub(super) struct Clicks {
    /// In the order of time, which their ids carry.
    rows: BTreeMap<Uuid, Click>,
    by_code: BTreeSet<(Code, Uuid)>,
    totals: BTreeMap<Code, Totals>,
    hours: BTreeMap<(Code, DateTime<Utc>), Count>,
    by_hour: BTreeSet<(DateTime<Utc>, Code)>,
    /// 1970 until something is purged.
    purged_before: DateTime<Utc>,
}

impl Clicks {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn purged_before(&self) -> DateTime<Utc> {
        self.purged_before
    }

    /// Keeps a click that was checked; one that is there already counts no second time.
    pub(super) fn record(&mut self, click: &Click) {
        if self.rows.contains_key(&click.id) {
            return;
        }
        self.rows.insert(click.id, click.clone());
        self.by_code.insert((click.code.clone(), click.id));
        let bots = u64::from(click.bot);
        let total = self.totals.entry(click.code.clone()).or_default();
        total.clicks += 1;
        total.bots += bots;
        total.last_clicked_at = total.last_clicked_at.max(Some(click.clicked_at));
        let hour = Step::Hour.floor(click.clicked_at);
        let count = self.hours.entry((click.code.clone(), hour)).or_default();
        count.clicks += 1;
        count.bots += bots;
        self.by_hour.insert((hour, click.code.clone()));
    }

    /// Removes all that is known of a code.
    pub(super) fn forget(&mut self, code: &Code) {
        let ids: Vec<_> = self.ids_of(code, Uuid::nil(), Uuid::max()).collect();
        for id in ids {
            self.remove_row(id);
        }
        self.totals.remove(code);
        let hours: Vec<_> =
            self.hours_of(code, DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC).map(|(at, _)| at).collect();
        for hour in hours {
            self.set_hour(code, hour, Count::default());
        }
    }

    pub(super) fn total(&self, code: &Code) -> Totals {
        self.totals.get(code).copied().unwrap_or_default()
    }

    pub(super) fn series(&self, query: &Series) -> Vec<Bucket> {
        let range = query.range.widened(query.step);
        let mut buckets: Vec<Bucket> = Vec::new();
        for (hour, count) in self.hours_of(&query.code, range.from, range.until) {
            let start = query.step.floor(hour);
            match buckets.last_mut().filter(|last| last.start == start) {
                Some(last) => (last.clicks, last.bots) = (last.clicks + count.clicks, last.bots + count.bots),
                None => buckets.push(Bucket::new(start, count.clicks, count.bots)),
            }
        }
        buckets
    }

    pub(super) fn top(&self, query: &Top) -> Vec<TopLink> {
        let range = query.range.widened(Step::Hour);
        let mut counts: BTreeMap<&Code, TopLink> = BTreeMap::new();
        let hours = self.by_hour.range((range.from, lowest_code())..).take_while(|(hour, _)| *hour < range.until);
        for (hour, code) in hours.filter(|(_, code)| query.scope.contains(code)) {
            let count = self.hours.get(&(code.clone(), *hour)).copied().unwrap_or_default();
            let link = counts.entry(code).or_insert_with(|| TopLink::new(code.clone(), 0, 0));
            link.clicks += count.clicks;
            link.bots += count.bots;
        }
        let mut links: Vec<_> = counts.into_values().collect();
        // The sort is stable: equals stay in the order of their codes.
        links.sort_by_key(|link| std::cmp::Reverse(link.clicks));
        links.truncate(query.limit.clamp(1, MAX_PAGE) as usize);
        links
    }

    pub(super) fn page(&self, query: &ListClicks) -> Result<Page<Click>> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let kind = if query.oldest_first { OLDEST } else { NEWEST };
        let (mut from, mut until) = (first_id(query.range.from), first_id(query.range.until));
        if let Some(cursor) = &query.after {
            let last = cursor_id(cursor, kind)?;
            if query.oldest_first {
                let behind =
                    last.as_u128().checked_add(1).ok_or_else(|| Error::invalid("cursor", "nothing is behind it"))?;
                from = from.max(Uuid::from_u128(behind));
            } else {
                until = until.min(last);
            }
        }
        let ids: Box<dyn DoubleEndedIterator<Item = Uuid>> = match &query.code {
            Some(code) => Box::new(self.ids_of(code, from, until)),
            None => Box::new(self.rows.range(from..until.max(from)).map(|(id, _)| *id)),
        };
        let ids: Box<dyn Iterator<Item = Uuid>> = if query.oldest_first { ids } else { Box::new(ids.rev()) };
        let clicks = ids.take(limit as usize + 1).filter_map(|id| self.rows.get(&id).cloned()).collect();
        Ok(Page::from_one_more(clicks, limit, |last: &Click| format!("{kind}{}", last.id)))
    }

    pub(super) fn purge(&mut self, before: DateTime<Utc>, limit: u32) -> PurgedClicks {
        self.purged_before = self.purged_before.max(Step::Hour.floor(before));
        let old = self.rows.range(..first_id(self.purged_before)).map(|(id, _)| *id);
        let mut ids: Vec<_> = old.take(limit as usize + 1).collect();
        let done = ids.len() <= limit as usize;
        ids.truncate(limit as usize);
        for id in &ids {
            self.remove_row(*id);
        }
        PurgedClicks::new(ids.len() as u64, done, self.purged_before)
    }

    pub(super) fn reconcile(&mut self, range: TimeRange) -> Reconciled {
        let range = range.widened(Step::Hour);
        let mut at = range.from.max(self.purged_before);
        let mut differences = Vec::new();
        let mut seen = BTreeSet::new();
        let mut counted = 0;
        let next = loop {
            let Some(hour) = self.next_hour(at).filter(|hour| *hour < range.until) else {
                break None;
            };
            if counted == RECONCILED_HOURS {
                break Some(hour);
            }
            counted += 1;
            at = hour + Step::Hour.length();
            let rows = self.count_rows(hour, at);
            let known = self.by_hour.range((hour, lowest_code())..).take_while(|(of, _)| *of == hour);
            let codes: BTreeSet<_> = rows.keys().chain(known.map(|(_, code)| code)).cloned().collect();
            for code in codes {
                let mended = rows.get(&code).copied().unwrap_or_default();
                let found = self.hours.get(&(code.clone(), hour)).copied().unwrap_or_default();
                if found != mended {
                    self.set_hour(&code, hour, mended);
                    differences.push(Difference::new(code.clone(), Some(hour), found, mended));
                }
                seen.insert(code);
            }
        };
        differences.extend(seen.into_iter().filter_map(|code| self.mend_total(code)));
        Reconciled::new(differences, next)
    }

    /// About what they take.
    pub(super) fn bytes(&self) -> u64 {
        let each = [
            self.rows.len() * (size_of::<(Uuid, Click)>() + size_of::<(Code, Uuid)>()),
            self.totals.len() * size_of::<(Code, Totals)>(),
            self.hours.len() * (size_of::<(Code, DateTime<Utc>, Count)>() + size_of::<(DateTime<Utc>, Code)>()),
        ];
        each.into_iter().sum::<usize>() as u64
    }

    /// The ids of a code's clicks, from `from` on, until before `until`.
    fn ids_of(&self, code: &Code, from: Uuid, until: Uuid) -> impl DoubleEndedIterator<Item = Uuid> {
        let (from, until) = ((code.clone(), from), (code.clone(), until.max(from)));
        self.by_code.range(from..until).map(|(_, id)| *id)
    }

    fn hours_of(
        &self,
        code: &Code,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> impl Iterator<Item = (DateTime<Utc>, Count)> {
        let (from, until) = ((code.clone(), from), (code.clone(), until.max(from)));
        self.hours.range(from..until).map(|((_, hour), count)| (*hour, *count))
    }

    fn remove_row(&mut self, id: Uuid) {
        if let Some(row) = self.rows.remove(&id) {
            self.by_code.remove(&(row.code, id));
        }
    }

    fn set_hour(&mut self, code: &Code, hour: DateTime<Utc>, count: Count) {
        if count == Count::default() {
            self.hours.remove(&(code.clone(), hour));
            self.by_hour.remove(&(hour, code.clone()));
        } else {
            self.hours.insert((code.clone(), hour), count);
            self.by_hour.insert((hour, code.clone()));
        }
    }

    /// The first hour from `at` on that has rows or counts.
    fn next_hour(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let counted = self.by_hour.range((at, lowest_code())..).next().map(|(hour, _)| *hour);
        let clicked = self.rows.range(first_id(at)..).next().map(|(_, row)| Step::Hour.floor(row.clicked_at));
        counted.into_iter().chain(clicked).min()
    }

    fn count_rows(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> BTreeMap<Code, Count> {
        let mut counts = BTreeMap::<Code, Count>::new();
        for row in self.rows.range(first_id(from)..first_id(until)).map(|(_, row)| row) {
            let count = counts.entry(row.code.clone()).or_default();
            count.clicks += 1;
            count.bots += u64::from(row.bot);
        }
        counts
    }

    /// Makes a total the sum of its hours, which outlive the rows.
    fn mend_total(&mut self, code: Code) -> Option<Difference> {
        let mut mended = Count::default();
        for (_, count) in self.hours_of(&code, DateTime::UNIX_EPOCH, DateTime::<Utc>::MAX_UTC) {
            mended.clicks += count.clicks;
            mended.bots += count.bots;
        }
        let total = self.totals.entry(code.clone()).or_default();
        let found = Count { clicks: total.clicks, bots: total.bots };
        (total.clicks, total.bots) = (mended.clicks, mended.bots);
        (found != mended).then(|| Difference::new(code, None, found, mended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconcile_mends_what_differs_and_says_so() {
        let at = "2026-01-01T10:20:00Z".parse::<DateTime<Utc>>().unwrap();
        let code = Code::new("a").unwrap();
        let mut clicks = Clicks::default();
        clicks.record(&Click::new(code.clone(), at));
        let right = Count { clicks: 1, bots: 0 };
        let wrong = Count { clicks: 5, bots: 2 };
        let hour = Step::Hour.floor(at);
        let ghost = Code::new("ghost").unwrap();
        clicks.set_hour(&code, hour, wrong);
        clicks.set_hour(&ghost, hour, wrong);
        clicks.totals.entry(code.clone()).or_default().clicks = 7;
        let mended = clicks.reconcile(TimeRange::all());
        let total = Count { clicks: 7, bots: 0 };
        assert_eq!(
            mended.differences,
            [
                Difference::new(code.clone(), Some(hour), wrong, right),
                Difference::new(ghost, Some(hour), wrong, Count::default()),
                Difference::new(code.clone(), None, total, right),
            ]
        );
        assert_eq!(clicks.reconcile(TimeRange::all()), Reconciled::new(Vec::new(), None));
        assert_eq!(clicks.total(&code), Totals::new(1, 0, Some(at)));
    }
}
