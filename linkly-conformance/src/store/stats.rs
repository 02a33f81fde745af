//! [`ClickStats`](linkly_core::ClickStats).

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    Bucket, Click, ClickStatsExt, Code, Cursor, ListClicks, Scope, Series, Step, TimeRange, Top, TopLink, Totals,
};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::Handles;
use crate::asked::{all_clicks, assert_invalid_input, totals};
use crate::samples::{at, bot, click, code, code_in, domain, minutes, seeded, start};

fn millis(count: i64) -> TimeDelta {
    TimeDelta::milliseconds(count)
}

/// Totals stand in the order of the codes, also for what is asked twice; a code that was never
/// clicked has zero.
pub async fn totals_stand_in_order_with_duplicates_and_unknown_codes(store: &Handles) {
    store.record(&[click("a", start()), click("b", start()), click("b", start() + minutes(1))]).await.unwrap();
    let codes = ["b", "nobody", "a", "b", "nobody"].map(code);
    let (a, b) = (Totals::new(1, 0, Some(start())), Totals::new(2, 0, Some(start() + minutes(1))));
    assert_eq!(totals(&**store, &codes).await, [b, Totals::default(), a, b, Totals::default()]);
}

/// Bots are counted among the clicks, and for themselves.
pub async fn bots_are_counted_as_clicks_and_as_bots(store: &Handles) {
    store.record(&[click("a", start()), bot("a", start()), bot("a", start() + minutes(1))]).await.unwrap();
    assert_eq!(store.total(&code("a")).await.unwrap(), Totals::new(3, 2, Some(start() + minutes(1))));
    for step in [Step::Hour, Step::Day] {
        let series = store.series(&Series::new(code("a"), TimeRange::all(), step)).await.unwrap();
        assert_eq!(series, [Bucket::new(step.floor(start()), 3, 2)]);
    }
    let top = store.top(&Top::new(Scope::All, TimeRange::all())).await.unwrap();
    assert_eq!(top, [TopLink::new(code("a"), 3, 2)]);
}

/// What was acknowledged is in every answer that is asked for later, through any handle.
pub async fn what_was_acknowledged_is_in_every_later_answer(store: &Handles) {
    for n in 1..=40 {
        let click = click("a", start() + minutes(n));
        store.record(std::slice::from_ref(&click)).await.unwrap();
        let other = store.other();
        assert_eq!(other.total(&click.code).await.unwrap(), Totals::new(n as u64, 0, Some(click.clicked_at)));
        let series = other.series(&Series::new(click.code.clone(), TimeRange::all(), Step::Day)).await.unwrap();
        assert_eq!(series[0].clicks, n as u64);
        let rows = other.clicks(&ListClicks::new(TimeRange::all()).with_limit(1)).await.unwrap();
        assert_eq!(rows.items, [click]);
        let top = other.top(&Top::new(Scope::All, TimeRange::all())).await.unwrap();
        assert_eq!(top[0].clicks, n as u64);
    }
}

/// Buckets come in the order of time, by hours and days of UTC, and empty ones are left out.
pub async fn buckets_come_in_the_order_of_time_without_empty_ones(store: &Handles) {
    let times = [
        "2026-01-05T23:59:59.999Z",
        "2026-01-06T00:00:00Z",
        "2025-12-31T12:30:00Z",
        "2026-01-06T00:59:59.999Z",
        "2026-01-06T02:00:00Z",
        "2026-01-05T23:00:00Z",
    ];
    let clicks: Vec<_> = times.iter().map(|time| click("a", at(time))).collect();
    store.record(&clicks).await.unwrap();
    store.record(&[click("b", at(times[0]))]).await.unwrap();
    let bucket = |start: &str, clicks| Bucket::new(at(start), clicks, 0);
    let hours = store.series(&Series::new(code("a"), TimeRange::all(), Step::Hour)).await.unwrap();
    let expected = [
        bucket("2025-12-31T12:00:00Z", 1),
        bucket("2026-01-05T23:00:00Z", 2),
        bucket("2026-01-06T00:00:00Z", 2),
        bucket("2026-01-06T02:00:00Z", 1),
    ];
    assert_eq!(hours, expected);
    let days = store.series(&Series::new(code("a"), TimeRange::all(), Step::Day)).await.unwrap();
    let expected =
        [bucket("2025-12-31T00:00:00Z", 1), bucket("2026-01-05T00:00:00Z", 2), bucket("2026-01-06T00:00:00Z", 3)];
    assert_eq!(days, expected);
}

