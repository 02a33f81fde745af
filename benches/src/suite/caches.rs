//! Hits: codes that the cache holds.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Cache, Config, Linkly, MemoryStore, Resolution};

use super::resolve::resolve_on_tasks;
use super::seed::create;
use super::{RawCache, SEED, Suite, TASKS, timed};
use crate::raw_cache::nothing_of;
use crate::{Codes, QuickCache, Shape};

impl Suite {
    /// An engine with all links of a run in its cache, in front of a store in memory.
    pub fn behind(&self, cache: impl Cache) -> Linkly {
        self.block_on(async {
            // Of a cache elsewhere, which a busy machine holds up.
            let timeouts = Duration::from_secs(10);
            let hour = Duration::from_secs(3_600);
            let config = Config::default()
                .with_poll_changes(Duration::ZERO)
                .with_freshness(hour, hour)
                .with_timeouts(timeouts, timeouts, timeouts);
            let builder = Linkly::builder(MemoryStore::new()).cache(cache).config(config);
            let linkly = builder.start().await.expect("the engine starts");
            let codes = Codes::all(self.sizes.links, SEED);
            for codes in codes.chunks(1_000) {
                create(&linkly, codes).await;
            }
            let codes = Arc::new(codes);
            let load = |first: usize| {
                let (linkly, codes) = (linkly.clone(), codes.clone());
                tokio::spawn(async move {
                    for code in codes.iter().skip(first).step_by(TASKS) {
                        linkly.resolve(code).await.expect("the store answers");
                    }
                })
            };
            let loading: Vec<_> = (0..TASKS).map(load).collect();
            for task in loading {
                task.await.expect("no task panics");
            }
            linkly
        })
    }

    /// Everything that is asked of a cache which holds the links of a run.
    pub fn cache(&mut self, linkly: &Linkly, raw: &impl RawCache) {
        for shape in [Shape::Uniform, Shape::Zipf] {
            let codes = Arc::new(Codes::drawn(self.sizes.links, shape, SEED));
            for tasks in [1, 2, 8, 64] {
                let case = format!("hit, {shape}, {tasks}");
                // Each place stands for one code of each task.
                let of = |places: Range<usize>| places.start * tasks..places.end * tasks;
                self.pair(
                    "resolve",
                    &case,
                    tasks as u64,
                    async |places| timed(raw.look_up(&codes, of(places), tasks)).await,
                    async |places| timed(resolve_on_tasks(linkly, &codes, tasks, of(places))).await,
                );
            }
        }
    }

    /// Hits one after the other, as requests come: the code of the next is known once the answer before is there. Of
    /// look-ups that follow from nothing, as above, a processor begins the next while it waits for memory.
    pub fn cache_in_turn(&mut self, linkly: &Linkly, raw: &QuickCache) {
        for shape in [Shape::Uniform, Shape::Zipf] {
            let codes = Codes::drawn(self.sizes.links, shape, SEED);
            self.pair(
                "resolve",
                &format!("hit, {shape}, in turn"),
                1,
                async |places| timed(async { raw.look_up_in_turn(&codes, places) }).await,
                async |places| timed(resolve_in_turn(linkly, &codes, places)).await,
            );
        }
    }
}

async fn resolve_in_turn(linkly: &Linkly, codes: &Codes, places: Range<usize>) {
    let mut answered = 0;
    for i in places {
        let found = linkly.resolve(codes.get(i + answered)).await.expect("the cache answers");
        let Resolution::Found(target) = found else { panic!("{} is not there", codes.get(i)) };
        answered = nothing_of(&target);
    }
}
