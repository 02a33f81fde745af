//! [`LinkStore::list`](linkly_core::LinkStore::list): pages.

use std::collections::BTreeSet;

use linkly_core::chrono::TimeDelta;
use linkly_core::{Code, Cursor, Delete, Error, Link, LinkStoreExt, ListLinks, Order, Scope};
use rand::RngExt;
use rand::seq::SliceRandom;

use crate::Handles;
use crate::asked::{all_links, insert_all};
use crate::samples::{code, code_in, domain, link, link_to, links, seeded, start};

const ORDERS: [Order; 2] = [Order::Newest, Order::Code];

/// Hosts of which one's name begins with another's, or sorts right beside it.
const HOSTS: [&str; 5] = ["acme.com", "acme.com.au", "acme.co", "go.acme.com", "acme.com-x"];

/// Codes that sort before, at and behind `/`.
const CODES: [&str; 9] = ["-", "a", "a-b", "a.b", "a/b", "a0", "ab", "z", "~"];

/// What a query without a limit is to find.
fn expected(links: &[Link], query: &ListLinks) -> Vec<Link> {
    let mut found: Vec<_> = links.iter().filter(|link| query.scope.contains(&link.code)).cloned().collect();
    match query.order {
        Order::Newest => found.sort_by_key(|link| std::cmp::Reverse(link.id)),
        Order::Code => found.sort_by(|a, b| a.code.as_str().as_bytes().cmp(b.code.as_str().as_bytes())),
    }
    found
}

/// Links in all scopes, inserted in no order.
async fn in_all_scopes(store: &Handles) -> Vec<Link> {
    let mut keys: Vec<Code> = CODES.iter().map(|text| code(text)).collect();
    // Without a domain, and yet beside the keys of domains.
    keys.extend(["acme.com", "acme.com/a", "acme.com0"].map(code));
    keys.extend(HOSTS.iter().flat_map(|host| CODES.iter().map(|text| code_in(host, text))));
    let mut rng = seeded(1);
    keys.shuffle(&mut rng);
    let links: Vec<_> = keys
        .into_iter()
        .enumerate()
        .map(|(n, key)| Link::new(key, "https://example.com", start() + TimeDelta::milliseconds(n as i64)))
        .collect();
    let mut shuffled = links.clone();
    shuffled.shuffle(&mut rng);
    insert_all(&**store, &shuffled).await;
    links
}

fn scopes() -> Vec<Scope> {
    let domains = HOSTS.iter().map(|host| Scope::Domain(domain(host)));
    [Scope::Plain, Scope::All, Scope::Domain(domain("empty.example"))].into_iter().chain(domains).collect()
}

/// Pages of any size hold the links of their scope, all and no others, in their order.
pub async fn pages_hold_the_links_of_each_scope_in_each_order(store: &Handles) {
    let links = in_all_scopes(store).await;
    for scope in scopes() {
        for order in ORDERS {
            for limit in [2, 7, 1_000] {
                let query = ListLinks::new(scope.clone()).with_order(order).with_limit(limit);
                let found: Vec<_> = all_links(&**store, &query).await;
                assert_eq!(codes(&found), codes(&expected(&links, &query)), "{scope:?}, {order:?}, {limit} a page");
            }
        }
    }
}

/// Whole links stand in a page, as `get` gives them.
pub async fn a_page_holds_whole_links(store: &Handles) {
    let links = [crate::samples::full_link("full"), link("bare"), link_to(code_in("acme.com", "inside"))];
    insert_all(&**store, &links).await;
    for order in ORDERS {
        let query = ListLinks::new(Scope::All).with_order(order);
        assert_eq!(all_links(&**store, &query).await, expected(&links, &query));
    }
}

/// A full last page is the last, and an empty table has one empty page.
pub async fn the_last_page_leads_nowhere(store: &Handles) {
    for order in ORDERS {
        let page = store.list(&ListLinks::new(Scope::All).with_order(order)).await.unwrap();
        assert_eq!((page.items.len(), page.next), (0, None), "an empty table");
    }
    insert_all(&**store, &links("n", 6)).await;
    for order in ORDERS {
        let query = ListLinks::new(Scope::All).with_order(order).with_limit(3);
        let first = store.list(&query).await.unwrap();
        let second = store.list(&query.with_after(first.next)).await.unwrap();
        assert_eq!((second.items.len(), second.next), (3, None), "the second of two full pages");
    }
}

