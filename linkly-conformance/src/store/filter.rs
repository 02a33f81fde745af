//! [`LinkStore::list`](linkly_core::LinkStore::list): filters.

use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{Code, Delete, Link, LinkStoreExt, ListLinks, Order, Scope};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use crate::Handles;
use crate::asked::{all_links, insert_all};
use crate::samples::{at, code, code_in, domain, link, seeded, start};

/// Whether a link is to be found by a query: the contract, written out.
fn matches(query: &ListLinks, link: &Link) -> bool {
    let contains = |field: &str, text: &str| field.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
    query.scope.contains(&link.code)
        && query.tag.as_ref().is_none_or(|tag| link.tags.contains(tag))
        && query.url.as_ref().is_none_or(|url| *url == link.url)
        && query.created_from.is_none_or(|from| from <= link.created_at)
        && query.created_until.is_none_or(|until| link.created_at < until)
        && query.search.as_ref().is_none_or(|text| {
            contains(link.code.as_str(), text)
                || contains(&link.url, text)
                || link.title.as_ref().is_some_and(|title| contains(title, text))
        })
}

/// Checks a query in both orders, and gives how many links it finds.
async fn check(store: &Handles, links: &[Link], query: &ListLinks) -> usize {
    let mut count = 0;
    for order in [Order::Newest, Order::Code] {
        let query = query.clone().with_order(order);
        let mut expected: Vec<_> = links.iter().filter(|link| matches(&query, link)).collect();
        match order {
            Order::Newest => expected.sort_by_key(|link| std::cmp::Reverse(link.id)),
            Order::Code => expected.sort_by_key(|link| link.code.as_str()),
        }
        let found = all_links(&**store, &query).await;
        let codes = |links: &[&Link]| links.iter().map(|link| link.code.clone()).collect::<Vec<_>>();
        assert_eq!(codes(&found.iter().collect::<Vec<_>>()), codes(&expected), "{query:?}");
        count = found.len();
    }
    count
}

/// `search` finds a text anywhere in code, URL or title.
pub async fn search_looks_into_code_url_and_title(store: &Handles) {
    let mut links = [link("needle-1"), link("b"), link("c"), link("d")];
    links[1].url = "https://example.com/x?needle=1".into();
    links[2].title = Some("A needle".into());
    links[3].tags = vec!["needle".into()];
    links[3].url = "https://example.com/other".into();
    insert_all(&**store, &links).await;
    assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_search("needle")).await, 3);
    assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_search("needle-1")).await, 1);
    assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_search("eedl")).await, 3);
    assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_search("haystack")).await, 0);
}

/// No character of a searched text has a special meaning.
pub async fn search_gives_no_character_a_special_meaning(store: &Handles) {
    let specials = [
        "%", "_", "\\", "'", "\"", "*", "?", "[a-z]", "(", ")", "^", "$", ".", "--", ";", "&", "|", "!", ":*", "<->",
        "~", "\\%", "\\_", "%%", "''", "$1", "?1", "{}", "\\\\", "🦀", "é", "a%b", "a_b", " ",
    ];
    let mut links = Vec::new();
    for (n, special) in specials.iter().enumerate() {
        let mut with = Link::new(code(&format!("with{n}")), "https://example.com/x", start());
        with.title = Some(format!("before{special}after"));
        let mut without = Link::new(code(&format!("without{n}")), "https://example.com/x", start());
        without.title = Some("beforeXafter aXb".into());
        links.extend([with, without]);
    }
    insert_all(&**store, &links).await;
    for special in specials {
        let found = check(store, &links, &ListLinks::new(Scope::All).with_search(special)).await;
        assert!(found >= 1, "{special:?} was not found");
        check(store, &links, &ListLinks::new(Scope::All).with_search(format!("before{special}after"))).await;
    }
}

