//! What is there before anything is measured.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Click, ClickSink, Code, Link, Linkly, Maintenance, NewLink};

use super::{RawStore, SEED, Suite};
use crate::Codes;

/// The link whose statistics are read. No code of the others has letters.
pub(super) const HOT: &str = "hot";

/// Links, and clicks, of one call.
const BATCH: usize = 1_000;

/// The time of the first click of all.
pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap_or_default()
}

/// Where a seeded code leads.
pub(super) fn url(code: &str) -> String {
    format!("https://iii.dev/where/it/leads/{code}")
}

/// The links of a run, in the order they are made.
fn links(count: usize) -> Vec<String> {
    let mut codes = vec![HOT.to_owned()];
    codes.extend(Codes::all(count, SEED));
    codes
}

/// The clicks of the link whose statistics are read: one every half minute, so a million of them lie in 8,300 hours.
fn clicks(count: usize) -> impl Iterator<Item = Vec<Click>> {
    let hot = Code::new(HOT).expect("it is a code");
    (0..count).step_by(BATCH).map(move |first| {
        let click = |i: usize| Click::new(hot.clone(), start() + TimeDelta::seconds(30 * i as i64));
        (first..count.min(first + BATCH)).map(click).collect()
    })
}

impl Suite {
    /// Puts the links of a run into a store, and the clicks of one of them.
    pub fn seed(&self, linkly: &Linkly) {
        self.block_on(async {
            for codes in links(self.sizes.links).chunks(BATCH) {
                create(linkly, codes).await;
            }
            for clicks in clicks(self.sizes.clicks) {
                linkly.store().record(&clicks).await.expect("the store writes");
            }
            linkly.store().optimize().await.expect("the store is in order");
        });
    }

    /// The same for a raw store that cannot copy it.
    pub fn seed_raw(&self, raw: &impl RawStore) {
        let link = |code: &String| Link::new(Code::new(code).expect("it is a code"), url(code), start());
        self.block_on(async {
            for codes in links(self.sizes.links).chunks(BATCH) {
                raw.insert(&codes.iter().map(link).collect::<Vec<_>>()).await;
            }
            for clicks in clicks(self.sizes.clicks) {
                raw.record(&clicks).await;
            }
        });
    }
}

/// Makes a link of each code.
pub(super) async fn create(linkly: &Linkly, codes: &[String]) {
    let new = |code: &String| NewLink::new(url(code)).with_code(code);
    for made in linkly.create_many(codes.iter().map(new).collect()).await.expect("the store writes") {
        made.expect("the code is free");
    }
}
