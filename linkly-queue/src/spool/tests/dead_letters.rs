//! What the store refuses for good.

use std::time::Duration;

use linkly_core::{ClickSink, ClickSinkExt, Cursor, Error};

use super::disk::Disk;
use super::sinks::{Fault, Store};
use super::{click, clicks, hasty, open};
use crate::Letters;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_clicks_become_dead_letters_and_the_others_are_delivered() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let mut all = clicks("a", 0..40);
    all.insert(7, click("bad", 1));
    all.insert(30, click("bad", 2));
    spool.record(&all).await.unwrap();
    spool.flush().await.unwrap();
    assert_eq!(store.rows().await.len(), 40);
    let metrics = spool.metrics();
    assert_eq!((metrics.delivered, metrics.dead, metrics.depth), (40, 2, 0));

    let letters = spool.dead_letters(10, None).await.unwrap().items;
    assert_eq!(letters.len(), 2);
    for letter in letters {
        assert!(letter.reason.contains(letter.click.code.as_str()), "{letter:?}");
        assert!(letter.tries > 1 && all.contains(&letter.click), "{letter:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_makes_no_dead_letters() {
    let store = Store::with_plan(|call, _| if call < 50 { Fault::Fails } else { Fault::RefusesBad });
    let spool = open(&Disk::default(), store.clone(), hasty()).await.unwrap();
    spool.record(&clicks("a", 0..10)).await.unwrap();
    spool.record_one(&click("bad", 1)).await.unwrap();
    spool.flush().await.unwrap();
    assert_eq!((spool.metrics().retried, spool.metrics().dead), (50, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_there_after_a_restart_and_are_listed_in_pages() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let mut all = clicks("bad", 0..25);
    spool.record(&all).await.unwrap();
    spool.flush().await.unwrap();
    spool.shutdown(Duration::from_secs(5)).await;
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    assert_eq!((spool.metrics().dead_letters, spool.metrics().depth), (25, 0));

    let (mut listed, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = spool.dead_letters(10, after.as_ref()).await.unwrap();
        listed.extend(page.items.into_iter().map(|letter| letter.click));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    all.sort_by_key(|click| click.id);
    assert_eq!((listed, pages), (all, 3));
    let error = spool.dead_letters(10, Some(&Cursor::new("memory/1"))).await.unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replayed_letters_are_delivered_or_dead_again() {
    let (disk, store) = (Disk::default(), Store::new());
    let spool = open(&disk, store.clone(), hasty()).await.unwrap();
    let all = clicks("bad", 0..12);
    spool.record(&all).await.unwrap();
    spool.flush().await.unwrap();

    assert_eq!(spool.replay(Letters::All).await.unwrap(), 12);
    spool.flush().await.unwrap();
    spool.dead_letters(1, None).await.unwrap();
    assert_eq!((spool.metrics().dead, spool.metrics().delivered), (24, 0));

    store.plan(|_, _| Fault::None);
    let some = vec![all[3].id, all[3].id, all[5].id, click("bad", 99).id];
    // What was settled last is in the file with the commit that this makes.
    assert_eq!(spool.replay(Letters::Of(some)).await.unwrap(), 2);
    spool.flush().await.unwrap();
    let rows = store.rows().await;
    assert_eq!((rows.len(), rows.contains_key(&all[3].id)), (2, true));
    let metrics = spool.metrics();
    assert_eq!(metrics.dead_letters, 10);
    assert_eq!(metrics.accepted + metrics.replayed, metrics.delivered + metrics.dead + metrics.depth, "{metrics:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_letters_are_gone_and_give_their_room_back() {
    let spool = open(&Disk::default(), Store::new(), hasty()).await.unwrap();
    let before = spool.metrics().bytes;
    let all = clicks("bad", 0..2_500);
    spool.record(&all).await.unwrap();
    spool.flush().await.unwrap();
    assert_eq!(spool.purge(Letters::Of(vec![all[0].id])).await.unwrap(), 1);
    assert_eq!(spool.purge(Letters::All).await.unwrap(), 2_499);
    assert!(spool.dead_letters(10, None).await.unwrap().items.is_empty());
    let after = spool.metrics();
    assert_eq!(after.dead_letters, 0);
    assert!(after.bytes < before + 200, "{before} {after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_shutdown_there_is_nothing_to_ask() {
    let spool = open(&Disk::default(), Store::new(), hasty()).await.unwrap();
    spool.shutdown(Duration::from_secs(5)).await;
    assert!(matches!(spool.dead_letters(10, None).await, Err(Error::Closed { .. })));
    assert!(matches!(spool.replay(Letters::All).await, Err(Error::Closed { .. })));
}