/// Links that are there all the while are met exactly once, while others are inserted and deleted
/// before, behind and at the cursor.
pub async fn paging_meets_every_link_once_while_others_come_and_go(store: &Handles) {
    for (round, order) in ORDERS.into_iter().enumerate() {
        let mut rng = seeded(round as u64);
        let mut keys: Vec<_> = (0..400).map(|n| format!("r{round}-{n:03}")).collect();
        keys.shuffle(&mut rng);
        let make = |text: &String, n: usize| {
            Link::new(code(text), "https://example.com", start() + TimeDelta::milliseconds(n as i64))
        };
        let stay: Vec<_> = keys[..120].iter().enumerate().map(|(n, text)| make(text, n * 3)).collect();
        let mut go: Vec<_> = keys[120..240].iter().enumerate().map(|(n, text)| make(text, n * 3 + 1)).collect();
        let mut come: Vec<_> = keys[240..].iter().enumerate().map(|(n, text)| make(text, n * 3 + 2)).collect();
        insert_all(&**store, &stay).await;
        insert_all(&**store, &go).await;
        let mut query = ListLinks::new(Scope::Plain).with_order(order).with_limit(7);
        let mut met = Vec::new();
        loop {
            let page = store.list(&query).await.unwrap();
            met.extend(page.items.iter().map(|link| link.code.clone()));
            let Some(next) = page.next else { break };
            query.after = Some(next);
            // The last link of this page goes too, if it may: the cursor stands on a deleted one then.
            let at_cursor = page.items.last().and_then(|last| go.iter().position(|link| link.id == last.id));
            for at in [at_cursor, Some(rng.random_range(0..go.len().max(1)))].into_iter().flatten() {
                if at < go.len() {
                    let gone = go.swap_remove(at);
                    let release = rng.random_bool(0.5);
                    let delete = Delete::new(gone.code, gone.id);
                    store.delete_one(if release { delete.with_release() } else { delete }).await.unwrap();
                }
            }
            if let Some(new) = come.pop() {
                insert_all(store.other(), &[new]).await;
            }
        }
        let once: BTreeSet<_> = met.iter().collect();
        assert_eq!(once.len(), met.len(), "{order:?}: a link was met twice");
        for link in &stay {
            assert!(once.contains(&link.code), "{order:?}: {} was there all the while and was not met", link.code);
        }
    }
}

/// A cursor belongs to its order.
pub async fn a_cursor_of_another_order_is_an_invalid_input(store: &Handles) {
    insert_all(&**store, &links("n", 4)).await;
    for (order, other) in [(Order::Newest, Order::Code), (Order::Code, Order::Newest)] {
        let query = ListLinks::new(Scope::All).with_order(order).with_limit(2);
        let page = store.list(&query).await.unwrap();
        assert_invalid_cursor(store, &query.with_order(other).with_after(page.next)).await;
    }
}

/// A text that no store wrote is no cursor.
pub async fn a_text_that_is_no_cursor_is_an_invalid_input(store: &Handles) {
    insert_all(&**store, &links("n", 4)).await;
    for order in ORDERS {
        for text in ["", " ", "x", "0", "-1", "n00001", "' OR 1=1 --", "🦀", "\0", "{}", "AAAA", "///", "null"] {
            let query = ListLinks::new(Scope::All).with_order(order).with_after(Some(Cursor::new(text)));
            assert_invalid_cursor(store, &query).await;
        }
    }
}

async fn assert_invalid_cursor(store: &Handles, query: &ListLinks) {
    match store.list(query).await {
        Err(Error::InvalidInput { .. }) => {}
        other => panic!("{query:?}: expected an invalid input, found {other:?}"),
    }
}

fn codes(links: &[Link]) -> Vec<&str> {
    links.iter().map(|link| link.code.as_str()).collect()
}

/// A limit that was set by hand to what no page can hold is clamped.
pub async fn a_limit_out_of_range_is_clamped(store: &Handles) {
    insert_all(&**store, &links("n", 1_001)).await;
    for order in ORDERS {
        let mut query = ListLinks::new(Scope::All).with_order(order);
        for (limit, expected) in [(0, 1), (u32::MAX, 1_000)] {
            query.limit = limit;
            let page = store.list(&query).await.unwrap();
            assert_eq!((page.items.len(), page.next.is_some()), (expected, true), "a limit of {limit}");
        }
    }
}
