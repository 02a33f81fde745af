//! [`LinkStore::delete`](linkly_core::LinkStore::delete).

use linkly_core::{
    ClickSinkExt, ClickStatsExt, Delete, Deleted, Insert, Link, LinkStoreExt, ListLinks, Scope, Step, Totals,
};

use crate::Handles;
use crate::asked::{all_links, all_rows, assert_refused, insert_all, series_sum};
use crate::samples::{click, click_of, code, link, links, start};

fn delete(link: &Link) -> Delete {
    Delete::new(link.code.clone(), link.id)
}

/// A new link with two clicks.
async fn clicked(store: &Handles, code: &str) -> Link {
    let mut link = link(code);
    link.tags = vec!["tag".into()];
    insert_all(&**store, std::slice::from_ref(&link)).await;
    store.record(&[click_of(&link, start()), click(code, start())]).await.unwrap();
    link
}

/// A deleted link is found no more, and its code is nobody else's.
pub async fn a_deleted_code_is_retired(store: &Handles) {
    let link = clicked(store, "a").await;
    assert_eq!(store.delete_one(delete(&link)).await.unwrap(), Deleted::Deleted);
    assert_eq!(store.get_one(&link.code).await.unwrap(), None);
    assert_eq!(store.target(&link.code).await.unwrap(), None);
    for query in [ListLinks::new(Scope::All), ListLinks::new(Scope::Plain).with_tag("tag").with_url(link.url.clone())] {
        assert_eq!(all_links(&**store, &query).await, []);
    }
    assert_eq!(store.insert_one(&self::link("a")).await.unwrap(), Insert::CodeTaken);
    assert_eq!(store.get_one(&link.code).await.unwrap(), None);
}

/// The statistics of a deleted link stay, and later clicks of it are kept.
pub async fn the_statistics_of_a_retired_code_stay(store: &Handles) {
    let link = clicked(store, "a").await;
    store.delete_one(delete(&link)).await.unwrap();
    assert_eq!(store.total(&link.code).await.unwrap(), Totals::new(2, 0, Some(start())));
    assert_eq!(series_sum(&**store, &link.code, Step::Hour).await, (2, 0));
    store.record_one(&click_of(&link, start())).await.unwrap();
    assert_eq!(store.total(&link.code).await.unwrap().clicks, 3);
    assert_eq!(all_rows(&**store).await.len(), 3);
}

/// A released code can be used again by a new link, and the old statistics are gone.
pub async fn a_released_code_can_be_used_again_with_new_totals(store: &Handles) {
    let (old, neighbour) = (clicked(store, "a").await, clicked(store, "a-").await);
    assert_eq!(store.delete_one(delete(&old).with_release()).await.unwrap(), Deleted::Deleted);
    assert_eq!(store.get_one(&old.code).await.unwrap(), None);
    let new = link("a");
    insert_all(&**store, std::slice::from_ref(&new)).await;
    assert_eq!(store.get_one(&new.code).await.unwrap().as_ref(), Some(&new));
    assert_eq!(store.total(&new.code).await.unwrap(), Totals::default());
    assert_eq!(series_sum(&**store, &new.code, Step::Hour).await, (0, 0));
    assert_eq!(all_rows(&**store).await.len(), 2, "the rows of the old link stay");
    store.record_one(&click_of(&new, start())).await.unwrap();
    assert_eq!(store.total(&new.code).await.unwrap(), Totals::new(1, 0, Some(start())));
    assert_eq!(store.total(&neighbour.code).await.unwrap().clicks, 2, "another code's");
}

/// Clicks of a link whose code was released are refused for good, and nothing of their call is
/// written.
pub async fn late_clicks_of_a_released_link_are_refused(store: &Handles) {
    let old = clicked(store, "a").await;
    store.delete_one(delete(&old).with_release()).await.unwrap();
    assert_refused(store.record_one(&click_of(&old, start())).await, "before the code is used again");
    let new = link("a");
    insert_all(&**store, std::slice::from_ref(&new)).await;
    let call = [click_of(&new, start()), click_of(&old, start()), click("b", start())];
    assert_refused(store.record(&call).await, "between others");
    assert_eq!(all_rows(&**store).await, []);
    assert_eq!(store.totals(&[code("a"), code("b")]).await.unwrap(), [Totals::default(); 2]);
    store.record(&[call[0].clone(), call[2].clone()]).await.unwrap();
    assert_eq!(store.total(&new.code).await.unwrap().clicks, 1);
}

/// A code that was retired first can be released later.
pub async fn a_retired_code_can_be_released_later(store: &Handles) {
    let old = clicked(store, "a").await;
    store.delete_one(delete(&old)).await.unwrap();
    assert_eq!(store.delete_one(delete(&old).with_release()).await.unwrap(), Deleted::Deleted);
    assert_eq!(store.total(&old.code).await.unwrap(), Totals::default());
    insert_all(&**store, &[link("a")]).await;
    assert_refused(store.record_one(&click_of(&old, start())).await, "a late click");
}

