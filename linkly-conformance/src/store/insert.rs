//! [`LinkStore::insert`](linkly_core::LinkStore::insert).

use linkly_core::chrono::TimeDelta;
use linkly_core::{
    Delete, Insert, Link, LinkStoreExt, ListLinks, MAX_METADATA_BYTES, MAX_TAGS, MAX_URL_BYTES, RedirectStatus, Scope,
    Uuid, new_id,
};

use crate::Handles;
use crate::asked::{all_links, assert_invalid_input, assert_refused, insert_all};
use crate::run::at_once;
use crate::samples::{at, code, codes_of, full_link, link, links};

/// A code that another link has is refused, and that link stays as it is.
pub async fn a_taken_code_is_refused_and_leaves_the_link_as_it_is(store: &Handles) {
    let first = full_link("taken");
    insert_all(&**store, std::slice::from_ref(&first)).await;
    let mut second = link("taken");
    second.url = "https://example.com/another".into();
    assert_eq!(store.insert_one(&second).await.unwrap(), Insert::CodeTaken);
    assert_eq!(store.get_one(&first.code).await.unwrap(), Some(first));
}

/// Of two links with one code in one call the first is inserted.
pub async fn a_code_that_stands_twice_in_one_call_goes_to_the_first(store: &Handles) {
    let (first, mut second, third) = (link("twice"), link("twice"), link("behind"));
    second.url = "https://example.com/another".into();
    let answers = store.insert(&[first.clone(), second, third.clone()]).await.unwrap();
    assert_eq!(answers, [Insert::Inserted, Insert::CodeTaken, Insert::Inserted]);
    assert_eq!(store.get(&codes_of(&[first.clone(), third.clone()])).await.unwrap(), [Some(first), Some(third)]);
}

/// Taken codes between free ones are refused, each in its place, and the others are inserted.
pub async fn links_around_taken_codes_are_inserted(store: &Handles) {
    let there: Vec<_> = links("n", 90).into_iter().step_by(3).collect();
    insert_all(&**store, &there).await;
    let asked = links("n", 90);
    let answers = store.insert(&asked).await.unwrap();
    let expected: Vec<_> = (0..90).map(|n| if n % 3 == 0 { Insert::CodeTaken } else { Insert::Inserted }).collect();
    assert_eq!(answers, expected);
    let found = store.get(&codes_of(&asked)).await.unwrap();
    for (n, (asked, found)) in asked.into_iter().zip(found).enumerate() {
        let expected = if n % 3 == 0 { there[n / 3].clone() } else { asked };
        assert_eq!(found, Some(expected));
    }
}

/// The same link again, by its id, is inserted, and there once.
pub async fn the_same_id_again_is_inserted(store: &Handles) {
    let link = full_link("again");
    for _ in 0..3 {
        assert_eq!(store.insert_one(&link).await.unwrap(), Insert::Inserted);
    }
    assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, [link]);
}

/// The same link twice in one call is inserted, and there once.
pub async fn the_same_id_twice_in_one_call_is_inserted(store: &Handles) {
    let link = full_link("again");
    assert_eq!(store.insert(&[link.clone(), link.clone()]).await.unwrap(), [Insert::Inserted; 2]);
    assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, [link]);
}

/// The same link again is inserted also when it was changed since, and the change stays.
pub async fn the_same_id_again_after_an_update_is_inserted_and_leaves_the_update(store: &Handles) {
    let first = link("again");
    insert_all(&**store, std::slice::from_ref(&first)).await;
    let mut changed = first.clone();
    changed.url = "https://example.com/changed".into();
    store.update_one(&changed).await.unwrap();
    assert_eq!(store.insert_one(&first).await.unwrap(), Insert::Inserted);
    let found = store.get_one(&first.code).await.unwrap().expect("a link");
    assert_eq!((found.url, found.version), (changed.url, 2));
}

