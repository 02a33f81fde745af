//! The raw operation of a hit.

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use linkly_core::{Entry, Target, TargetParts, Tick, Uuid};
use quick_cache::UnitWeighter;
use quick_cache::sync::Cache;
use smol_str::SmolStr;

use crate::{Codes, RawCache};

type Entries = Cache<SmolStr, Entry, UnitWeighter, SeedableRandomState>;

/// quick_cache with the same types of key and value as the cache in memory, the same hasher and the same number of
/// links. It answers with a clone of the entry, as `peek` does.
pub struct QuickCache(Arc<Entries>);

impl QuickCache {
    /// One with the links of a run.
    pub fn filled(links: usize) -> Self {
        let hasher = SeedableRandomState::with_seed(1, SharedSeed::global_random());
        let entries = Entries::with(2 * links, 2 * links as u64, UnitWeighter, hasher, Default::default());
        for code in Codes::all(links, 1) {
            let target = TargetParts::new(Uuid::nil(), format!("https://iii.dev/where/it/leads/{code}"));
            entries.insert(code.into(), Entry::new(Some(Target::new(target)), Tick::MAX, Tick::MAX));
        }
        Self(Arc::new(entries))
    }

    /// Looks up the codes at these places, each once the answer before is there.
    pub fn look_up_in_turn(&self, codes: &Codes, places: Range<usize>) {
        let mut answered = 0;
        for i in places {
            let entry = self.0.get(codes.get(i + answered)).expect("all links are in it");
            answered = nothing_of(entry.target.as_ref().expect("it is no absence"));
        }
    }
}

/// 0, which is known only once the target is there.
pub(crate) fn nothing_of(target: &Target) -> usize {
    black_box(target.url().len()) >> 40
}

impl RawCache for QuickCache {
    async fn look_up(&self, codes: &Arc<Codes>, places: Range<usize>, tasks: usize) {
        let running: Vec<_> = (0..tasks)
            .map(|task| {
                let (entries, codes, places) = (self.0.clone(), codes.clone(), places.clone());
                tokio::spawn(async move {
                    for i in (places.start + task..places.end).step_by(tasks) {
                        assert!(black_box(entries.get(black_box(codes.get(i)))).is_some());
                    }
                })
            })
            .collect();
        for task in running {
            task.await.expect("no task panics");
        }
    }
}
