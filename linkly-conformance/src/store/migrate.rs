//! Starting on a database that is empty, or was used before. These cases open handles themselves.

use std::sync::Arc;

use linkly_core::{ClickSink, ClickStats, Insert, LinkStore, LinkStoreExt, Maintenance};

use crate::StoreFixture;
use crate::asked::{all_rows, insert_all, totals};
use crate::run::at_once;
use crate::samples::{click, code, codes_of, full_link, link, start};

/// Eight processes that start at once on an empty database all get a store that works.
pub async fn eight_may_start_at_once_on_an_empty_database<F: StoreFixture>(database: &Arc<F>) {
    let stores = at_once((0..8).map(|_| {
        let database = database.clone();
        async move { Arc::new(database.handle().await) }
    }))
    .await;
    let codes: Vec<_> = (0..8).map(|n| code(&format!("n{n}"))).collect();
    at_once(stores.iter().cloned().zip(codes.clone()).map(|(store, code)| async move {
        store.ping().await.unwrap();
        assert_eq!(store.insert_one(&link(code.as_str())).await.unwrap(), Insert::Inserted);
        store.record(&[click(code.as_str(), start())]).await.unwrap();
    }))
    .await;
    for store in &stores {
        assert!(store.get(&codes).await.unwrap().iter().all(Option::is_some), "a handle does not see all links");
        assert!(totals(&**store, &codes).await.iter().all(|total| total.clicks == 1));
    }
}

/// Connecting again, one after another and while others work, changes nothing.
pub async fn connecting_again_changes_nothing<F: StoreFixture>(database: &Arc<F>) {
    let store = database.handle().await;
    let all = [full_link("full"), link("bare")];
    insert_all(&store, &all).await;
    let clicks = [click("full", start()), click("nobody", start())];
    store.record(&clicks).await.unwrap();
    store.purge_clicks(start(), 10).await.unwrap();
    let cursor = store.changes(None).await.unwrap().next;
    for _ in 0..3 {
        let again = database.handle().await;
        assert_eq!(again.folding(), store.folding());
        assert_eq!(again.get(&codes_of(&all)).await.unwrap(), all.clone().map(Some));
        assert_eq!(all_rows(&again).await.len(), 2);
        assert!(!again.changes(Some(&cursor)).await.unwrap().lost, "the change log was lost");
        let old = click("full", start() - linkly_core::chrono::TimeDelta::hours(1));
        assert!(again.record(&[old]).await.is_err(), "the watermark was lost");
    }
    let opened = at_once((0..8).map(|n| {
        let database = database.clone();
        async move {
            let store = database.handle().await;
            insert_all(&store, &[link(&format!("n{n}"))]).await;
        }
    }))
    .await;
    assert_eq!(opened.len(), 8);
    assert_eq!(store.get(&codes_of(&all)).await.unwrap(), all.map(Some));
    assert_eq!(store.totals(&[code("full")]).await.unwrap()[0].clicks, 1);
}
