//! `forget` and `forget_all`: what this process's memory holds, when another node has written.

use linkly_core::CacheExt;

use super::sample::{code, codes, held, lease, living, now, target};
use crate::CacheHandle;

/// What was forgotten is not peeked, be it a target or an absence; and the cache goes on as before.
pub async fn forgotten_targets_and_absences_are_not_peeked(cache: &CacheHandle) {
    for (n, target) in [Some(target(7)), None].into_iter().enumerate() {
        let keys = codes([&format!("a{n}"), &format!("b{n}")]);
        for _ in 0..20 {
            for key in &keys {
                held(cache, key, living(target.clone(), now())).await;
            }
            cache.forget(&[keys[0].clone(), keys[1].clone(), keys[0].clone()]).await.unwrap();
            for key in &keys {
                assert_eq!(cache.peek(key.as_str(), now()), None, "{key}");
            }
            cache.invalidate(&keys).await.unwrap();
        }
    }
    cache.forget(&[]).await.unwrap();
    cache.forget_one(&code("never-seen")).await.unwrap();
}

/// What was loaded before is not peeked when it is filled afterwards.
pub async fn a_fill_under_a_lease_of_before_is_not_peeked(cache: &CacheHandle) {
    for round in 0..20 {
        let code = code(&format!("a{round}"));
        let old = lease(cache, &code).await;
        cache.forget_one(&code).await.unwrap();
        let now = now();
        cache.fill_one(old, living(Some(target(round)), now), now).await.unwrap();
        assert_eq!(cache.peek(code.as_str(), now), None, "{code}");
    }
}

/// `forget_all` does the same with every entry.
pub async fn forget_all_removes_every_entry(cache: &CacheHandle) {
    let keys: Vec<_> = (0..100).map(|n| code(&format!("a{n}"))).collect();
    for round in 0..3 {
        for (n, key) in keys.iter().enumerate() {
            held(cache, key, living((n % 5 != 0).then(|| target(round)), now())).await;
        }
        cache.forget_all().await.unwrap();
        for key in &keys {
            assert_eq!(cache.peek(key.as_str(), now()), None, "{key}");
        }
        cache.invalidate(&keys).await.unwrap();
    }
}

/// And with every lease.
pub async fn after_forget_all_no_fill_under_a_lease_of_before_is_peeked(cache: &CacheHandle) {
    let keys: Vec<_> = (0..50).map(|n| code(&format!("a{n}"))).collect();
    let mut leases = Vec::new();
    for key in &keys {
        leases.push(lease(cache, key).await);
    }
    cache.forget_all().await.unwrap();
    let now = now();
    let fills = leases.into_iter().map(|lease| (lease, living(Some(target(1)), now))).collect();
    cache.fill(fills, now).await.unwrap();
    for key in &keys {
        assert_eq!(cache.peek(key.as_str(), now), None, "{key}");
    }
}
