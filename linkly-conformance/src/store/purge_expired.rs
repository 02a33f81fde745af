//! [`Maintenance::purge_expired`](linkly_core::Maintenance::purge_expired).

use std::collections::BTreeSet;

use linkly_core::{ClickStatsExt, Code, Insert, Link, LinkStoreExt, ListLinks, PurgeExpired, Scope, Totals};

use crate::Handles;
use crate::asked::{all_links, assert_refused, insert_all};
use crate::samples::{click_of, links, minutes, start};

/// Ten links: those of even number expire, number `n` at minute `n`.
async fn some_that_expire(store: &Handles) -> Vec<Link> {
    let mut all = links("n", 10);
    for (n, link) in all.iter_mut().enumerate().filter(|(n, _)| n % 2 == 0) {
        link.expires_at = Some(start() + minutes(n as i64));
    }
    insert_all(&**store, &all).await;
    let clicks: Vec<_> = all.iter().map(|link| click_of(link, start())).collect();
    store.record(&clicks).await.unwrap();
    all
}

fn codes<'a>(links: impl IntoIterator<Item = &'a Link>) -> BTreeSet<Code> {
    links.into_iter().map(|link| link.code.clone()).collect()
}

/// Links that expired are gone; later ones, and those that never expire, stay.
pub async fn links_that_expired_before_are_deleted_and_no_others(store: &Handles) {
    let all = some_that_expire(store).await;
    let purged = store.purge_expired(&PurgeExpired::new(start() + minutes(5))).await.unwrap();
    assert!(purged.done);
    assert_eq!(BTreeSet::from_iter(purged.codes), codes([&all[0], &all[2], &all[4]]));
    let left = [1, 3, 5, 6, 7, 8, 9].map(|n| &all[n]);
    assert_eq!(codes(&all_links(&**store, &ListLinks::new(Scope::All)).await), codes(left));
    let again = store.purge_expired(&PurgeExpired::new(start() + minutes(5))).await.unwrap();
    assert_eq!((again.codes.len(), again.done), (0, true), "purged again");
    let rest = store.purge_expired(&PurgeExpired::new(start() + minutes(100_000))).await.unwrap();
    assert_eq!(BTreeSet::from_iter(rest.codes), codes([&all[6], &all[8]]));
    let left = all.iter().skip(1).step_by(2);
    assert_eq!(codes(&all_links(&**store, &ListLinks::new(Scope::All)).await), codes(left), "links without expiry");
}

/// A purged code is retired, and its statistics stay.
pub async fn the_codes_are_retired_and_their_statistics_stay(store: &Handles) {
    let all = some_that_expire(store).await;
    store.purge_expired(&PurgeExpired::new(start() + minutes(1))).await.unwrap();
    let code = &all[0].code;
    assert_eq!(store.get_one(code).await.unwrap(), None);
    let again = Link::new(code.clone(), "https://example.com", start());
    assert_eq!(store.insert_one(&again).await.unwrap(), Insert::CodeTaken);
    assert_eq!(store.total(code).await.unwrap(), Totals::new(1, 0, Some(start())));
}

/// With release a purged code can be used again, its statistics are gone, and late clicks refused.
pub async fn released_codes_can_be_used_again_without_statistics(store: &Handles) {
    let all = some_that_expire(store).await;
    store.purge_expired(&PurgeExpired::new(start() + minutes(3)).with_release()).await.unwrap();
    for old in [&all[0], &all[2]] {
        assert_eq!(store.total(&old.code).await.unwrap(), Totals::default());
        assert_refused(store.record(&[click_of(old, start())]).await, "a late click");
        insert_all(&**store, &[Link::new(old.code.clone(), "https://example.com", start())]).await;
    }
    assert_eq!(store.total(&all[1].code).await.unwrap().clicks, 1, "another link's");
}

/// A link that no longer expires, or later, stays.
pub async fn an_expiry_that_was_moved_counts_as_it_is_now(store: &Handles) {
    let all = some_that_expire(store).await;
    let mut moved = [all[0].clone(), all[1].clone(), all[2].clone()];
    moved[0].expires_at = None;
    moved[1].expires_at = Some(start() + minutes(1));
    moved[2].expires_at = Some(start() + minutes(60));
    store.update(&moved).await.unwrap();
    let purged = store.purge_expired(&PurgeExpired::new(start() + minutes(5))).await.unwrap();
    assert_eq!(BTreeSet::from_iter(purged.codes), codes([&all[1], &all[4]]));
}

/// A call deletes its limit at most, and goes on where the last one ended until it is done.
pub async fn a_call_deletes_no_more_than_its_limit(store: &Handles) {
    let all = some_that_expire(store).await;
    let query = PurgeExpired::new(start() + minutes(60)).with_limit(2);
    let mut purged = Vec::new();
    for call in 0.. {
        let answer = store.purge_expired(&query).await.unwrap();
        assert!(answer.codes.len() <= 2 && call < 10, "call {call} deleted {:?}", answer.codes);
        purged.extend(answer.codes);
        if answer.done {
            break;
        }
    }
    assert_eq!(purged.len(), 5);
    assert_eq!(BTreeSet::from_iter(purged), codes(all.iter().step_by(2)));
}

/// A link that expires at that very moment did not expire before it.
pub async fn a_link_that_expires_at_that_very_moment_is_not_touched(store: &Handles) {
    let all = some_that_expire(store).await;
    let purged = store.purge_expired(&PurgeExpired::new(start() + minutes(2))).await.unwrap();
    assert_eq!(BTreeSet::from_iter(purged.codes), codes([&all[0]]));
}