/// The same id again is deleted, however often, and a new link under its code stays.
pub async fn deleting_the_same_id_again_is_deleted(store: &Handles) {
    let (retired, released) = (clicked(store, "retired").await, clicked(store, "released").await);
    let version = retired.version;
    for _ in 0..3 {
        let asked = [delete(&retired).with_version(version), delete(&released).with_release()];
        assert_eq!(store.delete(&asked).await.unwrap(), [Deleted::Deleted; 2]);
    }
    let new = link("released");
    insert_all(&**store, std::slice::from_ref(&new)).await;
    store.record_one(&click_of(&new, start())).await.unwrap();
    for asked in [delete(&released).with_release(), delete(&released), delete(&released).with_version(1)] {
        assert_eq!(store.delete_one(asked).await.unwrap(), Deleted::Deleted);
    }
    assert_eq!(store.get_one(&new.code).await.unwrap().as_ref(), Some(&new));
    assert_eq!(store.total(&new.code).await.unwrap().clicks, 1);
}

/// The same link twice in one call is deleted.
pub async fn the_same_id_twice_in_one_call_is_deleted(store: &Handles) {
    let (retired, released) = (clicked(store, "retired").await, clicked(store, "released").await);
    let (retire, release) = (delete(&retired), delete(&released).with_release());
    let asked = [retire.clone(), release.clone(), retire, release];
    assert_eq!(store.delete(&asked).await.unwrap(), [Deleted::Deleted; 4]);
    assert_eq!(store.get(&[retired.code, released.code]).await.unwrap(), [None, None]);
}

/// Another version than the stored one is a conflict, and the link stays.
pub async fn another_version_is_a_conflict(store: &Handles) {
    let mut stored = link("a");
    stored.version = 3;
    insert_all(&**store, std::slice::from_ref(&stored)).await;
    for version in [1, 2, 4] {
        for asked in [delete(&stored).with_version(version), delete(&stored).with_version(version).with_release()] {
            assert_eq!(store.delete_one(asked).await.unwrap(), Deleted::Conflict, "version {version} of 3");
        }
    }
    assert_eq!(store.get_one(&stored.code).await.unwrap().as_ref(), Some(&stored));
    assert_eq!(store.delete_one(delete(&stored).with_version(3)).await.unwrap(), Deleted::Deleted);
}

/// A code that never was, and an id that never had this code, are not found.
pub async fn an_id_that_is_not_there_is_not_found(store: &Handles) {
    let (one, other) = (clicked(store, "one").await, clicked(store, "other").await);
    let asked =
        [delete(&link("unknown")), delete(&link("one")).with_release(), Delete::new(one.code.clone(), other.id)];
    for asked in asked {
        assert_eq!(store.delete_one(asked.clone()).await.unwrap(), Deleted::NotFound, "{asked:?}");
    }
    assert_eq!(store.get(&[one.code.clone(), other.code.clone()]).await.unwrap(), [Some(one), Some(other)]);
    assert_eq!(all_rows(&**store).await.len(), 4);
}

/// The answers of a call stand in its order, each link for itself.
pub async fn deletes_answer_in_order_each_for_itself(store: &Handles) {
    let all = links("n", 40);
    insert_all(&**store, &all).await;
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for (n, link) in all.iter().enumerate() {
        let (delete, answer) = match n % 4 {
            0 => (delete(link), Deleted::Deleted),
            1 => (delete(link).with_version(9), Deleted::Conflict),
            2 => (Delete::new(link.code.clone(), self::link("x").id), Deleted::NotFound),
            _ => (delete(link).with_version(1).with_release(), Deleted::Deleted),
        };
        asked.push(delete);
        expected.push(answer);
    }
    assert_eq!(store.delete(&asked).await.unwrap(), expected);
    let left: Vec<_> =
        all.iter().enumerate().filter(|(n, _)| matches!(n % 4, 1 | 2)).map(|(_, link)| link.clone()).collect();
    let query = ListLinks::new(Scope::All).with_order(linkly_core::Order::Code);
    assert_eq!(all_links(&**store, &query).await, left);
}

/// A click of a released link is refused also when it was recorded before the release.
pub async fn a_recorded_click_of_a_released_link_is_refused_when_it_comes_again(store: &Handles) {
    let old = link("a");
    insert_all(&**store, std::slice::from_ref(&old)).await;
    let click = click_of(&old, start());
    store.record_one(&click).await.unwrap();
    store.delete_one(delete(&old).with_release()).await.unwrap();
    assert_refused(store.record_one(&click).await, "a click that was counted before the release");
    assert_eq!(all_rows(&**store).await, []);
}
