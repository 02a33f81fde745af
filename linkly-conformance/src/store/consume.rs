//! [`LinkStore::consume`](linkly_core::LinkStore::consume).

use linkly_core::{Delete, Link, LinkStoreExt, Update, Use};

use crate::Handles;
use crate::asked::insert_all;
use crate::run::at_once;
use crate::samples::{code, link, links, with};

async fn limited(store: &Handles, code: &str, max_clicks: Option<u32>) -> Link {
    let link = with(link(code), |link| link.max_clicks = max_clicks);
    insert_all(&**store, std::slice::from_ref(&link)).await;
    link
}

fn ask(link: &Link, count: u32) -> Use {
    Use::new(link.code.clone(), link.id, count)
}

async fn consumed(store: &Handles, link: &Link) -> u32 {
    store.get_one(&link.code).await.unwrap().expect("a link").consumed
}

/// What is asked for is granted while there is so much left, then what is left, then nothing.
pub async fn what_is_left_is_granted(store: &Handles) {
    let link = limited(store, "a", Some(10)).await;
    for (asked, granted, after) in [(3, 3, 3), (0, 0, 3), (4, 4, 7), (4, 3, 10), (1, 0, 10), (u32::MAX, 0, 10)] {
        assert_eq!(store.consume(&[ask(&link, asked)]).await.unwrap(), [granted], "{asked} asked");
        assert_eq!(consumed(store, &link).await, after, "{asked} asked");
    }
}

/// A limit of as many as a number can hold is granted without overflow.
pub async fn the_greatest_limit_is_granted(store: &Handles) {
    let link = limited(store, "a", Some(u32::MAX)).await;
    for granted in [u32::MAX - 1, 1, 0] {
        let asked = granted.max(1);
        assert_eq!(store.consume(&[ask(&link, asked)]).await.unwrap(), [granted]);
    }
    assert_eq!(consumed(store, &link).await, u32::MAX);
}

