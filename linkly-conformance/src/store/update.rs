//! [`LinkStore::update`](linkly_core::LinkStore::update).

use linkly_core::chrono::TimeDelta;
use linkly_core::{Delete, Link, LinkStoreExt, RedirectStatus, Update, Use};

use crate::Handles;
use crate::asked::{assert_invalid_input, insert_all};
use crate::run::at_once;
use crate::samples::{codes_of, full_link, link, links, start, with};

const NEXT: Update = Update::Updated { version: 2 };

/// A new link of version 1, inserted.
async fn inserted(store: &Handles, code: &str) -> Link {
    let link = link(code);
    insert_all(&**store, std::slice::from_ref(&link)).await;
    link
}

async fn found(store: &Handles, link: &Link) -> Link {
    store.get_one(&link.code).await.unwrap().expect("a link")
}

/// Every field that an update writes is as asked, and the version is one higher.
pub async fn a_link_with_this_id_and_version_is_replaced(store: &Handles) {
    let first = inserted(store, "a").await;
    let mut asked = with(full_link("a"), |link| {
        (link.id, link.version, link.consumed, link.created_at) = (first.id, 1, 0, first.created_at);
    });
    assert_eq!(store.update_one(&asked).await.unwrap(), NEXT);
    asked.version = 2;
    assert_eq!(found(store, &first).await, asked);
}

/// Options can be taken away again.
pub async fn an_update_clears_what_is_not_asked_for(store: &Handles) {
    let full = full_link("a");
    insert_all(&**store, std::slice::from_ref(&full)).await;
    let bare = link("a");
    let asked = with(bare, |link| {
        (link.id, link.created_at, link.consumed, link.version) = (full.id, full.created_at, full.consumed, 3);
    });
    assert_eq!(store.update_one(&asked).await.unwrap(), Update::Updated { version: 4 });
    assert_eq!(found(store, &full).await, with(asked, |link| link.version = 4));
}

/// Each field alone can be changed.
pub async fn each_field_is_written_for_itself(store: &Handles) {
    type Change = fn(&mut Link);
    let changes: [(&str, Change); 10] = [
        ("url", |link| link.url = "https://example.com/changed".into()),
        ("updated_at", |link| link.updated_at += TimeDelta::milliseconds(1)),
        ("active_from", |link| link.active_from = Some(start())),
        ("expires_at", |link| link.expires_at = Some(start() + TimeDelta::days(1))),
        ("max_clicks", |link| link.max_clicks = Some(3)),
        ("redirect", |link| link.redirect = RedirectStatus::SeeOther),
        ("forward_query", |link| link.forward_query = true),
        ("title", |link| link.title = Some("changed".into())),
        ("tags", |link| link.tags = vec!["changed".into()]),
        ("metadata", |link| drop(link.metadata.insert("changed".into(), true.into()))),
    ];
    let mut link = inserted(store, "a").await;
    for (field, change) in changes {
        change(&mut link);
        let answer = store.update_one(&link).await.unwrap();
        link.version += 1;
        assert_eq!(answer, Update::Updated { version: link.version }, "{field}");
        assert_eq!(found(store, &link).await, link, "{field}");
    }
}

/// An older version and a newer one are conflicts, and the link stays as it is.
pub async fn any_other_version_is_a_conflict_and_leaves_the_link_as_it_is(store: &Handles) {
    let stored = full_link("a");
    insert_all(&**store, std::slice::from_ref(&stored)).await;
    for version in [1, 2, 4, 5, 1_000] {
        let mut asked = with(stored.clone(), |link| link.version = version);
        asked.url = "https://example.com/changed".into();
        assert_eq!(store.update_one(&asked).await.unwrap(), Update::Conflict, "version {version} of 3");
        assert_eq!(found(store, &stored).await, stored);
    }
}

/// The same update again is updated, with the same version; also when redirects were consumed
/// in between.
pub async fn the_callers_own_earlier_try_is_updated(store: &Handles) {
    let first = inserted(store, "a").await;
    let mut asked = with(first.clone(), |link| link.max_clicks = Some(5));
    (asked.url, asked.tags) = ("https://example.com/changed".into(), vec!["x".into(), "y".into()]);
    for _ in 0..3 {
        assert_eq!(store.update_one(&asked).await.unwrap(), NEXT);
        store.consume(&[Use::new(first.code.clone(), first.id, 1)]).await.unwrap();
    }
    assert_eq!(found(store, &first).await, with(asked.clone(), |link| (link.version, link.consumed) = (2, 3)));
    assert_eq!(store.update(&[asked.clone(), asked]).await.unwrap(), [NEXT; 2], "twice in one call");
}

/// Another update of the version that somebody else has updated is a conflict, in whichever field it
/// differs.
pub async fn another_update_of_the_same_version_is_a_conflict(store: &Handles) {
    type Change = fn(&mut Link);
    let changes: [(&str, Change); 10] = [
        ("url", |link| link.url.push('x')),
        ("updated_at", |link| link.updated_at += TimeDelta::milliseconds(1)),
        ("active_from", |link| link.active_from = None),
        ("expires_at", |link| link.expires_at = link.expires_at.map(|at| at + TimeDelta::milliseconds(1))),
        ("max_clicks", |link| link.max_clicks = Some(3)),
        ("redirect", |link| link.redirect = RedirectStatus::SeeOther),
        ("forward_query", |link| link.forward_query = false),
        ("title", |link| link.title = None),
        ("tags", |link| drop(link.tags.pop())),
        ("metadata", |link| drop(link.metadata.insert("changed".into(), true.into()))),
    ];
    let first = inserted(store, "a").await;
    let theirs = with(full_link("a"), |link| (link.id, link.version) = (first.id, 1));
    assert_eq!(store.update_one(&theirs).await.unwrap(), NEXT);
    let stored = found(store, &first).await;
    for (field, change) in changes {
        let mut ours = theirs.clone();
        change(&mut ours);
        assert_eq!(store.update_one(&ours).await.unwrap(), Update::Conflict, "{field} differs");
        assert_eq!(found(store, &first).await, stored, "{field} differs");
    }
}

