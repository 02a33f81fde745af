//! What is stored, and what is answered.

use std::time::Duration;

use linkly_core::{CacheExt, Code, Domain, Entry, Filled, MAX_CODE_BYTES, Tick};
use linkly_core::{Target, TargetParts, Uuid};

use super::sample::{answered, code, codes, expect_answers, fresh, held, lease, living, now, target, wait_until_over};
use crate::CacheHandle;

/// What was stored answers the next `get`: targets and absences.
pub async fn an_entry_that_is_stored_answers_the_next_get(cache: &CacheHandle) {
    let entries: Vec<_> =
        (0..4).map(|n| (code(&format!("a{n}")), if n < 3 { Some(target(n)) } else { None })).collect();
    for (code, target) in &entries {
        let lease = lease(cache, code).await;
        let now = now();
        assert_eq!(cache.fill_one(lease, living(target.clone(), now), now).await.unwrap(), Filled::Filled, "{code}");
        let found = cache.get_one(code, now).await.unwrap().entry.unwrap_or_else(|| panic!("{code} is not there"));
        assert_eq!(found.target, *target, "{code}");
        assert!(found.is_fresh(now), "{code} is stale at once: {found:?}");
    }
    for (code, target) in &entries {
        let found = cache.get_one(code, now()).await.unwrap().entry;
        assert_eq!(found.map(|entry| entry.target), Some(target.clone()), "{code} behind the others");
    }
}

/// Every part of a target comes back.
pub async fn every_part_of_a_target_comes_back(cache: &CacheHandle) {
    let at = |text: &str| Some(text.parse().expect("a time"));
    let mut full = TargetParts::new(Uuid::from_u128(u128::MAX), "https://example.com/%F0%9F?a='\"\\&b=1#f");
    full.redirect = linkly_core::RedirectStatus::PermanentRedirect;
    (full.forward_query, full.limited) = (true, true);
    (full.active_from, full.expires_at) = (at("1999-12-31T23:59:59.999Z"), at("2199-12-31T23:59:59.001Z"));
    full.tags = vec!["a b".into(), "c,d".into(), "été 🏷".into()];
    let mut other = TargetParts::new(Uuid::nil(), format!("https://example.com/{}", "x".repeat(8_000)));
    other.redirect = linkly_core::RedirectStatus::MovedPermanently;
    other.expires_at = at("2199-12-31T00:00:00Z");
    let unfit = TargetParts::new(Uuid::from_u128(1), "javascript:alert(1)");
    for (n, parts) in
        [full, other, unfit, TargetParts::new(Uuid::from_u128(2), "http://[::1]/")].into_iter().enumerate()
    {
        let (code, target) = (code(&format!("a{n}")), Target::new(parts));
        assert!(held(cache, &code, living(Some(target.clone()), now())).await, "target {n} is never kept");
        for found in answered(cache, &code).await {
            assert_eq!(found.target.as_ref().map(Target::to_parts), Some(target.to_parts()));
            assert_eq!(found.target.expect("a target").check().is_ok(), target.check().is_ok());
        }
    }
}

/// Codes of any form are keys of their own: long ones, those inside domains, and those that differ
/// in case or in one character.
pub async fn each_code_is_a_key_of_its_own(cache: &CacheHandle) {
    let domain = |host: &str| Domain::new(host).expect("a host name");
    let mut keys = codes(["a", "A", "a.", "a/b", "a-", "a_", "~", "...", "0"]);
    keys.extend([code(&"x".repeat(MAX_CODE_BYTES)), code(&format!("{}y", "x".repeat(MAX_CODE_BYTES - 1)))]);
    let long = ["b".repeat(63), "c".repeat(63), "d".repeat(63), "e".repeat(61)].join(".");
    for host in ["a.example", "a.example.b", &long] {
        keys.extend(["a", "b"].map(|text| Code::in_domain(&domain(host), text).expect("a code")));
    }
    for (n, key) in keys.iter().enumerate() {
        held(cache, key, living(Some(target(n as u64)), now())).await;
    }
    for (n, key) in keys.iter().enumerate() {
        for found in answered(cache, key).await {
            assert_eq!(found.target, Some(target(n as u64)), "{key}");
        }
    }
    cache.invalidate(&keys[..1]).await.unwrap();
    assert_eq!(answered(cache, &keys[0]).await, []);
}

