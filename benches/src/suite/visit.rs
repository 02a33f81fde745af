//! A visit from its code to its row: 1,000 redirects out of the cache, and their clicks in the store.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkly_cache::MemoryCache;
use linkly_core::{Config, Linkly, Store, Visit, VisitContext};
use quick_cache::sync::Cache;

use super::record::batch;
use super::{RawStore, SEED, Suite, timed};
use crate::{Codes, Shape};

const VISITS: usize = 1_000;
const REFERRER: &str = "https://news.ycombinator.com/item?id=1";
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

impl Suite {
    pub(super) fn visits(&mut self, store: &Arc<dyn Store>, raw: &impl RawStore) {
        // Few enough that a short run has all of them in its cache.
        let links = self.sizes.links.min(10_000);
        let codes = Codes::drawn(links, Shape::Zipf, SEED);
        let near: Cache<String, Arc<str>> = Cache::new(2 * links);
        let linkly = self.block_on(async {
            let hour = Duration::from_secs(3_600);
            let config = Config::default().with_poll_changes(Duration::ZERO).with_freshness(hour, hour);
            let builder = Linkly::builder(store.clone()).cache(MemoryCache::new()).config(config);
            let linkly = builder.start().await.expect("the engine starts");
            for i in 0..links {
                let code = Codes::nth(i);
                linkly.resolve(&code).await.expect("the store answers");
                near.insert(code.clone(), super::seed::url(&code).into());
            }
            linkly
        });
        self.pair(
            "visit",
            "to its row",
            VISITS as u64,
            async |places| {
                let mut took = Duration::ZERO;
                for place in places {
                    let clicks = batch(&codes, place, VISITS);
                    let start = Instant::now();
                    assert!(clicks.iter().all(|click| black_box(near.get(click.code.as_str())).is_some()));
                    took += start.elapsed() + raw.record(&clicks).await;
                }
                took
            },
            async |places| {
                let context = VisitContext::new().with_referrer(Some(REFERRER)).with_user_agent(Some(USER_AGENT));
                timed(async {
                    for place in places.start * VISITS..places.end * VISITS {
                        let visit = linkly.visit(codes.get(place), &context).await.expect("the click has room");
                        assert!(matches!(visit, Visit::Redirect { .. }));
                    }
                    linkly.flush().await.expect("the recorder runs");
                })
                .await
            },
        );
    }
}