/// An unknown code, another id, a deleted link and one whose code was used again are not found.
pub async fn no_live_link_with_this_code_and_id_is_not_found(store: &Handles) {
    let unknown = link("unknown");
    assert_eq!(store.update_one(&unknown).await.unwrap(), Update::NotFound, "an unknown code");
    assert_eq!(store.get_one(&unknown.code).await.unwrap(), None);

    let stored = inserted(store, "a").await;
    assert_eq!(store.update_one(&link("a")).await.unwrap(), Update::NotFound, "another id");
    assert_eq!(found(store, &stored).await, stored);

    store.delete_one(Delete::new(stored.code.clone(), stored.id)).await.unwrap();
    assert_eq!(store.update_one(&stored).await.unwrap(), Update::NotFound, "a retired link");
    assert_eq!(store.get_one(&stored.code).await.unwrap(), None);

    let old = inserted(store, "b").await;
    store.delete_one(Delete::new(old.code.clone(), old.id).with_release()).await.unwrap();
    let new = inserted(store, "b").await;
    assert_eq!(store.update_one(&old).await.unwrap(), Update::NotFound, "a code that was used again");
    assert_eq!(found(store, &new).await, new);
}

/// What an update does not write stays: id, code, created_at and consumed.
pub async fn an_update_leaves_created_at_and_consumed_as_they_are(store: &Handles) {
    let mut stored = link("a");
    stored.max_clicks = Some(10);
    insert_all(&**store, std::slice::from_ref(&stored)).await;
    assert_eq!(store.consume(&[Use::new(stored.code.clone(), stored.id, 4)]).await.unwrap(), [4]);
    for consumed in [0, 9] {
        let version = found(store, &stored).await.version;
        let mut asked = with(stored.clone(), |link| (link.version, link.consumed) = (version, consumed));
        asked.created_at += TimeDelta::days(1);
        asked.url.push('x');
        assert_eq!(store.update_one(&asked).await.unwrap(), Update::Updated { version: version + 1 });
        let found = found(store, &stored).await;
        assert_eq!((found.created_at, found.consumed), (stored.created_at, 4));
    }
}

/// The answers of a call stand in its order, each link for itself.
pub async fn updates_answer_in_order_each_for_itself(store: &Handles) {
    let mut asked = links("n", 30);
    insert_all(&**store, &asked).await;
    let mut expected = Vec::new();
    for (n, link) in asked.iter_mut().enumerate() {
        link.title = Some(format!("changed {n}"));
        expected.push(match n % 3 {
            0 => NEXT,
            1 => {
                link.version = 7;
                Update::Conflict
            }
            _ => {
                link.id = self::link("x").id;
                Update::NotFound
            }
        });
    }
    assert_eq!(store.update(&asked).await.unwrap(), expected);
    for (n, found) in store.get(&codes_of(&asked)).await.unwrap().into_iter().enumerate() {
        let title = found.and_then(|link| link.title);
        assert_eq!(title, (n % 3 == 0).then(|| format!("changed {n}")), "link {n}");
    }
}

/// Sixteen callers that have read the same version: one is updated, the others are told of it.
pub async fn of_many_updates_of_one_version_exactly_one_is_updated(store: &Handles) {
    let mut link = inserted(store, "a").await;
    for round in 1..=8 {
        let answers = at_once((0..16).map(|caller| {
            let store = store.nth(caller);
            let asked = with(link.clone(), |link| link.url = format!("https://example.com/{round}/{caller}"));
            async move { (store.update_one(&asked).await.unwrap(), asked.url) }
        }))
        .await;
        let updated: Vec<_> = answers.iter().filter(|(answer, _)| *answer != Update::Conflict).collect();
        assert_eq!(updated.len(), 1, "one caller updates version {round}, found {answers:?}");
        assert_eq!(updated[0].0, Update::Updated { version: round + 1 });
        link = found(store, &link).await;
        assert_eq!((&link.url, link.version), (&updated[0].1, round + 1));
    }
}

/// One unfit link fails the call, and none of the others is written.
pub async fn a_link_that_fails_its_check_fails_the_call_before_anything_is_written(store: &Handles) {
    let stored = links("n", 3);
    insert_all(&**store, &stored).await;
    let mut asked = stored.clone();
    for link in &mut asked {
        link.title = Some("changed".into());
    }
    asked[1].title = Some("a\0b".into());
    assert_invalid_input(store.update(&asked).await, "a NUL in a title");
    asked[1].title = None;
    asked[1].tags = vec!["a\nb".into()];
    assert_invalid_input(store.update(&asked).await, "a line feed in a tag");
    let found = store.get(&codes_of(&stored)).await.unwrap();
    assert_eq!(found, stored.into_iter().map(Some).collect::<Vec<_>>());
}

/// A link that stands twice in one call is as if one call had come after the other: the second is for a
/// version that is no longer there.
pub async fn a_link_that_stands_twice_in_one_call_is_updated_once(store: &Handles) {
    let link = inserted(store, "a").await;
    let first = with(link.clone(), |link| link.url = "https://example.com/first".into());
    let second = with(link, |link| link.url = "https://example.com/second".into());
    assert_eq!(store.update(&[first.clone(), second]).await.unwrap(), [NEXT, Update::Conflict]);
    assert_eq!(found(store, &first).await.url, first.url);
}
