//! Codes, targets and ticks that the cases are about, and what a cache is asked often. A cache may
//! forget whatever it likes, so nothing here counts on an entry being there.

use std::time::Duration;

use linkly_core::{CacheExt, Clock, Code, Entry, Filled, Lease, SystemClock, Target, TargetParts, Tick, Uuid};

use crate::CacheHandle;
pub(crate) use crate::samples::code;

/// The tick of this moment: a cache on a server counts real time.
pub(crate) fn now() -> Tick {
    SystemClock.tick()
}

pub(crate) fn codes<const N: usize>(texts: [&str; N]) -> Vec<Code> {
    texts.map(code).into()
}

/// The target of a version, which stands in its URL.
pub(crate) fn target(version: u64) -> Target {
    Target::new(TargetParts::new(Uuid::from_u128(7), format!("https://example.com/{version}")))
}

pub(crate) fn version_of(target: &Target) -> u64 {
    target.url().rsplit('/').next().and_then(|text| text.parse().ok()).expect("a version in the URL")
}

/// An entry that outlives its case: fresh for ten minutes, served for twenty.
pub(crate) fn living(target: Option<Target>, now: Tick) -> Entry {
    Entry::new(target, now.after(Duration::from_secs(600)), now.after(Duration::from_secs(1_200)))
}

/// An entry that is fresh for as long as it lives: ten minutes.
pub(crate) fn fresh(target: Option<Target>, now: Tick) -> Entry {
    Entry::new(target, now.after(Duration::from_secs(600)), now.after(Duration::from_secs(600)))
}

/// A lease on a code that is missing or stale. A cache may answer without one at the moment, not
/// for ever.
pub(crate) async fn lease(cache: &CacheHandle, code: &Code) -> Lease {
    for _ in 0..1_000 {
        let found = cache.get_one(code, now()).await.expect("get");
        if let Some(lease) = found.lease {
            return lease;
        }
        assert!(
            found.entry.is_none_or(|entry| !entry.is_fresh(now())),
            "{code} is fresh: this case cannot want a lease"
        );
        tokio::task::yield_now().await;
    }
    panic!("{code} is missing, and a thousand times no lease was given");
}

/// Stores an entry where there is none; whether it was kept.
pub(crate) async fn held(cache: &CacheHandle, code: &Code, entry: Entry) -> bool {
    for _ in 0..100 {
        let found = cache.get_one(code, now()).await.expect("get");
        if let Some(found) = found.entry {
            assert_eq!(found.target, entry.target, "{code} was another's");
            return true;
        }
        let Some(lease) = found.lease else { continue };
        let filled = cache.fill_one(lease, entry.clone(), now()).await.expect("fill");
        if filled == Filled::Filled && cache.get_one(code, now()).await.expect("get").entry.is_some() {
            return true;
        }
    }
    false
}

/// What `peek` and `get`, alone and among others, answer of a code now.
pub(crate) async fn answered(cache: &CacheHandle, code: &Code) -> Vec<Entry> {
    let mut entries: Vec<_> = cache.peek(code.as_str(), now()).into_iter().collect();
    let nobody = self::code("nobody-asks-for-this");
    let found = cache.get(&[nobody, code.clone(), code.clone()], now()).await.expect("get");
    assert_eq!(found.len(), 3, "one answer for each code");
    entries.extend(found.into_iter().filter_map(|lookup| lookup.entry));
    entries.extend(cache.peek(code.as_str(), now()));
    entries
}

/// Checks that what is answered of a code is `entry`, with no longer a life.
pub(crate) async fn expect_answers(cache: &CacheHandle, code: &Code, entry: &Entry) {
    let asked_at = now();
    for found in
        cache.peek(code.as_str(), asked_at).into_iter().chain(cache.get_one(code, asked_at).await.expect("get").entry)
    {
        assert_eq!(found.target, entry.target);
        let most = entry.serve_until.after(cache.slack());
        assert!(found.serve_until <= most, "served until {:?}, given {:?}", found.serve_until, entry.serve_until);
        let most = entry.fresh_until.after(cache.slack());
        assert!(found.fresh_until <= most, "fresh until {:?}, given {:?}", found.fresh_until, entry.fresh_until);
        assert!(asked_at < found.serve_until, "answered past its time: {found:?} at {asked_at:?}");
    }
}

/// Returns when the life of what ends at `end` is over, also for a cache that is late by its slack.
///
/// A cache with a slack has its time counted by a server, whose clock no case can inject: for it, and
/// for a server's change log, alone is time slept for. All others are told the tick, and need only
/// the clock to have come there.
pub(crate) async fn wait_until_over(cache: &CacheHandle, end: Tick) {
    let over = end.after(cache.slack());
    while now() < over {
        if cache.slack().is_zero() {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
