//! [`ClickSink::record`](linkly_core::ClickSink::record) of a store.

use linkly_core::chrono::TimeDelta;
use linkly_core::{Click, ClickSinkExt, ClickStatsExt, Step, Totals, Uuid};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::Handles;
use crate::asked::{all_rows, assert_invalid_input, series_sum, totals};
use crate::run::at_once;
use crate::samples::{bot, click, click_of, code, code_in, link, minutes, seeded, start};

/// Every field of a click reads back equal: the options, and a click of which nothing is known.
pub async fn every_field_of_a_click_reads_back_equal(store: &Handles) {
    let mut full = click_of(&link("a"), start() + TimeDelta::milliseconds(123));
    full.referrer = Some("news.example".into());
    full.browser = Some("Firefox \"100 %\" it's 🦀 \\".into());
    full.os = Some("x".repeat(255).into());
    full.device = Some("smartphone".into());
    full.country = Some("DE".into());
    full.visitor = Some(u64::MAX);
    full.bot = true;
    let mut clicks = vec![full, click("bare", start() + TimeDelta::milliseconds(124))];
    for (n, visitor) in [0, 1, i64::MAX as u64, i64::MAX as u64 + 1].into_iter().enumerate() {
        let mut click = Click::new(code_in("go.acme.com", "x"), start() + TimeDelta::milliseconds(200 + n as i64));
        click.visitor = Some(visitor);
        click.referrer = Some(String::new());
        clicks.push(click);
    }
    store.record(&clicks).await.unwrap();
    assert_eq!(all_rows(&**store).await, clicks);
}

/// A click that comes again counts once, in whichever batches and order.
pub async fn the_same_click_counts_once_in_any_batch_and_order(store: &Handles) {
    let mut rng = seeded(3);
    let clicks: Vec<_> = (0..60).map(|n| click(["a", "b", "c"][n as usize % 3], start() + minutes(n))).collect();
    store.record(&clicks).await.unwrap();
    for _ in 0..6 {
        let mut again = clicks.clone();
        again.shuffle(&mut rng);
        for batch in again.chunks(rng.random_range(1..30)) {
            store.record(batch).await.unwrap();
        }
    }
    assert_eq!(all_rows(&**store).await, clicks);
    for text in ["a", "b", "c"] {
        assert_eq!(store.total(&code(text)).await.unwrap().clicks, 20, "clicks of {text}");
        assert_eq!(series_sum(&**store, &code(text), Step::Hour).await.0, 20, "hours of {text}");
    }
}

/// A click that stands twice in one batch counts once.
pub async fn the_same_click_twice_in_one_batch_counts_once(store: &Handles) {
    let (one, other) = (bot("a", start()), click("a", start() + minutes(1)));
    store.record(&[one.clone(), other.clone(), one.clone(), one.clone(), other.clone()]).await.unwrap();
    assert_eq!(all_rows(&**store).await, [one, other.clone()]);
    assert_eq!(store.total(&code("a")).await.unwrap(), Totals::new(2, 1, Some(other.clicked_at)));
    assert_eq!(series_sum(&**store, &code("a"), Step::Day).await, (2, 1));
}

/// A click that comes again with new ones counts once, and the new ones count.
pub async fn new_clicks_count_beside_ones_that_come_again(store: &Handles) {
    let clicks: Vec<_> = (0..30).map(|n| click("a", start() + minutes(n))).collect();
    for end in [10, 20, 30] {
        store.record(&clicks[..end]).await.unwrap();
        assert_eq!(store.total(&code("a")).await.unwrap().clicks, end as u64);
    }
    assert_eq!(all_rows(&**store).await, clicks);
}

