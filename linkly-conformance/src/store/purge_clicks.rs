//! [`Maintenance::purge_clicks`](linkly_core::Maintenance::purge_clicks).

use linkly_core::chrono::TimeDelta;
use linkly_core::{Click, ClickStatsExt, PurgedClicks, Step, TimeRange, Totals};

use crate::Handles;
use crate::asked::{all_rows, assert_refused, series_sum};
use crate::samples::{bot, click, code, minutes, start};

/// Twelve clicks an hour from 10 to 13 o'clock, each second one of a bot.
async fn three_hours_of_clicks(store: &Handles) -> Vec<Click> {
    let clicks: Vec<_> = (0..36)
        .map(|n| if n % 2 == 0 { click("a", start() + minutes(n * 5)) } else { bot("a", start() + minutes(n * 5)) })
        .collect();
    store.record(&clicks).await.unwrap();
    clicks
}

/// Purges until it is done, `limit` rows a call.
async fn purge_all(store: &Handles, minute: i64, limit: u32) -> u64 {
    let mut removed = 0;
    for _ in 0..1_000 {
        let purged = store.purge_clicks(start() + minutes(minute), limit).await.unwrap();
        assert!(purged.removed <= u64::from(limit), "{} rows were removed, {limit} at most", purged.removed);
        removed += purged.removed;
        if purged.done {
            return removed;
        }
    }
    panic!("the purge is not done after 1,000 calls");
}

/// Rows that are older than the hour are removed, and no others.
pub async fn rows_older_than_the_hour_are_removed(store: &Handles) {
    let mut clicks = three_hours_of_clicks(store).await;
    let last = click("a", start() + minutes(60) - TimeDelta::milliseconds(1));
    let first = click("a", start() + minutes(60));
    store.record(&[last, first.clone()]).await.unwrap();
    assert_eq!(purge_all(store, 119, 1_000).await, 13, "rows before 11 o'clock");
    clicks.push(first);
    clicks.sort_by_key(|click| click.id);
    clicks.retain(|click| click.clicked_at >= start() + minutes(60));
    assert_eq!(all_rows(&**store).await, clicks);
}

/// Totals and hours stay as they are when their rows go.
pub async fn totals_and_series_stay_when_rows_are_purged(store: &Handles) {
    let clicks = three_hours_of_clicks(store).await;
    let totals = Totals::new(36, 18, clicks.last().map(|click| click.clicked_at));
    for minute in [60, 120, 180, 240] {
        purge_all(store, minute, 5).await;
        assert_eq!(store.total(&code("a")).await.unwrap(), totals);
        for step in [Step::Hour, Step::Day] {
            assert_eq!(series_sum(&**store, &code("a"), step).await, (36, 18));
        }
        let top = store.top(&linkly_core::Top::new(linkly_core::Scope::All, TimeRange::all())).await.unwrap();
        assert_eq!(top.len(), 1);
        assert_eq!((top[0].clicks, top[0].bots), (36, 18));
    }
    assert_eq!(all_rows(&**store).await, []);
}

/// From the first call on, also while rows are left, older clicks are refused and nothing of their
/// call is written; the moment itself is not older.
pub async fn clicks_older_than_the_watermark_are_refused(store: &Handles) {
    three_hours_of_clicks(store).await;
    let purged = store.purge_clicks(start() + minutes(65), 1).await.unwrap();
    let watermark = start() + minutes(60);
    assert_eq!(purged, PurgedClicks::new(1, false, watermark));
    let old = click("b", watermark - TimeDelta::milliseconds(1));
    let (exact, new) = (click("b", watermark), click("b", start() + minutes(200)));
    assert_refused(store.record(std::slice::from_ref(&old)).await, "an old click");
    assert_refused(
        store.other().record(&[exact.clone(), old.clone(), new.clone()]).await,
        "an old click between others",
    );
    assert_eq!(store.total(&code("b")).await.unwrap(), Totals::default());
    store.record(&[exact, new]).await.unwrap();
    assert_eq!(store.total(&code("b")).await.unwrap().clicks, 2);
}

/// A later purge of earlier rows leaves the watermark where it is.
pub async fn the_watermark_never_moves_back(store: &Handles) {
    three_hours_of_clicks(store).await;
    purge_all(store, 120, 1_000).await;
    for minute in [0, 60, 119, -100_000] {
        let purged = store.purge_clicks(start() + minutes(minute), 1_000).await.unwrap();
        assert_eq!(purged, PurgedClicks::new(0, true, start() + minutes(120)), "a purge before minute {minute}");
        assert_refused(store.record(&[click("b", start() + minutes(90))]).await, "a click at minute 90");
    }
    let purged = store.purge_clicks(start() + minutes(180), 1_000).await.unwrap();
    assert_eq!(purged, PurgedClicks::new(12, true, start() + minutes(180)));
}

/// A call removes its limit at most, and goes on where the last one ended until it is done.
pub async fn a_call_removes_no_more_than_its_limit(store: &Handles) {
    three_hours_of_clicks(store).await;
    let mut removed = Vec::new();
    loop {
        let purged = store.purge_clicks(start() + minutes(120), 7).await.unwrap();
        removed.push(purged.removed);
        assert!(removed.len() < 10, "the purge does not end: {removed:?}");
        if purged.done {
            break;
        }
    }
    assert_eq!(removed.iter().sum::<u64>(), 24);
    assert!(removed.iter().all(|removed| *removed <= 7), "{removed:?}");
    assert_eq!(all_rows(&**store).await.len(), 12);
}

/// Purging again removes nothing, and what was purged is not counted when it comes again.
pub async fn purging_is_idempotent(store: &Handles) {
    let clicks = three_hours_of_clicks(store).await;
    assert_eq!(purge_all(store, 120, 1_000).await, 24);
    for _ in 0..3 {
        assert_eq!(purge_all(store, 120, 1_000).await, 0);
    }
    assert_refused(store.record(&clicks).await, "purged clicks that come again");
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 36);
    store.record(&clicks[24..]).await.unwrap();
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 36, "clicks that come again and were not purged");
}

/// A purge of a table without rows is done, and moves the watermark.
pub async fn a_purge_without_rows_is_done(store: &Handles) {
    let purged = store.purge_clicks(start() + minutes(30), 10).await.unwrap();
    assert_eq!(purged, PurgedClicks::new(0, true, start()));
    assert_refused(store.record(&[click("a", start() - minutes(1))]).await, "an old click");
}

/// A limit of 0 is one of 1: also such a purge comes to its end.
pub async fn a_limit_of_nothing_is_one_of_one(store: &Handles) {
    three_hours_of_clicks(store).await;
    let purged = store.purge_clicks(start() + minutes(120), 0).await.unwrap();
    assert_eq!((purged.removed, purged.done), (1, false));
}
