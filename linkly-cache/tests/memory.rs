//! What the cache in process does beyond the contract of caches.

#![cfg(feature = "memory")]

use linkly_cache::MemoryCache;
use linkly_core::{Cache, CacheExt, Code, Entry, Filled, Target, TargetParts, Tick, Uuid};

const NOW: Tick = Tick::from_millis(1_000);

fn code(number: usize) -> Code {
    Code::new(&format!("code{number}")).unwrap()
}

fn link(version: u128) -> Entry {
    Entry::new(Some(Target::new(TargetParts::new(Uuid::from_u128(version), "https://iii.dev"))), Tick::MAX, Tick::MAX)
}

fn absence() -> Entry {
    Entry::new(None, Tick::MAX, Tick::MAX)
}

/// Stale at once, served for ever.
fn stale(entry: Entry) -> Entry {
    Entry::new(entry.target, Tick::default(), Tick::MAX)
}

async fn fill(cache: &MemoryCache, code: &Code, entry: Entry) -> Filled {
    let lease = cache.get_one(code, NOW).await.unwrap().lease.expect("missing or stale");
    cache.fill_one(lease, entry, NOW).await.unwrap()
}

#[tokio::test]
async fn what_is_filled_is_held_while_there_is_room() {
    let cache = MemoryCache::new();
    for number in 0..1_000 {
        fill(&cache, &code(number), link(number as u128)).await;
    }
    for number in 0..1_000 {
        assert_eq!(cache.peek(code(number).as_str(), NOW), Some(link(number as u128)));
    }
    assert_eq!((cache.len(), cache.absences(), cache.weight()), (1_000, 0, 1_000));
}

#[tokio::test]
async fn a_scan_for_codes_that_do_not_exist_pushes_out_no_link() {
    let cache = MemoryCache::builder().capacity(100).build();
    for number in 0..50 {
        fill(&cache, &code(number), link(0)).await;
    }
    for number in 1_000..5_000 {
        fill(&cache, &code(number), absence()).await;
    }
    assert_eq!((cache.len(), cache.absences()), (50, 10));
}

#[tokio::test]
async fn a_code_is_a_link_or_an_absence_and_never_both() {
    let cache = MemoryCache::new();
    for (entry, sizes) in [(link(1), (1, 0)), (absence(), (0, 1)), (link(2), (1, 0))] {
        fill(&cache, &code(1), stale(entry.clone())).await;
        assert_eq!(cache.peek("code1", NOW), Some(stale(entry)));
        assert_eq!((cache.len(), cache.absences()), sizes);
    }
}

#[tokio::test]
async fn an_entry_that_ended_while_it_was_loaded_takes_the_older_one_with_it() {
    let cache = MemoryCache::new();
    fill(&cache, &code(1), stale(link(1))).await;
    let ended = Entry::new(link(2).target, NOW, NOW);
    assert_eq!(fill(&cache, &code(1), ended).await, Filled::Filled);
    assert_eq!((cache.peek("code1", NOW), cache.len()), (None, 0));
}

#[tokio::test]
async fn a_lease_of_another_cache_is_voided() {
    let (cache, other) = (MemoryCache::new(), MemoryCache::new());
    let lease = other.get_one(&code(1), NOW).await.unwrap().lease.unwrap();
    assert_eq!(cache.fill_one(lease, link(1), NOW).await.unwrap(), Filled::Voided);
    assert!(cache.is_empty());
}

#[tokio::test]
async fn without_room_a_fill_is_filled_and_nothing_is_held() {
    let cache = MemoryCache::builder().capacity(0).absences(0).build();
    assert_eq!(fill(&cache, &code(1), link(1)).await, Filled::Filled);
    assert_eq!(fill(&cache, &code(1), absence()).await, Filled::Filled);
    assert_eq!((cache.len(), cache.absences()), (0, 0));
}

#[tokio::test]
async fn invalidating_a_code_removes_no_other() {
    let cache = MemoryCache::new();
    for number in 0..5_000 {
        fill(&cache, &code(number), link(0)).await;
    }
    cache.invalidate_one(&code(1)).await.unwrap();
    assert_eq!(cache.len(), 4_999);
}

#[tokio::test]
async fn debug_shows_sizes_and_no_links() {
    let cache = MemoryCache::new();
    fill(&cache, &code(1), link(1)).await;
    assert_eq!(format!("{cache:?}"), "MemoryCache { links: 1, absences: 0, weight: 1, .. }");
}