/// The range of a series is widened to whole steps, and ends before its end.
pub async fn the_range_of_a_series_is_widened_to_whole_steps(store: &Handles) {
    let clicks: Vec<_> = (0..72).map(|hour| click("a", start() + minutes(60 * hour + 30))).collect();
    store.record(&clicks).await.unwrap();
    let mut rng = seeded(2);
    for _ in 0..60 {
        let minute = |rng: &mut rand::rngs::StdRng| start() + minutes(rng.random_range(-100..4_500));
        let mut ends = [minute(&mut rng), minute(&mut rng)];
        ends.sort();
        let range = TimeRange::new(ends[0], ends[1]);
        for step in [Step::Hour, Step::Day] {
            let widened = range.widened(step);
            let mut expected: Vec<Bucket> = Vec::new();
            for click in clicks.iter().filter(|click| widened.contains(click.clicked_at)) {
                let start = step.floor(click.clicked_at);
                match expected.last_mut().filter(|last| last.start == start) {
                    Some(last) => last.clicks += 1,
                    None => expected.push(Bucket::new(start, 1, 0)),
                }
            }
            let found = store.series(&Series::new(code("a"), range, step)).await.unwrap();
            assert_eq!(found, expected, "{range:?} by {step:?}");
        }
    }
}

/// A range that ends before it begins holds nothing, and one of the farthest times everything.
pub async fn a_range_of_any_times_has_an_answer(store: &Handles) {
    store.record(&[click("a", start()), click("a", start() + minutes(90))]).await.unwrap();
    let farthest = TimeRange::new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let backwards = TimeRange::new(start() + minutes(120), start());
    let turned = TimeRange::new(farthest.until, farthest.from);
    for (range, count) in [(TimeRange::all(), 2), (farthest, 2), (backwards, 0), (turned, 0)] {
        for step in [Step::Hour, Step::Day] {
            let series = store.series(&Series::new(code("a"), range, step)).await.unwrap();
            assert_eq!(series.iter().map(|bucket| bucket.clicks).sum::<u64>(), count, "series of {range:?}");
        }
        for query in [ListClicks::new(range), ListClicks::new(range).with_code(code("a")).with_oldest_first()] {
            assert_eq!(all_clicks(&**store, &query).await.len() as u64, count, "{query:?}");
        }
        let top = store.top(&Top::new(Scope::All, range)).await.unwrap();
        assert_eq!(top.iter().map(|link| link.clicks).sum::<u64>(), count, "top of {range:?}");
    }
}

/// Clicks of a few codes, several in the same millisecond, the oldest first.
async fn a_second_of_clicks(store: &Handles) -> Vec<Click> {
    let mut rng = seeded(5);
    let mut clicks: Vec<_> = (0..200)
        .map(|_| click(["a", "a-", "b"][rng.random_range(0..3)], start() + millis(rng.random_range(0..100) * 10)))
        .collect();
    clicks.shuffle(&mut rng);
    store.record(&clicks).await.unwrap();
    clicks.sort_by_key(|click| click.id);
    clicks
}

/// A range of clicks begins with its first millisecond and ends before its last.
pub async fn the_range_of_clicks_is_exact_to_the_millisecond(store: &Handles) {
    let clicks = a_second_of_clicks(store).await;
    for (from, until) in
        [(0, 1_000), (0, 10), (10, 20), (11, 20), (10, 21), (995, 2_000), (-5, 1), (500, 501), (501, 510)]
    {
        for code in [None, Some(code("a"))] {
            let range = TimeRange::new(start() + millis(from), start() + millis(until));
            let mut query = ListClicks::new(range).with_oldest_first().with_limit(1_000);
            query.code = code;
            let expected: Vec<_> = clicks.iter().filter(|click| is_in(&query, click)).cloned().collect();
            assert_eq!(store.clicks(&query).await.unwrap().items, expected, "{from} until {until}, {:?}", query.code);
        }
    }
}

fn is_in(query: &ListClicks, click: &Click) -> bool {
    query.range.contains(click.clicked_at) && query.code.as_ref().is_none_or(|code| *code == click.code)
}

/// Pages of clicks come in both directions, of one code or all, in the order of their ids.
pub async fn clicks_are_paged_in_both_directions(store: &Handles) {
    let clicks = a_second_of_clicks(store).await;
    let ranges = [TimeRange::all(), TimeRange::new(start() + millis(100), start() + millis(700))];
    for (range, code) in
        ranges.into_iter().flat_map(|range| [None, Some("a"), Some("nobody")].map(|code| (range, code)))
    {
        for limit in [3, 20, 1_000] {
            let mut query = ListClicks::new(range).with_limit(limit);
            query.code = code.map(self::code);
            let mut expected: Vec<_> = clicks.iter().filter(|click| is_in(&query, click)).cloned().collect();
            assert_eq!(
                all_clicks(&**store, &query.clone().with_oldest_first()).await,
                expected,
                "{query:?}, oldest first"
            );
            expected.reverse();
            assert_eq!(all_clicks(&**store, &query).await, expected, "{query:?}, newest first");
        }
    }
}