/// ASCII letters are found in any case, other letters as they are.
pub async fn search_takes_ascii_letters_in_any_case(store: &Handles) {
    let mut links = [link("a"), link("b"), link("c"), link("d")];
    links[0].title = Some("Grand OPENING of the Café".into());
    links[1].title = Some("CAFÉ".into());
    links[2].url = "HTTPS://EXAMPLE.COM/Opening".into();
    links[3].title = Some("\u{212a}elvin, \u{130}stanbul, stra\u{df}e".into());
    insert_all(&**store, &links).await;
    for (text, count) in [
        ("opening", 2),
        ("OPENING", 2),
        ("oPeNiNg OF", 1),
        ("café", 1),
        ("CAFÉ", 1),
        ("caf", 2),
        ("kelvin", 0),
        ("strasse", 0),
    ] {
        assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_search(text)).await, count, "{text:?}");
    }
}

/// A tag is compared whole and to the byte.
pub async fn a_tag_finds_the_links_that_have_it(store: &Handles) {
    let mut links = [link("a"), link("b"), link("c"), link("d")];
    links[0].tags = vec!["red".into(), "sale".into()];
    links[1].tags = vec!["Red".into(), "été".into()];
    links[2].tags = vec!["a,b".into(), "red,sale".into()];
    insert_all(&**store, &links).await;
    let counts =
        [("red", 1), ("Red", 1), ("sale", 1), ("été", 1), ("re", 0), ("red%", 0), ("a", 0), ("a,b", 1), ("", 0)];
    for (tag, count) in counts {
        let query = ListLinks::new(Scope::All).with_tag(tag);
        assert_eq!(check(store, &links, &query).await, count, "{tag:?}");
    }
}

/// A URL is compared whole and to the byte.
pub async fn a_url_finds_the_links_that_lead_to_it(store: &Handles) {
    let urls = [
        "https://example.com",
        "https://example.com/",
        "https://EXAMPLE.com",
        "https://example.com",
        "https://example.com/%",
    ];
    let links: Vec<_> =
        urls.iter().enumerate().map(|(n, url)| Link::new(code(&format!("n{n}")), *url, start())).collect();
    insert_all(&**store, &links).await;
    for (url, count) in [(urls[0], 2), (urls[1], 1), (urls[2], 1), (urls[4], 1), ("example", 0), ("", 0)] {
        assert_eq!(check(store, &links, &ListLinks::new(Scope::All).with_url(url)).await, count, "{url:?}");
    }
}

/// A range of creation begins with its first moment and ends before its last, in pages of any size.
pub async fn a_range_of_creation_is_exact_to_the_millisecond(store: &Handles) {
    let mut links: Vec<_> = (0..5)
        .map(|n| Link::new(code(&format!("n{n}")), "https://example.com", start() + TimeDelta::milliseconds(n)))
        .collect();
    for link in &mut links {
        link.tags = vec!["tag".into()];
    }
    insert_all(&**store, &links).await;
    let at = |millis| Some(start() + TimeDelta::milliseconds(millis));
    // Between one millisecond and the next.
    let behind = |millis| at(millis).map(|at| at + TimeDelta::nanoseconds(1));
    for (from, until, count) in [
        (at(1), at(3), 2),
        (at(1), None, 4),
        (None, at(3), 3),
        (at(4), at(5), 1),
        (at(5), None, 0),
        (at(2), at(2), 0),
        (at(3), at(1), 0),
        (behind(1), None, 3),
        (None, behind(1), 2),
        (behind(1), behind(3), 2),
        (behind(1), at(2), 0),
        (Some(DateTime::<Utc>::MIN_UTC), Some(DateTime::<Utc>::MAX_UTC), 5),
    ] {
        for limit in [1, 2, 50] {
            let of = |scope| ListLinks::new(scope).with_created(from, until).with_limit(limit);
            let (plain, all) = (of(Scope::Plain), of(Scope::All));
            let (by_tag, by_url) = (all.clone().with_tag("tag"), all.clone().with_url("https://example.com"));
            for query in [plain, all, by_tag, by_url] {
                assert_eq!(check(store, &links, &query).await, count, "{query:?}");
            }
        }
    }
}

