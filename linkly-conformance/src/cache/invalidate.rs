//! `invalidate` and `clear`.

use linkly_core::{CacheExt, Filled};

use super::sample::{answered, code, codes, held, lease, living, now, target};
use crate::CacheHandle;

/// What was invalidated is not answered, be it a target or an absence.
pub async fn invalidated_targets_and_absences_are_not_answered(cache: &CacheHandle) {
    for (n, target) in [Some(target(7)), None].into_iter().enumerate() {
        let code = code(&format!("a{n}"));
        for _ in 0..20 {
            held(cache, &code, living(target.clone(), now())).await;
            cache.invalidate_one(&code).await.unwrap();
            assert_eq!(answered(cache, &code).await, [], "{code}");
        }
    }
}

/// An absence that was invalidated gives way to the link that was made since.
pub async fn an_absence_gives_way_to_a_link(cache: &CacheHandle) {
    let code = code("a");
    for n in 0..20 {
        held(cache, &code, living(None, now())).await;
        cache.invalidate_one(&code).await.unwrap();
        held(cache, &code, living(Some(target(n)), now())).await;
        for found in answered(cache, &code).await {
            assert_eq!(found.target, Some(target(n)));
        }
        cache.invalidate_one(&code).await.unwrap();
    }
}

/// A code that is not there, one that was invalidated before, one that stands twice and no code at
/// all are no errors.
pub async fn invalidating_is_idempotent(cache: &CacheHandle) {
    let keys = codes(["a", "b"]);
    cache.invalidate(&[]).await.unwrap();
    cache.invalidate(&keys).await.unwrap();
    held(cache, &keys[0], living(Some(target(7)), now())).await;
    for _ in 0..3 {
        cache.invalidate(&[keys[0].clone(), keys[1].clone(), keys[0].clone()]).await.unwrap();
        assert_eq!(answered(cache, &keys[0]).await, []);
    }
    for n in 0..100 {
        if held(cache, &keys[0], living(Some(target(n)), now())).await {
            return;
        }
    }
    panic!("a code that was invalidated is never kept again");
}

/// One call invalidates all of its codes.
pub async fn all_codes_of_a_call_are_invalidated(cache: &CacheHandle) {
    let keys: Vec<_> = (0..100).map(|n| code(&format!("a{n}"))).collect();
    for (n, key) in keys.iter().enumerate() {
        held(cache, key, living(Some(target(n as u64)), now())).await;
    }
    cache.invalidate(&keys[10..]).await.unwrap();
    for (n, key) in keys.iter().enumerate() {
        let found = answered(cache, key).await;
        assert!(n < 10 || found.is_empty(), "{key}: {found:?}");
        assert!(found.iter().all(|entry| entry.target == Some(target(n as u64))), "{key}: {found:?}");
    }
}

/// `clear` removes every entry.
pub async fn clear_removes_every_entry(cache: &CacheHandle) {
    let keys: Vec<_> = (0..100).map(|n| code(&format!("a{n}"))).collect();
    for round in 0..3 {
        for (n, key) in keys.iter().enumerate() {
            let target = (n % 5 != 0).then(|| target(round));
            held(cache, key, living(target, now())).await;
        }
        cache.clear().await.unwrap();
        for key in &keys {
            assert_eq!(answered(cache, key).await, [], "{key}");
        }
    }
}

/// `clear` voids every lease, also of codes that were never filled.
pub async fn clear_voids_every_lease(cache: &CacheHandle) {
    for round in 0..3 {
        let keys: Vec<_> = (0..50).map(|n| code(&format!("a{n}"))).collect();
        let mut leases = Vec::new();
        for key in &keys {
            leases.push(lease(cache, key).await);
        }
        cache.clear().await.unwrap();
        let now = now();
        let fills = leases.into_iter().map(|lease| (lease, living(Some(target(round)), now))).collect();
        assert_eq!(cache.fill(fills, now).await.unwrap(), vec![Filled::Voided; keys.len()]);
        for key in &keys {
            assert_eq!(answered(cache, key).await, [], "{key}");
        }
    }
    expect_keeps(cache).await;
}

/// It voids them also when they have run out their life on the server, before it or since.
pub async fn clear_voids_leases_that_have_expired(cache: &CacheHandle) {
    for round in 0..4 {
        for expired_first in [false, true] {
            let code = code(&format!("a{round}"));
            let old = lease(cache, &code).await;
            if expired_first {
                cache.expire_leases().await;
            }
            for _ in 0..=round {
                cache.clear().await.unwrap();
            }
            if !expired_first {
                cache.expire_leases().await;
            }
            let now = now();
            let filled = cache.fill_one(old, living(Some(target(round)), now), now).await.unwrap();
            assert_eq!(filled, Filled::Voided, "cleared {} times, expired first: {expired_first}", round + 1);
            assert_eq!(answered(cache, &code).await, []);
        }
    }
    expect_keeps(cache).await;
}

/// Checks that entries are kept again.
async fn expect_keeps(cache: &CacheHandle) {
    let code = code("behind");
    let mut kept = false;
    for n in 0..100 {
        kept = kept || held(cache, &code, living(Some(target(n)), now())).await;
    }
    assert!(kept, "a cache that was cleared keeps nothing any more");
}