/// Clicks that are there all the while are met exactly once, while others arrive.
pub async fn paging_meets_every_click_once_while_others_arrive(store: &Handles) {
    let clicks = a_second_of_clicks(store).await;
    let mut rng = seeded(6);
    for oldest_first in [true, false] {
        let mut query = ListClicks::new(TimeRange::all()).with_limit(9);
        query.oldest_first = oldest_first;
        let mut met = Vec::new();
        loop {
            let page = store.clicks(&query).await.unwrap();
            met.extend(page.items.into_iter().map(|click| click.id));
            let Some(next) = page.next else { break };
            query.after = Some(next);
            let new = click("late", start() + millis(rng.random_range(0..1_000)));
            store.other().record(&[new]).await.unwrap();
        }
        let known: Vec<_> = met.iter().filter(|id| clicks.iter().any(|click| click.id == **id)).copied().collect();
        let mut expected: Vec<_> = clicks.iter().map(|click| click.id).collect();
        if !oldest_first {
            expected.reverse();
        }
        assert_eq!(known, expected, "oldest first: {oldest_first}");
        let in_order = if oldest_first { met.is_sorted_by(|a, b| a < b) } else { met.is_sorted_by(|a, b| a > b) };
        assert!(in_order, "a click was met twice or out of order");
    }
}

/// The most clicked codes come first, equals by code, and no more than are asked for.
pub async fn the_most_clicked_come_first_and_equals_by_code(store: &Handles) {
    let mut clicks = Vec::new();
    for (text, count) in [("c", 2), ("a", 2), ("b", 5), ("a-", 2), ("d", 1), ("a.", 2)] {
        clicks.extend((0..count).map(|n| click(text, start() + minutes(n))));
    }
    store.record(&clicks).await.unwrap();
    let expected = [("b", 5), ("a", 2), ("a-", 2), ("a.", 2), ("c", 2), ("d", 1)];
    for limit in [1, 2, 3, 5, 6, 10] {
        let top = store.top(&Top::new(Scope::All, TimeRange::all()).with_limit(limit)).await.unwrap();
        let found: Vec<_> = top.iter().map(|link| (link.code.as_str(), link.clicks)).collect();
        assert_eq!(found, expected[..expected.len().min(limit as usize)], "the first {limit}");
    }
}

/// Only codes of the scope are among the most clicked.
pub async fn the_most_clicked_are_of_the_scope(store: &Handles) {
    let keys: [(Code, i64); 5] = [
        (code("a"), 1),
        (code("acme.com"), 2),
        (code_in("acme.com", "a"), 3),
        (code_in("acme.com.au", "a"), 4),
        (code_in("acme.co", "a"), 5),
    ];
    let clicks: Vec<_> = keys
        .iter()
        .flat_map(|(key, count)| (0..*count).map(|n| Click::new(key.clone(), start() + minutes(n))))
        .collect();
    store.record(&clicks).await.unwrap();
    for (scope, counts) in [
        (Scope::All, vec![5, 4, 3, 2, 1]),
        (Scope::Plain, vec![2, 1]),
        (Scope::Domain(domain("acme.com")), vec![3]),
        (Scope::Domain(domain("acme.com.au")), vec![4]),
        (Scope::Domain(domain("acme")), vec![]),
    ] {
        let top = store.top(&Top::new(scope.clone(), TimeRange::all())).await.unwrap();
        let expected: Vec<_> =
            counts.iter().map(|count| TopLink::new(keys[*count as usize - 1].0.clone(), *count, 0)).collect();
        assert_eq!(top, expected, "{scope:?}");
    }
}

/// The most clicked are counted in whole hours that cover the range.
pub async fn the_most_clicked_are_counted_in_whole_hours(store: &Handles) {
    let clicks: Vec<_> =
        [-1, 0, 59, 60, 61, 119, 120].iter().map(|minute| click("a", start() + minutes(*minute))).collect();
    store.record(&clicks).await.unwrap();
    for (from, until, count) in
        [(0, 60, 2), (30, 31, 2), (60, 120, 3), (59, 61, 5), (-60, 0, 1), (-1, 121, 7), (180, 240, 0)]
    {
        let range = TimeRange::new(start() + minutes(from), start() + minutes(until));
        let top = store.top(&Top::new(Scope::All, range)).await.unwrap();
        let expected: &[TopLink] = &[TopLink::new(code("a"), count, 0)];
        assert_eq!(top, if count == 0 { &[] } else { expected }, "{from} until {until}");
    }
}

/// A text that no page gave as a cursor is an invalid input.
pub async fn a_cursor_that_no_page_gave_is_an_invalid_input(store: &Handles) {
    a_second_of_clicks(store).await;
    for text in ["", " ", "x", "a00001", "' OR 1=1 --", "🦀", "\0", "{}", "null"] {
        let query = ListClicks::new(TimeRange::all()).with_after(Some(Cursor::new(text)));
        assert_invalid_input(store.clicks(&query).await, &format!("the cursor {text:?}"));
        assert_invalid_input(store.clicks(&query.with_code(code("a"))).await, &format!("the cursor {text:?}"));
    }
}