/// The same clicks from many callers at once count once.
pub async fn the_same_clicks_from_many_callers_count_once(store: &Handles) {
    let clicks: Vec<_> = (0..50).map(|n| click(["a", "b"][n as usize % 2], start() + minutes(n))).collect();
    at_once((0..8).map(|caller| {
        let (store, mut clicks) = (store.nth(caller), clicks.clone());
        async move {
            clicks.shuffle(&mut seeded(caller as u64));
            for batch in clicks.chunks(7) {
                store.record(batch).await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(all_rows(&**store).await, clicks);
    let counts: Vec<_> = totals(&**store, &[code("a"), code("b")]).await.iter().map(|total| total.clicks).collect();
    assert_eq!(counts, [25, 25]);
}

/// The latest click stays the latest, in whatever order clicks arrive.
pub async fn last_clicked_at_never_moves_back(store: &Handles) {
    let mut latest = None;
    for minute in [10, 5, 30, 29, 0, 30, 31, 12] {
        store
            .record(&[click("a", start() + minutes(minute)), click("a", start() + minutes(minute - 3))])
            .await
            .unwrap();
        latest = latest.max(Some(start() + minutes(minute)));
        assert_eq!(store.total(&code("a")).await.unwrap().last_clicked_at, latest, "after a click at {minute}");
    }
}

/// Clicks of codes that have no link are kept, whether their link's id is known or not.
pub async fn clicks_of_codes_without_a_link_are_kept(store: &Handles) {
    let clicks = [click("nobody", start()), click_of(&link("nobody-else"), start() + minutes(1))];
    store.record(&clicks).await.unwrap();
    assert_eq!(all_rows(&**store).await, clicks);
    let counts: Vec<_> = totals(&**store, &clicks.clone().map(|click| click.code)).await;
    assert_eq!(counts.iter().map(|total| total.clicks).collect::<Vec<_>>(), [1, 1]);
}

/// One bad click fails the call with an error that is not transient, and none of it is written.
pub async fn a_click_that_fails_its_check_fails_the_call_and_nothing_is_written(store: &Handles) {
    type Spoil = fn(&mut Click);
    let spoils: [(&str, Spoil); 6] = [
        ("a NUL in the referrer", |click| click.referrer = Some("a\0b".into())),
        ("a line feed in the browser", |click| click.browser = Some("a\nb".into())),
        ("an escape in the country", |click| click.country = Some("\u{1b}".into())),
        ("a text that is too long", |click| click.os = Some("x".repeat(256).into())),
        ("an id of another time", |click| click.clicked_at += TimeDelta::milliseconds(1)),
        ("an id that is no UUID of version 7", |click| click.id = Uuid::from_u128(7)),
    ];
    for (what, spoil) in spoils {
        for place in [0, 1, 2] {
            let mut batch = [click("a", start()), click("b", start()), click("a", start())];
            spoil(&mut batch[place]);
            assert_invalid_input(store.record(&batch).await, what);
            assert_eq!(all_rows(&**store).await, [], "{what}: something was written");
            assert_eq!(totals(&**store, &[code("a"), code("b")]).await, [Totals::default(); 2], "{what}");
        }
    }
    store.record_one(&click("a", start())).await.unwrap();
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 1);
}

/// Batches of hot and cold codes in any order from many callers neither deadlock nor lose a click.
pub async fn batches_with_the_same_codes_in_any_order_never_deadlock(store: &Handles) {
    let hot: Vec<_> = (0..8).map(|n| format!("hot{n}")).collect();
    let batches = at_once((0..8).map(|caller: usize| {
        let (store, hot) = (store.nth(caller), hot.clone());
        async move {
            let mut rng = seeded(caller as u64);
            let mut counts = vec![0; hot.len()];
            for batch in 0..25 {
                let mut clicks = Vec::new();
                for n in 0..40 {
                    let at = start() + TimeDelta::milliseconds(rng.random_range(0..7_200_000));
                    if rng.random_bool(0.8) {
                        let which = rng.random_range(0..hot.len());
                        counts[which] += 1;
                        clicks.push(click(&hot[which], at));
                    } else {
                        clicks.push(click(&format!("cold-{caller}-{batch}-{n}"), at));
                    }
                }
                clicks.shuffle(&mut rng);
                store.record(&clicks).await.unwrap();
            }
            counts
        }
    }))
    .await;
    for (n, text) in hot.iter().enumerate() {
        let expected: u64 = batches.iter().map(|counts| counts[n]).sum();
        assert_eq!(store.total(&code(text)).await.unwrap().clicks, expected, "the total of {text}");
        assert_eq!(series_sum(&**store, &code(text), Step::Hour).await.0, expected, "the hours of {text}");
    }
    assert_eq!(all_rows(&**store).await.len(), 8 * 25 * 40);
}

/// While clicks are recorded, hours and totals agree at every moment: an hour's count that is read
/// between two totals lies between them.
pub async fn totals_and_series_agree_at_every_moment(store: &Handles) {
    let writers = (0..4).map(|caller: usize| {
        let store = store.nth(caller);
        async move {
            for n in 0..60 {
                let batch: Vec<_> =
                    (0..5).map(|second| click("a", start() + minutes(n) + TimeDelta::seconds(second))).collect();
                store.record(&batch).await.unwrap();
            }
        }
    });
    let writers = tokio::spawn(at_once(writers.collect::<Vec<_>>()));
    loop {
        let done = writers.is_finished();
        let before = store.total(&code("a")).await.unwrap().clicks;
        let hours = series_sum(&**store, &code("a"), Step::Hour).await.0;
        let after = store.total(&code("a")).await.unwrap().clicks;
        assert!(before <= hours && hours <= after, "hours of {hours} clicks between totals of {before} and {after}");
        assert_eq!(after % 5, 0, "half a batch was seen: {after} clicks");
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    writers.await.expect("writers");
    assert_eq!(store.total(&code("a")).await.unwrap().clicks, 4 * 60 * 5);
}
