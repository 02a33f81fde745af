//! Hits: codes that the cache holds.

use std::sync::Arc;
use std::time::Duration;

use linkly_core::{Cache, Config, Linkly, MemoryStore};

use super::resolve::resolve_on_tasks;
use super::seed::create;
use super::{RawCache, SEED, Suite, TASKS, timed};
use crate::{Codes, Shape};

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
                let of = |places: std::ops::Range<usize>| places.start * tasks..places.end * tasks;
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
}
