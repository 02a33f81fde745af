//! Rows, totals and series beside the manifest.

use std::collections::HashMap;

use linkly_core::chrono::{TimeDelta, Utc};
use linkly_core::{Code, ListClicks, Series, Step, Store, TimeRange};

use crate::Result;
use crate::app::CODES;
use crate::manifest::{Manifest, Visit};

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) acknowledged: usize,
    pub(crate) rows: usize,
    /// Acknowledged, and not there.
    pub(crate) lost: usize,
    /// The most that one run lost.
    pub(crate) lost_at_once: usize,
}

/// Compares. An error is what must not be, whatever the guarantee: a click that is there twice or was never
/// made, and counts that are not those of the rows.
pub(crate) async fn audit(store: &dyn Store, manifest: &Manifest) -> Result<Findings> {
    let (mut rows, mut counts) = (HashMap::new(), HashMap::<Code, u64>::new());
    let mut query = ListClicks::new(TimeRange::all()).with_limit(1_000);
    loop {
        let page = store.clicks(&query).await?;
        for click in page.items {
            let visit = click.referrer.as_deref().and_then(Visit::of_host);
            let visit = visit.filter(|visit| manifest.is_possible(*visit));
            let visit = visit.ok_or_else(|| format!("a click that nobody made: {click:?}"))?;
            if rows.insert(visit, click.id).is_some() {
                return Err(format!("{visit:?} is there twice").into());
            }
            *counts.entry(click.code).or_default() += 1;
        }
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let codes = CODES.map(|code| Code::new(code).expect("a legal code"));
    let totals = store.totals(&codes).await?;
    let range = TimeRange::new(Utc::now() - TimeDelta::days(1), Utc::now() + TimeDelta::days(1));
    for (code, total) in codes.into_iter().zip(totals) {
        let expected = counts.get(&code).copied().unwrap_or(0);
        let series = store.series(&Series::new(code.clone(), range, Step::Hour)).await?;
        let series: u64 = series.iter().map(|bucket| bucket.clicks).sum();
        if (total.clicks, series) != (expected, expected) {
            return Err(format!("{code}: {expected} rows, total {}, series {series}", total.clicks).into());
        }
    }
    let mut lost = HashMap::<u32, usize>::new();
    for visit in manifest.acknowledged.iter().filter(|visit| !rows.contains_key(visit)) {
        *lost.entry(visit.run).or_default() += 1;
    }
    Ok(Findings {
        acknowledged: manifest.acknowledged.len(),
        rows: rows.len(),
        lost: lost.values().sum(),
        lost_at_once: lost.into_values().max().unwrap_or(0),
    })
}
