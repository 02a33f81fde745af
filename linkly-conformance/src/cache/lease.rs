//! Leases, and what voids them.

use linkly_core::{CacheExt, Code, Filled, Lease};

use super::sample::{answered, code, held, lease, living, now, target};
use crate::CacheHandle;

/// How often a case tries again when the cache has forgotten a lease of its own accord.
const TRIES: u64 = 100;

/// Fills under a lease that must be void by now, and checks that nothing was stored.
async fn assert_voided(cache: &CacheHandle, lease: Lease, target: Option<linkly_core::Target>) {
    let code = lease.code().clone();
    let now = now();
    let filled = cache.fill_one(lease, living(target.clone(), now), now).await.unwrap();
    assert_eq!(filled, Filled::Voided, "a fill of {code} under a lease that was voided");
    for found in answered(cache, &code).await {
        assert_ne!(found.target, target, "what was voided is answered");
    }
}

/// A code that is not there comes with a lease, which fills it.
pub async fn a_missing_code_comes_with_a_lease_that_fills_it(cache: &CacheHandle) {
    for n in 0..TRIES {
        let code = code(&format!("a{n}"));
        let lease = lease(cache, &code).await;
        assert_eq!(lease.code(), &code);
        let now = now();
        if cache.fill_one(lease, living(Some(target(n)), now), now).await.unwrap() == Filled::Filled {
            for found in answered(cache, &code).await {
                assert_eq!(found.target, Some(target(n)));
            }
            return;
        }
    }
    panic!("of {TRIES} leases on codes that nobody invalidated none filled");
}

/// Sixteen readers hold leases on one code; one of them fills, and an invalidate voids them all.
pub async fn any_number_of_readers_hold_leases_at_once(cache: &CacheHandle) {
    let code = code("a");
    let mut filled = false;
    for n in 0..TRIES {
        let mut leases = Vec::new();
        for _ in 0..16 {
            leases.push(lease(cache, &code).await);
        }
        let now = now();
        let last = leases.pop().expect("sixteen leases");
        filled |= cache.fill_one(last, living(Some(target(n)), now), now).await.unwrap() == Filled::Filled;
        cache.invalidate_one(&code).await.unwrap();
        for lease in leases {
            assert_voided(cache, lease, Some(target(n))).await;
        }
        assert_eq!(answered(cache, &code).await, []);
    }
    assert!(filled, "of {TRIES} leases that stood beside others none filled");
}

/// A fill under a lease of before an invalidate is dropped, of targets and of absences.
pub async fn a_fill_after_an_invalidate_is_voided(cache: &CacheHandle) {
    for (n, target) in [Some(target(7)), None].into_iter().enumerate() {
        let code = code(&format!("a{n}"));
        let lease = lease(cache, &code).await;
        cache.invalidate_one(&code).await.unwrap();
        assert_voided(cache, lease, target).await;
        assert_eq!(answered(cache, &code).await, []);
    }
}

/// It is dropped also when another reader has taken a lease since.
pub async fn a_fill_after_an_invalidate_is_voided_when_a_new_lease_was_given(cache: &CacheHandle) {
    let code = code("a");
    for n in 0..TRIES {
        let old = lease(cache, &code).await;
        cache.invalidate_one(&code).await.unwrap();
        let new = lease(cache, &code).await;
        assert_voided(cache, old, Some(target(2 * n))).await;
        let now = now();
        cache.fill_one(new, living(Some(target(2 * n + 1)), now), now).await.unwrap();
        for found in answered(cache, &code).await {
            assert_eq!(found.target, Some(target(2 * n + 1)));
        }
        cache.invalidate_one(&code).await.unwrap();
    }
}

/// It is dropped also when another entry was stored since, which stays.
pub async fn a_fill_after_an_invalidate_is_voided_when_another_entry_was_filled_since(cache: &CacheHandle) {
    let code = code("a");
    for n in 0..TRIES {
        let old = lease(cache, &code).await;
        cache.invalidate_one(&code).await.unwrap();
        held(cache, &code, living(Some(target(2 * n + 1)), now())).await;
        assert_voided(cache, old, Some(target(2 * n))).await;
        for found in answered(cache, &code).await {
            assert_eq!(found.target, Some(target(2 * n + 1)));
        }
        cache.invalidate_one(&code).await.unwrap();
    }
}

/// It is dropped also when the code was invalidated any number of times since.
pub async fn a_fill_after_many_invalidates_is_voided(cache: &CacheHandle) {
    let code = code("a");
    for times in [2, 3, 4, 255, 256, 257] {
        let lease = lease(cache, &code).await;
        for _ in 0..times {
            cache.invalidate_one(&code).await.unwrap();
        }
        assert_voided(cache, lease, Some(target(times))).await;
    }
}