/// Sixteen tasks that ask through two handles, alone and for several links at once, are granted the
/// limit and no more.
pub async fn many_callers_are_granted_exactly_the_limit(store: &Handles) {
    let one = limited(store, "one", Some(100)).await;
    let other = limited(store, "other", Some(37)).await;
    let granted = at_once((0..16).map(|caller| {
        let store = store.nth(caller);
        let (one, other) = (ask(&one, 1 + caller as u32 % 3), ask(&other, 2));
        async move {
            let mut sums = [0, 0];
            for round in 0..12 {
                // In both orders, as callers do that know nothing of one another.
                let turned = (caller + round) % 2;
                let asked = if turned == 0 { [one.clone(), other.clone()] } else { [other.clone(), one.clone()] };
                let granted = store.consume(&asked).await.unwrap();
                sums[turned] += granted[0];
                sums[1 - turned] += granted[1];
            }
            sums
        }
    }))
    .await;
    let sums = granted.iter().fold([0, 0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
    assert_eq!(sums, [100, 37], "granted of 100 and of 37");
    assert_eq!([consumed(store, &one).await, consumed(store, &other).await], [100, 37]);
}

/// A link that stands several times in one call is granted its limit in all.
pub async fn a_link_that_is_asked_for_twice_in_one_call_has_one_limit(store: &Handles) {
    let (link, other) = (limited(store, "a", Some(5)).await, limited(store, "b", Some(5)).await);
    let asked = [ask(&link, 3), ask(&other, 1), ask(&link, 3), ask(&link, 3)];
    let granted = store.consume(&asked).await.unwrap();
    assert_eq!(granted.len(), 4, "one answer for each");
    assert_eq!(granted[1], 1);
    assert_eq!(granted[0] + granted[2] + granted[3], 5, "granted of 5: {granted:?}");
    assert!(granted.iter().all(|granted| *granted <= 3), "more than asked: {granted:?}");
    assert_eq!([consumed(store, &link).await, consumed(store, &other).await], [5, 1]);
}

/// What is consumed moves neither the version nor anything else of the link.
pub async fn consuming_changes_nothing_but_consumed(store: &Handles) {
    let link = limited(store, "a", Some(5)).await;
    store.consume(&[ask(&link, 2)]).await.unwrap();
    let found = store.get_one(&link.code).await.unwrap();
    assert_eq!(found, Some(with(link.clone(), |link| link.consumed = 2)));
    let asked = with(link, |link| link.url = "https://example.com/changed".into());
    assert_eq!(store.update_one(&asked).await.unwrap(), Update::Updated { version: 2 });
}

/// A link without a limit grants all that is asked for, and counts nothing.
pub async fn a_link_without_a_limit_grants_all_and_counts_nothing(store: &Handles) {
    let link = limited(store, "a", None).await;
    for asked in [1, 1_000, u32::MAX] {
        assert_eq!(store.consume(&[ask(&link, asked)]).await.unwrap(), [asked]);
    }
    assert_eq!(consumed(store, &link).await, 0);
}

/// An unknown code, another id, a deleted link and one whose code was used again grant nothing.
pub async fn no_live_link_with_this_code_and_id_grants_nothing(store: &Handles) {
    let (kept, retired) = (limited(store, "kept", Some(5)).await, limited(store, "retired", None).await);
    let released = limited(store, "released", Some(5)).await;
    let deletes =
        [Delete::new(retired.code.clone(), retired.id), Delete::new(released.code.clone(), released.id).with_release()];
    store.delete(&deletes).await.unwrap();
    let new = limited(store, "released", Some(5)).await;
    let asked = [
        ask(&link("unknown"), 1),
        ask(&link("kept"), 1),
        ask(&retired, 1),
        ask(&released, 1),
        ask(&kept, 1),
        ask(&new, 2),
    ];
    assert_eq!(store.consume(&asked).await.unwrap(), [0, 0, 0, 0, 1, 2]);
    assert_eq!([consumed(store, &kept).await, consumed(store, &new).await], [1, 2]);
}

/// Of two that ask with one id, the one with another code than the link's is granted nothing and takes
/// nothing from the right one, whichever comes first.
pub async fn one_id_at_two_codes_grants_to_the_right_one_alone(store: &Handles) {
    let (right, other) = (limited(store, "right", Some(10)).await, limited(store, "other", Some(10)).await);
    let endless = limited(store, "endless", None).await;
    let at = |text: &str, link: &Link, count| Use::new(code(text), link.id, count);
    let asked = [at("other", &right, 3), ask(&right, 4), at("unknown", &right, 5), at("other", &endless, 2)];
    assert_eq!(store.consume(&asked).await.unwrap(), [0, 4, 0, 0]);
    let asked = [ask(&right, 5), at("other", &right, 1), at("endless", &right, 9), at("right", &endless, 1)];
    assert_eq!(store.consume(&asked).await.unwrap(), [5, 0, 0, 0]);
    assert_eq!([consumed(store, &right).await, consumed(store, &other).await], [9, 0]);
    assert_eq!(store.consume(&[ask(&right, 2), ask(&other, 2)]).await.unwrap(), [1, 2]);
}

/// An update that raises the limit grants the rest; one that sets it below what was consumed grants
/// nothing.
pub async fn an_updated_limit_counts_from_the_next_call_on(store: &Handles) {
    let mut link = limited(store, "a", Some(5)).await;
    assert_eq!(store.consume(&[ask(&link, 4)]).await.unwrap(), [4]);
    for (limit, granted) in [(2, 0), (6, 2), (6, 0), (9, 3)] {
        link.max_clicks = Some(limit);
        store.update_one(&link).await.unwrap();
        link.version += 1;
        assert_eq!(store.consume(&[ask(&link, 10)]).await.unwrap(), [granted], "a limit of {limit}");
    }
    assert_eq!(consumed(store, &link).await, 9);
}

/// The answers of a call stand in its order.
pub async fn grants_stand_in_order(store: &Handles) {
    let mut all = links("n", 30);
    for (n, link) in all.iter_mut().enumerate() {
        link.max_clicks = Some(n as u32 + 1);
    }
    insert_all(&**store, &all).await;
    let asked: Vec<_> = all.iter().rev().map(|link| ask(link, 20)).collect();
    let expected: Vec<_> = (1..=30_u32).rev().map(|limit| limit.min(20)).collect();
    assert_eq!(store.consume(&asked).await.unwrap(), expected);
}
