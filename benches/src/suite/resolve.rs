//! Codes that no cache holds.

use std::ops::Range;
use std::sync::Arc;

use linkly_core::{Linkly, Resolution};

use super::{RawStore, SEED, Suite, TASKS, timed};
use crate::{Codes, Shape};

/// Codes that one place of a slice stands for, where many tasks ask.
const CODES: usize = 16 * TASKS;

impl Suite {
    pub(super) fn misses(&mut self, linkly: &Linkly, raw: &impl RawStore) {
        let uniform = Arc::new(Codes::drawn(self.sizes.links, Shape::Uniform, SEED));
        let zipf = Arc::new(Codes::drawn(self.sizes.links, Shape::Zipf, SEED));
        self.pair(
            "resolve",
            "miss",
            1,
            async |places| {
                let asked: Vec<&str> = places.map(|i| uniform.get(i)).collect();
                timed(async { assert_eq!(raw.look_up(&asked).await, asked.len()) }).await
            },
            async |places| timed(resolve_on_tasks(linkly, &uniform, 1, places)).await,
        );
        for (shape, codes) in [("uniform", &uniform), ("zipf", &zipf)] {
            self.pair(
                "resolve",
                &format!("miss, 64 tasks, {shape}"),
                CODES as u64,
                async |places| {
                    let asked: Vec<&str> = codes_of(&places).map(|i| codes.get(i)).collect();
                    timed(async {
                        for asked in asked.chunks(TASKS) {
                            assert!(raw.look_up_many(asked).await > 0);
                        }
                    })
                    .await
                },
                async |places| timed(resolve_on_tasks(linkly, codes, TASKS, codes_of(&places))).await,
            );
        }
        self.pair(
            "resolve",
            "absent",
            1,
            async |places| {
                let absent: Vec<String> = places.map(absent).collect();
                let asked: Vec<&str> = absent.iter().map(String::as_str).collect();
                timed(async { assert_eq!(raw.look_up(&asked).await, 0) }).await
            },
            async |places| {
                let absent: Vec<String> = places.map(absent).collect();
                timed(async {
                    for code in &absent {
                        let found = linkly.resolve(code).await.expect("the store answers");
                        assert!(matches!(found, Resolution::NotFound), "{code}");
                    }
                })
                .await
            },
        );
    }
}

fn codes_of(places: &Range<usize>) -> Range<usize> {
    places.start * CODES..places.end * CODES
}

fn absent(place: usize) -> String {
    format!("x{place}")
}

/// Lets so many tasks resolve the codes at these places, each asking for one after the other.
pub(super) async fn resolve_on_tasks(linkly: &Linkly, codes: &Arc<Codes>, tasks: usize, places: Range<usize>) {
    let running: Vec<_> = (0..tasks)
        .map(|task| {
            let (linkly, codes, places) = (linkly.clone(), codes.clone(), places.clone());
            tokio::spawn(async move {
                for i in (places.start + task..places.end).step_by(tasks) {
                    let found = linkly.resolve(codes.get(i)).await.expect("the store answers");
                    assert!(matches!(found, Resolution::Found(_)), "{}", codes.get(i));
                }
            })
        })
        .collect();
    for task in running {
        task.await.expect("no task panics");
    }
}
