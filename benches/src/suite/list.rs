//! A page deep in all links.

use linkly_core::{Linkly, ListLinks, Scope, Uuid};

use super::{RawStore, Suite, timed};

/// Links of a page.
const PAGE: u32 = 50;

/// The query for one page of links, the newest first.
pub fn page_of(limit: u32) -> ListLinks {
    ListLinks::new(Scope::Plain).with_limit(limit)
}

impl Suite {
    pub(super) fn lists(&mut self, linkly: &Linkly, raw: &impl RawStore) {
        let (before, deep) = self.block_on(half_way(linkly, self.sizes.links));
        self.pair(
            "list",
            "50 links, half way down",
            1,
            async |places| {
                timed(async {
                    for _ in places {
                        assert_eq!(raw.list(before, PAGE).await, PAGE as usize);
                    }
                })
                .await
            },
            async |places| {
                timed(async {
                    for _ in places {
                        let page = linkly.list(&deep).await.expect("the store answers");
                        assert_eq!(page.items.len(), PAGE as usize);
                    }
                })
                .await
            },
        );
    }
}

/// The id of a link that half of all lie behind, and the query for the page behind it.
async fn half_way(linkly: &Linkly, links: usize) -> (Uuid, ListLinks) {
    let (mut after, mut seen) = (None, 0);
    loop {
        let page = linkly.list(&page_of(1_000).with_after(after)).await.expect("the store answers");
        seen += page.items.len();
        if seen >= links / 2 {
            let last = page.items.last().expect("a page has links").id;
            return (last, page_of(PAGE).with_after(page.next));
        }
        after = page.next;
    }
}
