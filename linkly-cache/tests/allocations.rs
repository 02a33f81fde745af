//! What a hit allocates, and what a link costs.

#![cfg(feature = "memory")]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use linkly_cache::MemoryCache;
use linkly_core::{Cache, CacheExt, Code, Entry, Target, TargetParts, Tick, Uuid};

const NOW: Tick = Tick::from_millis(1_000);
const LINKS: usize = 100_000;

fn code(number: usize) -> Code {
    Code::new(&format!("{number:07}")).unwrap()
}

fn link(number: usize) -> Entry {
    let url = format!("https://iii.dev/a/path/of/some/length/{number:07}");
    let target = Target::new(TargetParts::new(Uuid::from_u128(number as u128), url));
    Entry::new(Some(target), Tick::MAX, Tick::MAX)
}

fn absence() -> Entry {
    Entry::new(None, Tick::MAX, Tick::MAX)
}

/// Counting is by thread, and a cache in process never waits: so without a runtime.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a cache in process waited"),
    }
}

fn fill(cache: &dyn Cache, number: usize, entry: Entry) {
    let lease = ready(cache.get_one(&code(number), NOW)).unwrap().lease.unwrap();
    ready(cache.fill_one(lease, entry, NOW)).unwrap();
}

/// Bytes a link of `cache` takes beyond the text of its code and its URL, after `links` were filled.
fn bytes_beyond_text(cache: &MemoryCache, links: usize) -> usize {
    let text = 7 + link(0).target.unwrap().url().len();
    let counted = measure(|| {
        for number in 0..links {
            fill(cache, number, link(number));
        }
    });
    let held = cache.len();
    assert!(held > LINKS * 9 / 10, "{held} of {LINKS} links are held");
    (counted.bytes_current as usize).div_ceil(held) - text
}

#[test]
fn a_peek_allocates_nothing() {
    let cache: Arc<dyn Cache> = Arc::new(MemoryCache::new());
    fill(&*cache, 1, link(1));
    fill(&*cache, 2, absence());
    let (mut hit, mut absent, mut miss) = (None, None, None);
    let counted = measure(|| {
        hit = cache.peek("0000001", NOW);
        absent = cache.peek("0000002", NOW);
        miss = cache.peek("0000003", NOW);
    });
    assert_eq!((hit, absent, miss), (Some(link(1)), Some(absence()), None));
    assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
}

#[test]
fn a_link_costs_little_beyond_its_text() {
    let roomy = bytes_beyond_text(&MemoryCache::builder().capacity(2 * LINKS).build(), LINKS);
    let full = bytes_beyond_text(&MemoryCache::new(), 2 * LINKS);
    println!("{roomy} bytes a link with room, {full} when full");
    assert!(roomy <= 160, "{roomy} bytes a link with room");
    assert!(full <= 176, "{full} bytes a link when full");
}

#[test]
fn a_capacity_in_bytes_is_what_is_taken_within_a_tenth() {
    const BYTES: u64 = 16 << 20;
    for path in [1, 25, 50, 100, 200, 1_000] {
        let cache = MemoryCache::builder().capacity_bytes(BYTES).absences(0).build();
        let counted = measure(|| {
            for number in 0..2 * BYTES as usize / (200 + path) {
                let url = format!("https://iii.dev/{}", "x".repeat(path));
                let target = Target::new(TargetParts::new(Uuid::from_u128(number as u128), url));
                fill(&cache, number, Entry::new(Some(target), Tick::MAX, Tick::MAX));
            }
        });
        let (weight, taken) = (cache.weight(), counted.bytes_current as u64);
        println!("paths of {path} bytes: {} links weigh {weight} and take {taken}", cache.len());
        assert!(weight <= BYTES && weight > BYTES * 9 / 10, "{weight}");
        assert!(taken <= BYTES * 11 / 10 && taken > BYTES * 7 / 10, "{taken}");
    }
}