/// The same link again is inserted also when it was deleted since, and stays deleted.
pub async fn the_same_id_again_after_a_delete_is_inserted_and_stays_deleted(store: &Handles) {
    let link = link("again");
    insert_all(&**store, std::slice::from_ref(&link)).await;
    store.delete_one(linkly_core::Delete::new(link.code.clone(), link.id)).await.unwrap();
    assert_eq!(store.insert_one(&link).await.unwrap(), Insert::Inserted);
    assert_eq!(store.get_one(&link.code).await.unwrap(), None);
}

/// Sixteen callers race for one code, through two handles: one is told that it has it, and it does.
pub async fn of_many_callers_racing_for_one_code_exactly_one_is_told_inserted(store: &Handles) {
    for round in 0..8 {
        let asked: Vec<Link> = (0..16)
            .map(|caller| {
                let mut link = link(&format!("race{round}"));
                link.url = format!("https://example.com/caller/{caller}");
                link
            })
            .collect();
        let answers = at_once(asked.iter().cloned().enumerate().map(|(caller, link)| {
            let store = store.nth(caller);
            async move { store.insert_one(&link).await.unwrap() }
        }))
        .await;
        let winners: Vec<_> = asked
            .iter()
            .zip(&answers)
            .filter(|(_, answer)| **answer == Insert::Inserted)
            .map(|(link, _)| link)
            .collect();
        assert_eq!(winners.len(), 1, "one caller gets the code, found {answers:?}");
        assert_eq!(store.get_one(&winners[0].code).await.unwrap().as_ref(), Some(winners[0]));
    }
}

