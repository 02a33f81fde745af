//! Calls that are sent again, as after an answer that was lost.

use linkly_core::{Delete, Deleted, Insert, ListLinks, Scope, Update};

use crate::Handles;
use crate::asked::{all_links, all_rows, insert_all, totals};
use crate::samples::{bot, click, code, codes_of, link, links, minutes, start};

/// An insert that is sent again answers as if it were the first, and changes nothing.
pub async fn an_insert_sent_again_answers_the_same(store: &Handles) {
    insert_all(&**store, &[link("taken")]).await;
    let mut call = links("n", 5);
    call.insert(2, link("taken"));
    call.push(link("n00000"));
    let first = store.insert(&call).await.unwrap();
    let state = all_links(&**store, &ListLinks::new(Scope::All)).await;
    assert_eq!(first.iter().filter(|answer| **answer == Insert::CodeTaken).count(), 2);
    for n in 0..3 {
        assert_eq!(store.nth(n).insert(&call).await.unwrap(), first);
        assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, state);
    }
}

/// An update that is sent again answers as if it were the first, and changes nothing.
pub async fn an_update_sent_again_answers_the_same(store: &Handles) {
    let mut call = links("n", 6);
    insert_all(&**store, &call[..5]).await;
    for link in &mut call {
        link.title = Some("changed".into());
        link.tags = vec!["x".into()];
    }
    call[1].version = 7;
    let first = store.update(&call).await.unwrap();
    let state = all_links(&**store, &ListLinks::new(Scope::All)).await;
    let updated = Update::Updated { version: 2 };
    assert_eq!(first, [updated, Update::Conflict, updated, updated, updated, Update::NotFound]);
    for n in 0..3 {
        assert_eq!(store.nth(n).update(&call).await.unwrap(), first);
        assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, state);
    }
}

/// A delete that is sent again answers as if it were the first, and changes nothing.
pub async fn a_delete_sent_again_answers_the_same(store: &Handles) {
    let all = links("n", 5);
    insert_all(&**store, &all).await;
    store.record(&codes_of(&all).iter().map(|code| click(code.as_str(), start())).collect::<Vec<_>>()).await.unwrap();
    let delete = |n: usize| Delete::new(all[n].code.clone(), all[n].id);
    let call = [
        delete(0),
        delete(1).with_version(9),
        delete(2).with_version(1),
        delete(3).with_version(1).with_release(),
        Delete::new(code("unknown"), all[4].id),
    ];
    let first = store.delete(&call).await.unwrap();
    use Deleted::{Conflict, Deleted as Done, NotFound};
    assert_eq!(first, [Done, Conflict, Done, Done, NotFound]);
    let state = all_links(&**store, &ListLinks::new(Scope::All)).await;
    let counts = totals(&**store, &codes_of(&all)).await;
    for n in 0..3 {
        assert_eq!(store.nth(n).delete(&call).await.unwrap(), first);
        assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, state);
        assert_eq!(totals(&**store, &codes_of(&all)).await, counts);
    }
}

/// Clicks that are sent again are acknowledged again, and counted once.
pub async fn a_record_sent_again_counts_once(store: &Handles) {
    let call: Vec<_> = (0..20)
        .map(|n| if n % 3 == 0 { bot("a", start() + minutes(n)) } else { click("b", start() + minutes(n)) })
        .collect();
    store.record(&call).await.unwrap();
    let counts = totals(&**store, &[code("a"), code("b")]).await;
    for n in 0..3 {
        store.nth(n).record(&call).await.unwrap();
        assert_eq!(totals(&**store, &[code("a"), code("b")]).await, counts);
        assert_eq!(all_rows(&**store).await, call);
    }
}
