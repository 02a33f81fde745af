//! What holds for every call: no code, ten thousand codes, and the calls that keep a database in
//! order.

use linkly_core::chrono::TimeDelta;
use linkly_core::{Click, Delete, Deleted, Link, Target, TimeRange, Update, Use};

use crate::Handles;
use crate::asked::{all_rows, insert_all, totals};
use crate::samples::{codes_of, links, start};

/// A call about nothing answers nothing.
pub async fn a_call_about_nothing_answers_nothing(store: &Handles) {
    assert_eq!(store.insert(&[]).await.unwrap(), []);
    assert_eq!(store.targets(&[]).await.unwrap(), []);
    assert_eq!(store.get(&[]).await.unwrap(), []);
    assert_eq!(store.update(&[]).await.unwrap(), []);
    assert_eq!(store.delete(&[]).await.unwrap(), []);
    assert_eq!(store.consume(&[]).await.unwrap(), [0; 0]);
    assert_eq!(store.totals(&[]).await.unwrap(), []);
    store.record(&[]).await.unwrap();
    assert_eq!(all_rows(&**store).await, []);
}

/// Ten thousand links are none too many for any call.
pub async fn ten_thousand_links_in_one_call(store: &Handles) {
    let mut all = links("n", 10_000);
    for (n, link) in all.iter_mut().enumerate() {
        link.max_clicks = Some(n as u32 + 1);
        link.tags = vec![format!("tag{}", n % 10)];
    }
    insert_all(&**store, &all).await;
    let codes = codes_of(&all);
    let some = |links: &[Link]| links.iter().cloned().map(Some).collect::<Vec<_>>();
    assert!(store.get(&codes).await.unwrap() == some(&all), "the links are not those that were inserted");
    let targets: Vec<_> = all.iter().map(|link| Some(Target::from(link))).collect();
    assert!(store.targets(&codes).await.unwrap() == targets, "the targets are not those of the links");
    let uses: Vec<_> = all.iter().map(|link| Use::new(link.code.clone(), link.id, 3)).collect();
    let granted: Vec<_> = (1..=10_000_u32).map(|limit| limit.min(3)).collect();
    assert!(store.consume(&uses).await.unwrap() == granted, "not what the limits leave was granted");
    for (link, consumed) in all.iter_mut().zip(granted) {
        link.title = Some(link.code.to_string());
        link.consumed = consumed;
    }
    assert_eq!(store.update(&all).await.unwrap(), vec![Update::Updated { version: 2 }; 10_000]);
    for link in &mut all {
        link.version = 2;
    }
    assert!(store.get(&codes).await.unwrap() == some(&all), "the links are not as they were updated");
    let deletes: Vec<_> = all.iter().map(|link| Delete::new(link.code.clone(), link.id).with_version(2)).collect();
    assert_eq!(store.delete(&deletes).await.unwrap(), vec![Deleted::Deleted; 10_000]);
    assert!(store.targets(&codes).await.unwrap().iter().all(Option::is_none), "a deleted link was found");
}

/// Ten thousand clicks, of ten thousand codes, are none too many for any call.
pub async fn ten_thousand_clicks_in_one_call(store: &Handles) {
    let codes = codes_of(&links("n", 10_000));
    let clicks: Vec<_> = codes
        .iter()
        .enumerate()
        .map(|(n, code)| Click::new(code.clone(), start() + TimeDelta::milliseconds(n as i64 * 997)))
        .collect();
    store.record(&clicks).await.unwrap();
    store.record(&clicks).await.unwrap();
    for (click, total) in clicks.iter().zip(totals(&**store, &codes).await) {
        assert_eq!((total.clicks, total.last_clicked_at), (1, Some(click.clicked_at)), "totals of {}", click.code);
    }
    assert!(all_rows(&**store).await == clicks, "the rows are not the clicks that were recorded");
}

/// `optimize`, `size` and `ping` work on a database that is empty and on one that is not.
pub async fn optimize_size_and_ping_work(store: &Handles) {
    for round in 0..2 {
        store.ping().await.unwrap();
        store.optimize().await.unwrap();
        let size = store.size().await.unwrap();
        assert!(round == 0 || size.bytes > 0, "a database with links takes no bytes");
        let all = links(&format!("r{round}-"), 50);
        insert_all(&**store, &all).await;
        store.record(&all.iter().map(|link| Click::new(link.code.clone(), start())).collect::<Vec<_>>()).await.unwrap();
        store.optimize().await.unwrap();
        assert_eq!(store.get(&codes_of(&all)).await.unwrap(), all.into_iter().map(Some).collect::<Vec<_>>());
    }
    assert_eq!(all_rows(&**store).await.len(), 100);
    assert_eq!(store.reconcile(TimeRange::all()).await.unwrap().differences, []);
}
