//! [`LinkStore::targets`](linkly_core::LinkStore::targets) and
//! [`LinkStore::get`](linkly_core::LinkStore::get).

use linkly_core::chrono::{TimeDelta, Utc};
use linkly_core::{Code, Delete, Link, LinkStoreExt, Target};

use crate::Handles;
use crate::asked::{insert_all, totals};
use crate::samples::{click, code, code_in, codes_of, full_link, link, link_to, links};

/// The links of a call stand in the order of its codes, also for unknown ones and what is asked
/// twice.
pub async fn links_stand_in_order_with_duplicates_and_unknown_codes(store: &Handles) {
    let (codes, expected) = shuffled(store).await;
    let found = store.get(&codes).await.unwrap();
    assert_eq!(found, expected);
}

/// The targets of a call stand in the order of its codes, also for unknown ones and what is asked
/// twice.
pub async fn targets_stand_in_order_with_duplicates_and_unknown_codes(store: &Handles) {
    let (codes, expected) = shuffled(store).await;
    let expected: Vec<_> = expected.iter().map(|link| link.as_ref().map(Target::from)).collect();
    assert_eq!(store.targets(&codes).await.unwrap(), expected);
}

/// Codes with what is to be found of them.
async fn shuffled(store: &Handles) -> (Vec<Code>, Vec<Option<Link>>) {
    let all = links("n", 20);
    insert_all(&**store, &all).await;
    let mut codes = Vec::new();
    let mut expected = Vec::new();
    for n in [7, 99, 0, 7, 19, 50, 99, 0, 0, 13, 1] {
        codes.push(code(&format!("n{n:05}")));
        expected.push(all.get(n).cloned());
    }
    (codes, expected)
}

/// A target is that of its link, in every part.
pub async fn a_target_is_that_of_its_link(store: &Handles) {
    let mut timed = link("timed");
    timed.expires_at = Some(timed.created_at + TimeDelta::milliseconds(1));
    let mut limited = link("limited");
    limited.max_clicks = Some(1);
    let all = [full_link("full"), link("bare"), timed, limited, link_to(code_in("go.acme.com", "inside"))];
    insert_all(&**store, &all).await;
    for (link, target) in all.iter().zip(store.targets(&codes_of(&all)).await.unwrap()) {
        assert_eq!(target, Some(Target::from(link)));
    }
}

/// A link that has expired and one that is not active yet are read like any other.
pub async fn expired_links_and_links_not_active_yet_are_live(store: &Handles) {
    let (mut expired, mut pending) = (link("expired"), link("pending"));
    expired.expires_at = Some(linkly_core::whole_millis(Utc::now() - TimeDelta::days(30)));
    pending.active_from = Some(linkly_core::whole_millis(Utc::now() + TimeDelta::days(30)));
    let all = [expired, pending];
    insert_all(&**store, &all).await;
    for link in &all {
        assert_eq!(store.get_one(&link.code).await.unwrap().as_ref(), Some(link));
        assert_eq!(store.target(&link.code).await.unwrap(), Some(Target::from(link)));
    }
}

/// The same code without a domain and in two domains is three links.
pub async fn a_code_in_a_domain_is_another_than_without(store: &Handles) {
    let keys = [code("same"), code_in("a.example", "same"), code_in("b.example", "same")];
    let all: Vec<_> = keys.into_iter().map(link_to).collect();
    insert_all(&**store, &all[..2]).await;
    assert_eq!(store.get_one(&all[2].code).await.unwrap(), None);
    insert_all(&**store, &all[2..]).await;
    for link in &all {
        assert_eq!(store.get_one(&link.code).await.unwrap().as_ref(), Some(link));
    }
}

/// What was written through one handle is what the next read through another finds.
pub async fn a_write_that_returned_is_seen_through_any_handle(store: &Handles) {
    for n in 0..50 {
        let mut link = link(&format!("n{n}"));
        insert_all(&**store, std::slice::from_ref(&link)).await;
        assert_eq!(store.other().get_one(&link.code).await.unwrap().as_ref(), Some(&link), "an insert");
        link.url = format!("https://example.com/changed/{n}");
        store.other().update_one(&link).await.unwrap();
        link.version = 2;
        assert_eq!(store.get_one(&link.code).await.unwrap().as_ref(), Some(&link), "an update");
        assert_eq!(store.target(&link.code).await.unwrap(), Some(Target::from(&link)), "an update");
        store.record(&[click(link.code.as_str(), link.created_at)]).await.unwrap();
        let total = totals(store.other(), std::slice::from_ref(&link.code)).await[0];
        assert_eq!(total.clicks, 1, "a click");
        store.delete_one(Delete::new(link.code.clone(), link.id)).await.unwrap();
        assert_eq!(store.other().target(&link.code).await.unwrap(), None, "a delete");
    }
}