/// It is dropped also when the lease has run out its life on the server since: a generation that is no
/// longer there is none, not the first.
pub async fn a_fill_after_an_invalidate_is_voided_also_when_its_lease_has_expired(cache: &CacheHandle) {
    let mut leases = Vec::new();
    for (before, after) in [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (3, 3)] {
        let code = code(&format!("a{before}-{after}"));
        for _ in 0..before {
            cache.invalidate_one(&code).await.unwrap();
        }
        leases.push(lease(cache, &code).await);
        for _ in 0..after {
            cache.invalidate_one(&code).await.unwrap();
        }
    }
    cache.expire_leases().await;
    for (n, old) in leases.into_iter().enumerate() {
        let code = old.code().clone();
        // Also beside a lease of after the end of the old one.
        if n % 2 == 1 {
            lease(cache, &code).await;
        }
        assert_voided(cache, old, Some(target(n as u64))).await;
        assert_eq!(answered(cache, &code).await, []);
    }
}

/// A lease that has run out its life fills or is voided; an invalidate voids it in either case, also
/// when it counts anew from there.
pub async fn a_lease_that_has_expired_is_voided_by_an_invalidate(cache: &CacheHandle) {
    let mut leases = Vec::new();
    for before in 0..4_u64 {
        for after in 1..4_u64 {
            let code = code(&format!("a{before}-{after}"));
            for _ in 0..before {
                cache.invalidate_one(&code).await.unwrap();
            }
            leases.push((lease(cache, &code).await, after));
        }
    }
    cache.expire_leases().await;
    for (n, (old, after)) in leases.into_iter().enumerate() {
        let (code, target) = (old.code().clone(), Some(target(n as u64)));
        if n % 2 == 0 {
            let now = now();
            let filled = cache.fill_one(old.clone(), living(target.clone(), now), now).await.unwrap();
            for found in answered(cache, &code).await {
                assert_eq!((filled, &found.target), (Filled::Filled, &target), "{code}");
            }
        }
        for _ in 0..after {
            cache.invalidate_one(&code).await.unwrap();
            assert_voided(cache, old.clone(), target.clone()).await;
        }
        assert_eq!(answered(cache, &code).await, []);
    }
}

/// A lease that was taken over a stale entry is voided like any other.
pub async fn a_lease_over_a_stale_entry_is_voided_by_an_invalidate(cache: &CacheHandle) {
    let code = code("a");
    let now = now();
    let stale = linkly_core::Entry::new(Some(target(1)), now, now.after(std::time::Duration::from_secs(60)));
    let first = lease(cache, &code).await;
    cache.fill_one(first, stale, now).await.unwrap();
    let second = lease(cache, &code).await;
    cache.invalidate_one(&code).await.unwrap();
    assert_voided(cache, second, Some(target(2))).await;
    assert_eq!(answered(cache, &code).await, []);
}

/// The fills of a call are answered in order, each for itself.
pub async fn fills_answer_in_order_each_for_itself(cache: &CacheHandle) {
    let keys: Vec<Code> = (0..30).map(|n| code(&format!("a{n}"))).collect();
    let mut leases = Vec::new();
    for key in &keys {
        leases.push(lease(cache, key).await);
    }
    let voided: Vec<_> = keys.iter().step_by(3).cloned().collect();
    cache.invalidate(&voided).await.unwrap();
    let now = now();
    let fills = leases.into_iter().enumerate().map(|(n, lease)| (lease, living(Some(target(n as u64)), now))).collect();
    let answers = cache.fill(fills, now).await.unwrap();
    assert_eq!(answers.len(), keys.len(), "one answer for each fill");
    for (n, (key, filled)) in keys.iter().zip(answers).enumerate() {
        let found = answered(cache, key).await;
        if n % 3 == 0 {
            assert_eq!(filled, Filled::Voided, "{key} was invalidated");
        }
        if filled == Filled::Voided {
            assert_eq!(found, [], "{key} was voided");
        }
        for found in found {
            assert_eq!(found.target, Some(target(n as u64)), "{key}");
        }
    }
}

/// An invalidate of other codes leaves a lease living or voids it; either way nothing wrong is
/// answered.
pub async fn an_invalidate_of_another_code_makes_no_fill_wrong(cache: &CacheHandle) {
    let others: Vec<_> = (0..200).map(|n| code(&format!("other{n}"))).collect();
    for n in 0..20 {
        let code = code(&format!("a{n}"));
        let lease = lease(cache, &code).await;
        cache.invalidate(&others).await.unwrap();
        let now = now();
        let filled = cache.fill_one(lease, living(Some(target(n)), now), now).await.unwrap();
        for found in answered(cache, &code).await {
            assert_eq!((filled, found.target), (Filled::Filled, Some(target(n))));
        }
    }
}