/// One link with a control character, or too long a text, or a limit of zero, fails the call, and
/// none of the others is written.
pub async fn a_link_that_fails_its_check_fails_the_call_before_anything_is_written(store: &Handles) {
    type Spoil = fn(&mut Link);
    let spoils: [(&str, Spoil); 12] = [
        ("a line break in the URL", |link| link.url = "https://example.com/\r\nSet-Cookie: x".into()),
        ("a NUL in the URL", |link| link.url = "https://example.com/\0".into()),
        ("a space in the URL", |link| link.url = "https://example.com/ x".into()),
        ("a URL that is too long", |link| link.url = format!("https://example.com/{}", "x".repeat(MAX_URL_BYTES))),
        ("a NUL in the title", |link| link.title = Some("a\0b".into())),
        ("a line feed in the title", |link| link.title = Some("a\nb".into())),
        ("a NUL in a tag", |link| link.tags = vec!["a\0b".into()]),
        ("an escape in a tag", |link| link.tags = vec!["\u{1b}[0m".into()]),
        ("unsorted tags", |link| link.tags = vec!["b".into(), "a".into()]),
        ("a NUL in the metadata", |link| link.metadata = serde_json::from_str(r#"{"a":["\u0000"]}"#).unwrap()),
        ("a limit of zero", |link| link.max_clicks = Some(0)),
        ("version 0", |link| link.version = 0),
    ];
    for (n, (what, spoil)) in spoils.into_iter().enumerate() {
        assert_fails_the_call(store, &format!("bad{n}-"), what, spoil).await;
    }
}

/// Checks that an unfit link fails the call, and none of the others is written.
async fn assert_fails_the_call(store: &Handles, prefix: &str, what: &str, spoil: fn(&mut Link)) {
    let mut call = links(prefix, 3);
    spoil(&mut call[1]);
    assert_invalid_input(store.insert(&call).await, what);
    assert_eq!(store.get(&codes_of(&call)).await.unwrap(), [None, None, None], "{what}: something was written");
    // The codes are as free as before.
    insert_all(&**store, &[call[0].clone(), call[2].clone()]).await;
}

/// An id that does not carry when the link was made fails the call: lists find links of a time by their ids. That of a
/// link from before 1970 carries 1970.
pub async fn an_id_that_does_not_carry_created_at_fails_the_call(store: &Handles) {
    type Spoil = fn(&mut Link);
    let spoils: [(&str, Spoil); 5] = [
        ("an id of a millisecond later", |link| link.id = new_id(link.created_at + TimeDelta::milliseconds(1))),
        ("an id of a millisecond before", |link| link.id = new_id(link.created_at - TimeDelta::milliseconds(1))),
        ("a time before 1970 with another id", |link| link.created_at = at("1969-07-20T20:17:40Z")),
        ("an id of version 4", |link| link.id = Uuid::from_u128(link.id.as_u128() & !(0xf << 76) | 4 << 76)),
        ("an id of nothing", |link| link.id = Uuid::nil()),
    ];
    for (n, (what, spoil)) in spoils.into_iter().enumerate() {
        assert_fails_the_call(store, &format!("id{n}-"), what, spoil).await;
    }
    for (n, time) in ["1969-07-20T20:17:40.123Z", "1970-01-01T00:00:00Z", "2026-01-05T10:00:00.001Z"].iter().enumerate()
    {
        let fit = Link::new(code(&format!("fit{n}")), "https://example.com", at(time));
        insert_all(&**store, std::slice::from_ref(&fit)).await;
        assert_eq!(store.get_one(&fit.code).await.unwrap(), Some(fit));
    }
}

/// Every field of a link reads back equal: the options, and a link without any.
pub async fn every_field_of_a_link_reads_back_equal(store: &Handles) {
    let mut all = vec![full_link("full"), link("bare")];
    for status in [301, 302, 303, 307, 308] {
        let mut link = link(&format!("status-{status}"));
        link.redirect = RedirectStatus::try_from(status).unwrap();
        all.push(link);
    }
    let mut empty_title = link("empty-title");
    empty_title.title = Some(String::new());
    let mut no_texts = full_link("no-texts");
    (no_texts.title, no_texts.forward_query, no_texts.max_clicks) = (None, false, Some(1));
    (no_texts.tags, no_texts.metadata) = (Vec::new(), linkly_core::Metadata::new());
    all.extend([empty_title, no_texts]);
    insert_all(&**store, &all).await;
    for (link, found) in all.iter().zip(store.get(&codes_of(&all)).await.unwrap()) {
        assert_eq!(found.as_ref(), Some(link));
    }
}

/// Times read back to the millisecond; what is finer is dropped, not rounded.
pub async fn times_keep_milliseconds(store: &Handles) {
    let finer = TimeDelta::nanoseconds(999_999);
    for (n, time) in ["2026-01-05T10:00:00.001Z", "1999-12-31T23:59:59.999Z", "2100-02-28T12:00:00Z"].iter().enumerate()
    {
        let mut asked = link(&format!("time{n}"));
        let time = at(time);
        (asked.id, asked.created_at, asked.updated_at) = (new_id(time), time, time);
        (asked.active_from, asked.expires_at) = (Some(time), Some(time + TimeDelta::milliseconds(1)));
        let mut given = asked.clone();
        (given.created_at, given.updated_at) = (time + finer, time + finer);
        (given.active_from, given.expires_at) = (Some(time + finer), Some(time + TimeDelta::milliseconds(1) + finer));
        insert_all(&**store, &[given]).await;
        assert_eq!(store.get_one(&asked.code).await.unwrap(), Some(asked));
    }
}

/// URLs and texts of any kind read back to the byte.
pub async fn odd_urls_and_texts_read_back_to_the_byte(store: &Handles) {
    let urls = [
        "https://example.com/?q='; DROP TABLE links; --".replace(' ', "%20"),
        r#"https://example.com/"quoted"\backslash`tick`"#.into(),
        "https://example.com/%00%0d%0a%25%2F%F0%9F%A6%80".into(),
        "https://example.com/$1/{}/%s/:id/@p/?1".into(),
        "HtTp://EXAMPLE.com:80/A/../b/./#".into(),
        "mailto:someone@example.com".into(),
        "https://[::1]:8080/".into(),
        format!("https://example.com/{}", "x".repeat(MAX_URL_BYTES - 20)),
    ];
    let texts = [
        "it's 100 % _sure_ \\ /".to_owned(),
        "\"double\" `tick` $1 :name ?1 @p {} {0} %s".into(),
        "NULL".into(),
        " spaces around ".into(),
        "🦀 日本語 العربية e\u{301} \u{200d} \u{feff} \u{10ffff}".into(),
        "x".repeat(128),
    ];
    let mut all = Vec::new();
    for (n, url) in urls.into_iter().enumerate() {
        let mut link = link(&format!("url{n}"));
        link.url = url;
        all.push(link);
    }
    for (n, text) in texts.into_iter().enumerate() {
        let mut link = link(&format!("text{n}"));
        link.metadata.insert(text.clone(), serde_json::json!({ "nested": [text.clone(), { "deeper": text.clone() }] }));
        (link.title, link.tags) = (Some(text.clone()), vec![text]);
        all.push(link);
    }
    let mut most = link("most");
    most.tags = (0..MAX_TAGS).map(|n| format!("tag {n:03}")).collect();
    most.metadata.insert("text".into(), "x".repeat(MAX_METADATA_BYTES - 100).into());
    all.push(most);
    insert_all(&**store, &all).await;
    for (link, found) in all.iter().zip(store.get(&codes_of(&all)).await.unwrap()) {
        assert_eq!(found.as_ref(), Some(link));
    }
}

/// A code may hold every character that it may, and is found by it alone.
pub async fn every_character_of_a_code_is_kept(store: &Handles) {
    let mut texts: Vec<String> = "abcdefghijklmnopqrstuvwxyz0123456789-_~".chars().map(String::from).collect();
    texts.extend(["...", "a.b", "a/b", "a/b/c", "~.-_", "-", "0x00", "null"].map(str::to_owned));
    texts.extend(["x".repeat(128), format!("{}/y", "x".repeat(126))]);
    texts.sort();
    texts.dedup();
    let all: Vec<_> = texts.iter().map(|text| link(text)).collect();
    insert_all(&**store, &all).await;
    for (link, found) in all.iter().zip(store.get(&codes_of(&all)).await.unwrap()) {
        assert_eq!(found.as_ref(), Some(link));
    }
    for unknown in
        ["A-b", "a_b", "a%2Fb", "a/b/", "%", "..."].into_iter().filter_map(|text| linkly_core::Code::new(text).ok())
    {
        let found = store.get_one(&unknown).await.unwrap();
        assert_eq!(found.map(|link| link.code), texts.iter().any(|text| text == unknown.as_str()).then_some(unknown));
    }
}

/// Codes that differ only in case are two codes, where the database does not fold them.
pub async fn codes_are_compared_by_bytes(store: &Handles) {
    if store.folding() == linkly_core::Folding::Lower {
        return;
    }
    let all = [link("Case"), link("case"), link("CASE"), link("cas"), link("case-")];
    insert_all(&**store, &all).await;
    for link in &all {
        assert_eq!(store.get_one(&link.code).await.unwrap().as_ref(), Some(link));
    }
    assert_eq!(store.get_one(&code("cASE")).await.unwrap(), None);
}

/// The same id again after its code was released is inserted, nothing is written, and the code stays free.
pub async fn the_same_id_again_after_a_release_is_inserted_and_writes_nothing(store: &Handles) {
    let link = link("again");
    insert_all(&**store, std::slice::from_ref(&link)).await;
    store.delete_one(Delete::new(link.code.clone(), link.id).with_release()).await.unwrap();
    assert_eq!(store.insert_one(&link).await.unwrap(), Insert::Inserted);
    assert_eq!(store.get_one(&link.code).await.unwrap(), None);
    let next = self::link("again");
    assert_eq!(store.insert_one(&next).await.unwrap(), Insert::Inserted);
    assert_eq!(store.get_one(&link.code).await.unwrap(), Some(next));
}

/// An id that another code has is refused for good, and nothing of the call is written.
pub async fn an_id_that_another_code_has_is_refused(store: &Handles) {
    let first = link("first");
    insert_all(&**store, std::slice::from_ref(&first)).await;
    let (mut same_id, beside) = (link("second"), link("beside"));
    same_id.id = first.id;
    assert_refused(store.insert(&[beside, same_id]).await, "an id that another code has");
    assert_eq!(all_links(&**store, &ListLinks::new(Scope::All)).await, [first]);
}
