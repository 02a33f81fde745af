//! Questions to a store that many cases ask, with the answers checked on the way.

use std::fmt::Debug;

use linkly_core::{
    Click, ClickStats, Code, Error, Insert, Link, LinkStore, ListClicks, ListLinks, Result, Series, Step, TimeRange,
    Totals,
};

/// Inserts links with codes that are free.
pub(crate) async fn insert_all(store: &(impl LinkStore + ?Sized), links: &[Link]) {
    let answers = store.insert(links).await.expect("insert");
    assert_eq!(answers, vec![Insert::Inserted; links.len()], "free codes were not inserted");
}

/// All links of a query, page by page.
pub(crate) async fn all_links(store: &(impl LinkStore + ?Sized), query: &ListLinks) -> Vec<Link> {
    let mut query = query.clone();
    let mut links = Vec::new();
    loop {
        let page = store.list(&query).await.expect("list");
        assert!(page.items.len() <= query.limit as usize, "a page of {} holds {}", query.limit, page.items.len());
        links.extend(page.items);
        let Some(next) = page.next else {
            return links;
        };
        assert_ne!(Some(&next), query.after.as_ref(), "a page leads to itself");
        query.after = Some(next);
    }
}

/// All clicks of a query, page by page.
pub(crate) async fn all_clicks(store: &(impl ClickStats + ?Sized), query: &ListClicks) -> Vec<Click> {
    let mut query = query.clone();
    let mut clicks = Vec::new();
    loop {
        let page = store.clicks(&query).await.expect("clicks");
        assert!(page.items.len() <= query.limit as usize, "a page of {} holds {}", query.limit, page.items.len());
        clicks.extend(page.items);
        let Some(next) = page.next else {
            return clicks;
        };
        assert_ne!(Some(&next), query.after.as_ref(), "a page leads to itself");
        query.after = Some(next);
    }
}

/// Every row, the oldest first.
pub(crate) async fn all_rows(store: &(impl ClickStats + ?Sized)) -> Vec<Click> {
    all_clicks(store, &ListClicks::new(TimeRange::all()).with_oldest_first().with_limit(1_000)).await
}

/// Clicks and bots of a code, summed up over its series of all time.
pub(crate) async fn series_sum(store: &(impl ClickStats + ?Sized), code: &Code, step: Step) -> (u64, u64) {
    let buckets = store.series(&Series::new(code.clone(), TimeRange::all(), step)).await.expect("series");
    buckets.iter().fold((0, 0), |sum, bucket| (sum.0 + bucket.clicks, sum.1 + bucket.bots))
}

/// The totals of codes; panics when they are not as many as were asked for.
pub(crate) async fn totals(store: &(impl ClickStats + ?Sized), codes: &[Code]) -> Vec<Totals> {
    let totals = store.totals(codes).await.expect("totals");
    assert_eq!(totals.len(), codes.len(), "one answer for each code");
    totals
}

/// Checks that an answer is an error by the caller's own fault.
pub(crate) fn assert_invalid_input<T: Debug>(answer: Result<T>, of: &str) {
    match answer {
        Err(error) => assert!(error.is_invalid_input() && !error.is_transient(), "{of}: another error: {error:?}"),
        Ok(answer) => panic!("{of}: expected an invalid input, found {answer:?}"),
    }
}

/// Checks that an answer is a refusal for good.
pub(crate) fn assert_refused<T: Debug>(answer: Result<T>, of: &str) {
    match answer {
        Err(error) => {
            assert!(matches!(error, Error::Refused { .. }) && !error.is_transient(), "{of}: another error: {error:?}");
        }
        Ok(answer) => panic!("{of}: expected a refusal, found {answer:?}"),
    }
}
