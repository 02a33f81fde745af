//! Clicks recorded in batches.

use std::ops::Range;
use std::time::Duration;

use linkly_core::chrono::TimeDelta;
use linkly_core::{Click, ClickSink, Code};

use super::seed::start;
use super::{RawStore, SEED, Suite, timed};
use crate::{Codes, Shape};

impl Suite {
    pub(super) fn clicks(&mut self, sink: &impl ClickSink, raw: &impl RawStore) {
        let links = self.sizes.links;
        self.batches(links, sink, &async |clicks: &[Click]| raw.record(clicks).await);
    }

    /// Batches of one click, of 64 and of 1,000. The raw operation answers how long it took.
    pub fn batches(&mut self, links: usize, sink: &impl ClickSink, raw: &impl AsyncFn(&[Click]) -> Duration) {
        let cases =
            [(1, Shape::Uniform), (64, Shape::Uniform), (1_000, Shape::Uniform), (1_000, Shape::Zipf)].into_iter();
        for (size, shape) in cases {
            let codes = Codes::drawn(links, shape, SEED);
            let batches = |places: Range<usize>| places.map(|place| batch(&codes, place, size)).collect::<Vec<_>>();
            let case = if size == 1_000 { format!("1,000, {shape}") } else { size.to_string() };
            self.pair(
                "record",
                &case,
                size as u64,
                async |places| {
                    let mut took = Duration::ZERO;
                    for clicks in batches(places) {
                        took += raw(&clicks).await;
                    }
                    took
                },
                async |places| {
                    let batches = batches(places);
                    timed(async {
                        for clicks in &batches {
                            sink.record(clicks).await.expect("the sink writes");
                        }
                    })
                    .await
                },
            );
        }
    }
}

/// A batch of clicks, a millisecond after each other, with what a user agent tells.
pub fn batch(codes: &Codes, place: usize, size: usize) -> Vec<Click> {
    let click = |i: usize| {
        let code = Code::new(codes.get(i)).expect("it is a code");
        let mut click = Click::new(code, start() + TimeDelta::milliseconds(i as i64));
        click.referrer = Some("news.ycombinator.com".into());
        click.browser = Some("Firefox".into());
        click.os = Some("Linux".into());
        click.device = Some("pc".into());
        click
    };
    (place * size..(place + 1) * size).map(click).collect()
}
