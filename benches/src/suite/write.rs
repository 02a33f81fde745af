//! Links made and changed.

use linkly_core::{Code, Link, LinkPatch, Linkly, NewLink};

use super::seed::url;
use super::{RawStore, SEED, Suite, timed};
use crate::{Codes, Shape};

/// Links of one bulk.
const BULK: usize = 1_000;

impl Suite {
    pub(super) fn writes(&mut self, linkly: &Linkly, raw: &impl RawStore) {
        self.pair(
            "create",
            "one",
            1,
            async |places| {
                let links: Vec<Link> = places.map(|place| link(&format!("o{place}"))).collect();
                timed(async {
                    for link in links.chunks(1) {
                        raw.insert(link).await;
                    }
                })
                .await
            },
            async |places| {
                let links: Vec<NewLink> = places.map(|place| new(&format!("o{place}"))).collect();
                timed(async {
                    for link in links {
                        linkly.create(link).await.expect("the code is free");
                    }
                })
                .await
            },
        );
        self.pair(
            "create",
            "1,000",
            BULK as u64,
            async |places| {
                let bulks: Vec<Vec<Link>> =
                    places.map(|place| bulk(place).iter().map(|code| link(code)).collect()).collect();
                timed(async {
                    for links in &bulks {
                        raw.insert(links).await;
                    }
                })
                .await
            },
            async |places| {
                let bulks: Vec<Vec<NewLink>> =
                    places.map(|place| bulk(place).iter().map(|code| new(code)).collect()).collect();
                timed(async {
                    for links in bulks {
                        let made = linkly.create_many(links).await.expect("the store writes");
                        assert!(made.iter().all(Result::is_ok));
                    }
                })
                .await
            },
        );
        let codes = Codes::drawn(self.sizes.links, Shape::Uniform, SEED);
        self.pair(
            "update",
            "one",
            1,
            async |places| {
                timed(async {
                    for place in places {
                        raw.update(codes.get(place), &url(&place.to_string())).await;
                    }
                })
                .await
            },
            async |places| {
                timed(async {
                    for place in places {
                        let patch = LinkPatch::new().with_url(url(&place.to_string()));
                        linkly.update(codes.get(place), patch).await.expect("the link is there");
                    }
                })
                .await
            },
        );
    }
}

/// The codes of a bulk.
fn bulk(place: usize) -> Vec<String> {
    (0..BULK).map(|i| format!("b{place}-{i}")).collect()
}

fn new(code: &str) -> NewLink {
    NewLink::new(url(code)).with_code(code)
}

fn link(code: &str) -> Link {
    Link::new(Code::new(code).expect("it is a code"), url(code), linkly_core::chrono::Utc::now())
}