/// The answers of a call stand in the order of its codes, also for unknown ones and what is asked
/// twice.
pub async fn answers_stand_in_order_with_duplicates_and_unknown_codes(cache: &CacheHandle) {
    let keys = codes(["a", "b", "c"]);
    for (n, key) in keys.iter().enumerate() {
        held(cache, key, living(Some(target(n as u64)), now())).await;
    }
    let asked = codes(["c", "nobody", "a", "c", "b", "nobody", "a"]);
    let found = cache.get(&asked, now()).await.unwrap();
    assert_eq!(found.len(), asked.len(), "one answer for each code");
    for (code, lookup) in asked.iter().zip(found) {
        let known = keys.iter().position(|key| key == code).map(|n| target(n as u64));
        match lookup.entry {
            Some(entry) => assert_eq!(entry.target, known, "{code}"),
            // Forgotten, or never known.
            None => assert!(lookup.lease.is_none_or(|lease| lease.code() == code), "a lease of another code"),
        }
    }
    assert_eq!(cache.get(&[], now()).await.unwrap(), []);
    assert_eq!(cache.fill(Vec::new(), now()).await.unwrap(), []);
}

/// A later fill replaces what was there: what is answered is the latest.
pub async fn a_later_fill_replaces_a_stale_entry(cache: &CacheHandle) {
    let code = code("a");
    for n in 0..10 {
        // Stale from the first moment on, so that a lease is given while it is there.
        let now = now();
        let stale = Entry::new(Some(target(n)), now, now.after(Duration::from_secs(60)));
        let lease = lease(cache, &code).await;
        if cache.fill_one(lease, stale, now).await.unwrap() == Filled::Filled {
            for found in answered(cache, &code).await {
                assert_eq!(found.target, Some(target(n)));
            }
        }
    }
}

/// An entry whose time is over is answered by nobody, whether it was fresh for long or not.
pub async fn an_entry_past_its_serve_until_is_never_answered(cache: &CacheHandle) {
    for (n, (fresh, serve)) in [(60, 60), (0, 60), (30, 90)].into_iter().enumerate() {
        for target in [Some(target(7)), None] {
            let code = code(&format!("a{n}{}", target.is_some()));
            let filled_at = now();
            let after = |millis| filled_at.after(Duration::from_millis(millis));
            let entry = Entry::new(target, after(fresh), after(serve));
            let lease = lease(cache, &code).await;
            cache.fill_one(lease, entry.clone(), filled_at).await.unwrap();
            // What is answered until then is told no longer a life than it was given.
            while now() < entry.serve_until {
                expect_answers(cache, &code, &entry).await;
                tokio::task::yield_now().await;
            }
            wait_until_over(cache, entry.serve_until).await;
            let now = now();
            assert_eq!(cache.peek(code.as_str(), now), None, "peek, {:?} late", now.since(entry.serve_until));
            let found = cache.get_one(&code, now).await.unwrap();
            assert_eq!(found.entry, None, "get, {:?} late", now.since(entry.serve_until));
        }
    }
}

/// Of several codes in one call only those are answered whose time is not over.
pub async fn ended_entries_are_left_out_between_others(cache: &CacheHandle) {
    let (short, long) = (code("short"), code("long"));
    held(cache, &long, living(Some(target(1)), now())).await;
    let filled_at = now();
    let end = filled_at.after(Duration::from_millis(40));
    let lease = lease(cache, &short).await;
    cache.fill_one(lease, Entry::new(Some(target(2)), end, end), filled_at).await.unwrap();
    wait_until_over(cache, end).await;
    let found = cache.get(&[short.clone(), long.clone(), short], now()).await.unwrap();
    assert_eq!((&found[0].entry, &found[2].entry), (&None, &None));
    if let Some(entry) = &found[1].entry {
        assert_eq!(entry.target, Some(target(1)));
    }
}