/// Links from before 1970, whose ids carry 1970, are found by when they were made.
pub async fn links_from_before_1970_are_found_by_when_they_were_made(store: &Handles) {
    let times =
        ["1900-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.001Z"];
    let times = times.map(at);
    let made = times.iter().enumerate();
    let links: Vec<_> = made.map(|(n, at)| Link::new(code(&format!("n{n}")), "https://example.com", *at)).collect();
    insert_all(&**store, &links).await;
    for (n, time) in times.into_iter().enumerate() {
        let all = ListLinks::new(Scope::All).with_limit(1);
        assert_eq!(check(store, &links, &all.clone().with_created(Some(time), None)).await, 4 - n, "from {time}");
        assert_eq!(check(store, &links, &all.clone().with_created(None, Some(time))).await, n, "until {time}");
        let this = all.with_created(Some(time), Some(time + TimeDelta::milliseconds(1)));
        assert_eq!(check(store, &links, &this).await, 1, "at {time}");
    }
}

/// A link is found by what it has become, and no longer by what it was.
pub async fn an_updated_or_deleted_link_is_found_by_what_it_is_now(store: &Handles) {
    let mut link = link("a");
    link.tags = vec!["both".into(), "old".into()];
    insert_all(&**store, std::slice::from_ref(&link)).await;
    let old_url = link.url.clone();
    link.url = "https://example.com/new".into();
    link.tags = vec!["both".into(), "new".into()];
    store.update_one(&link).await.unwrap();
    let all = ListLinks::new(Scope::All);
    for (query, count) in [
        (all.clone().with_tag("old"), 0),
        (all.clone().with_tag("both"), 1),
        (all.clone().with_tag("new"), 1),
        (all.clone().with_url(old_url), 0),
        (all.clone().with_url(link.url.clone()), 1),
    ] {
        assert_eq!(check(store, std::slice::from_ref(&link), &query).await, count, "{query:?}");
    }
    store.delete_one(Delete::new(link.code.clone(), link.id)).await.unwrap();
    for query in [all.clone().with_tag("new"), all.clone().with_url(link.url), all.with_search("new")] {
        assert_eq!(check(store, &[], &query).await, 0);
    }
}

/// Filters are joined by *and*, in any combination, order, scope and size of page.
pub async fn filters_are_joined_by_and(store: &Handles) {
    let mut rng = seeded(7);
    let links: Vec<_> = (0..150).map(|n| random_link(&mut rng, n)).collect();
    insert_all(&**store, &links).await;
    let mut found = 0;
    for _ in 0..120 {
        found += check(store, &links, &random_query(&mut rng)).await;
    }
    assert!(found > 100, "the queries found {found} links: too few to mean anything");
}

fn random_link(rng: &mut StdRng, n: i64) -> Link {
    let text = format!("{}{n}", ["sale", "x", "Sa"].choose(rng).unwrap());
    let text =
        if rng.random_bool(0.5) { text.to_ascii_lowercase() } else { format!("{}-q", text.to_ascii_lowercase()) };
    let key: Code = match rng.random_range(0..3) {
        0 => code(&text),
        1 => code_in("a.example", &text),
        _ => code_in("a.example.b", &text),
    };
    let mut link =
        Link::new(key, format!("https://example.com/{}", rng.random_range(0..4)), start() + TimeDelta::milliseconds(n));
    link.title = rng.random_bool(0.6).then(|| (*["Winter SALE", "50 % off", "a_b"].choose(rng).unwrap()).to_owned());
    link.tags = ["blue", "red"].into_iter().filter(|_| rng.random_bool(0.5)).map(str::to_owned).collect();
    link
}

fn random_query(rng: &mut StdRng) -> ListLinks {
    let scopes = [Scope::All, Scope::Plain, Scope::Domain(domain("a.example")), Scope::Domain(domain("a.example.b"))];
    let mut query = ListLinks::new(scopes.choose(rng).unwrap().clone()).with_limit(rng.random_range(1..40));
    if rng.random_bool(0.4) {
        query = query.with_tag(*["blue", "red"].choose(rng).unwrap());
    }
    if rng.random_bool(0.4) {
        query = query.with_url(format!("https://example.com/{}", rng.random_range(0..4)));
    }
    if rng.random_bool(0.4) {
        query = query.with_search(*["sale", "%", "_", "-q", "example.com/1", ""].choose(rng).unwrap());
    }
    let moment = |rng: &mut StdRng| start() + TimeDelta::milliseconds(rng.random_range(0..150));
    let from = rng.random_bool(0.3).then(|| moment(rng));
    let until = rng.random_bool(0.3).then(|| moment(rng));
    query.with_created(from, until)
}