/// An entry that may no longer be served is not stored.
pub async fn an_entry_that_may_no_longer_be_served_is_not_stored(cache: &CacheHandle) {
    for (n, target) in [Some(target(7)), None].into_iter().enumerate() {
        let code = code(&format!("a{n}"));
        let lease = lease(cache, &code).await;
        let now = now();
        for end in [now, Tick::from_millis(now.as_millis().saturating_sub(1)), Tick::from_millis(0)] {
            cache.fill_one(lease.clone(), Entry::new(target.clone(), end, end), now).await.unwrap();
            assert_eq!(cache.peek(code.as_str(), now), None);
            assert_eq!(cache.get_one(&code, now).await.unwrap().entry, None);
        }
    }
}

/// An entry that lives for as long as there are ticks is stored like any other.
pub async fn an_entry_that_never_ends_is_answered(cache: &CacheHandle) {
    let code = code("a");
    let entry = Entry::new(Some(target(7)), Tick::MAX, Tick::MAX);
    held(cache, &code, entry.clone()).await;
    for found in answered(cache, &code).await {
        assert_eq!(found.target, entry.target);
        assert!(found.is_fresh(now()));
    }
}

/// An entry that is not fresh any more is answered with a lease, or not at all.
pub async fn a_stale_entry_comes_with_a_lease(cache: &CacheHandle) {
    let code = code("a");
    let mut leases = 0;
    for n in 0..20 {
        let lease = lease(cache, &code).await;
        let now = now();
        let stale = Entry::new(Some(target(n)), now, now.after(Duration::from_secs(60)));
        cache.fill_one(lease, stale.clone(), now).await.unwrap();
        let found = cache.get_one(&code, now).await.unwrap();
        leases += usize::from(found.lease.is_some());
        if let Some(entry) = found.entry {
            assert!(!entry.is_fresh(now) && entry.target == stale.target, "{entry:?} instead of {stale:?}");
        }
    }
    assert!(leases > 0, "a stale entry was answered twenty times, and never with a lease");
}

/// A fresh entry is answered by `peek`, where it answers at all, as by `get`.
pub async fn peek_answers_what_get_does(cache: &CacheHandle) {
    let code = code("a");
    let now = now();
    let entry = fresh(Some(target(7)), now);
    assert_eq!(cache.peek(code.as_str(), now), None, "an empty cache");
    held(cache, &code, entry.clone()).await;
    for _ in 0..10 {
        if let Some(found) = cache.peek(code.as_str(), self::now()) {
            assert_eq!(found.target, entry.target);
        }
    }
    assert_eq!(cache.peek("nobody", self::now()), None);
}

/// Ten thousand codes are none too many for one call, and each has its own answer or none.
pub async fn ten_thousand_codes_in_one_call(cache: &CacheHandle) {
    let keys: Vec<_> = (0..10_000).map(|n| code(&format!("n{n}"))).collect();
    let found = cache.get(&keys, now()).await.unwrap();
    assert_eq!(found.len(), keys.len(), "one answer for each code");
    let now = now();
    let fills: Vec<_> = found
        .into_iter()
        .enumerate()
        .filter_map(|(n, lookup)| Some((lookup.lease?, living(Some(target(n as u64)), now))))
        .collect();
    let count = fills.len();
    assert_eq!(cache.fill(fills, now).await.unwrap().len(), count, "one answer for each fill");
    for (n, lookup) in cache.get(&keys, self::now()).await.unwrap().into_iter().enumerate() {
        if let Some(entry) = lookup.entry {
            assert_eq!(entry.target, Some(target(n as u64)), "{}", keys[n]);
        }
    }
    cache.invalidate(&keys).await.unwrap();
    let left = cache.get(&keys, self::now()).await.unwrap();
    assert!(left.iter().all(|lookup| lookup.entry.is_none()), "an entry outlived its invalidation");
}
