//! What listeners are told of what the engine does.

mod support;

use std::time::Duration;

use linkly_core::chrono::DateTime;
use linkly_core::{
    Code, Config, Domain, Error, Event, Events, LinkPatch, Linkly, MemoryStore, NewLink, Scope, Visit, VisitContext,
};
use support::{Fault, MapCache, TestStore, url};

async fn engine() -> Linkly {
    Linkly::builder(MemoryStore::new()).cache(MapCache::new()).start().await.unwrap()
}

async fn create(linkly: &Linkly, code: &str, tags: &[&str]) {
    let tags = tags.iter().map(ToString::to_string);
    linkly.create(NewLink::new("https://iii.dev").with_code(code).with_tags(tags)).await.unwrap();
}

async fn visit(linkly: &Linkly, code: &str) {
    let visit = linkly.visit(code, &VisitContext::new()).await.unwrap();
    assert!(matches!(visit, Visit::Redirect { .. }), "{visit:?}");
}

/// The events until there is none any more, each in a few words. Ends the engine.
async fn told(linkly: &Linkly, mut events: Events) -> Vec<String> {
    linkly.shutdown(Duration::from_secs(10)).await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        told.push(match event {
            Event::Created { link, .. } => format!("created {} v{}", link.code, link.version),
            Event::Updated { link, .. } => format!("updated {} v{} {}", link.code, link.version, link.url),
            Event::Deleted { link, .. } => format!("deleted {} v{}", link.code, link.version),
            Event::Clicked { code, target: Some(target), .. } => format!("clicked {code} to {}", target.url()),
            Event::Clicked { code, clicked_at, .. } => format!("clicked {code} at {}", clicked_at.timestamp_millis()),
            Event::Missed { count, .. } => format!("missed {count}"),
            other => format!("{other:?}"),
        });
    }
    told
}

#[tokio::test]
async fn everything_is_told_in_order() {
    let linkly = engine().await;
    create(&linkly, "before", &[]).await;
    let events = linkly.events();
    create(&linkly, "a", &[]).await;
    visit(&linkly, "a").await;
    visit(&linkly, "a").await;
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    visit(&linkly, "a").await;
    linkly.record_click("own", DateTime::from_timestamp_millis(7).unwrap()).await.unwrap();
    linkly.delete("a").await.unwrap();
    linkly.visit("a", &VisitContext::new()).await.unwrap();
    assert_eq!(
        told(&linkly, events).await,
        [
            "created a v1",
            "clicked a to https://iii.dev",
            "clicked a to https://iii.dev",
            "updated a v2 https://new.example",
            "clicked a to https://new.example",
            "clicked own at 7",
            "deleted a v2",
        ]
    );
}

#[tokio::test]
async fn who_hears_of_a_change_does_not_resolve_to_what_was_before() {
    let linkly = engine().await;
    create(&linkly, "a", &[]).await;
    let mut events = linkly.events();
    for round in 0..100 {
        linkly.resolve("a").await.unwrap();
        let to = format!("https://{round}.example");
        let update = tokio::spawn({
            let (linkly, to) = (linkly.clone(), to.clone());
            async move { linkly.update("a", LinkPatch::new().with_url(to)).await }
        });
        assert!(matches!(events.next().await, Some(Event::Updated { .. })));
        assert_eq!(url(linkly.resolve("a").await), to);
        update.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn what_did_not_happen_is_not_told() {
    let store = TestStore::new();
    let linkly = Linkly::builder(store.clone()).start().await.unwrap();
    create(&linkly, "a", &[]).await;
    let events = linkly.events();
    let again = linkly.create(NewLink::new("https://iii.dev").with_code("a")).await;
    assert!(matches!(again, Err(Error::CodeTaken { .. })), "{again:?}");
    let stale = linkly.update("a", LinkPatch::new().with_url("new.example").with_version(7)).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "{stale:?}");
    store.controls.write_faults.lock().unwrap().push(Fault::Broken);
    linkly.delete("a").await.unwrap_err();
    assert!(matches!(linkly.delete("none").await, Err(Error::NotFound { .. })));
    assert_eq!(told(&linkly, events).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_came_late_is_told_when_it_has_happened() {
    let store = TestStore::new();
    let linkly = Linkly::builder(store.clone()).start().await.unwrap();
    create(&linkly, "a", &[]).await;
    let events = linkly.events();
    store.controls.before_write.close();
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap_err();
    store.controls.before_write.open();
    assert_eq!(told(&linkly, events).await, ["updated a v2 https://new.example"]);
}

#[tokio::test]
async fn a_listener_hears_what_its_handle_reaches_and_it_asks_for() {
    let linkly = engine().await;
    let acme = linkly.domain(Domain::new("go.acme.com").unwrap());
    let plain = linkly.events();
    let domain = acme.events();
    let all = linkly.events().with_scope(Scope::All);
    let one = linkly.events().with_code(Code::new("b").unwrap());
    let tagged = linkly.events().with_scope(Scope::All).with_tag("launch");
    create(&linkly, "a", &["launch"]).await;
    create(&linkly, "b", &["launch day"]).await;
    create(&acme, "a", &["x", "launch"]).await;
    visit(&acme, "a").await;
    visit(&linkly, "b").await;
    let clicked = |code: &str| format!("clicked {code} to https://iii.dev");
    let created = |code: &str| format!("created {code} v1");
    let (a, b, of_acme) = ("a", "b", "//go.acme.com/a");
    assert_eq!(told(&linkly, plain).await, [created(a), created(b), clicked(b)]);
    assert_eq!(told(&linkly, domain).await, [created(of_acme), clicked(of_acme)]);
    let everything = [created(a), created(b), created(of_acme), clicked(of_acme), clicked(b)];
    assert_eq!(told(&linkly, all).await, everything);
    assert_eq!(told(&linkly, one).await, [created(b), clicked(b)]);
    assert_eq!(told(&linkly, tagged).await, [created(a), created(of_acme), clicked(of_acme)]);
}

#[tokio::test]
async fn a_slow_listener_is_told_how_many_it_missed_and_holds_nothing_up() {
    let config = Config::default().with_events(8);
    let linkly = Linkly::builder(MemoryStore::new()).config(config).start().await.unwrap();
    create(&linkly, "a", &[]).await;
    let events = linkly.events();
    for _ in 0..100 {
        visit(&linkly, "a").await;
    }
    let told = told(&linkly, events).await;
    assert_eq!(told[0], "missed 92");
    assert_eq!(told[1..], ["clicked a to https://iii.dev"; 8]);
    assert_eq!(linkly.stats("a").await.unwrap().clicks, 100);
}

#[tokio::test]
async fn who_listens_after_the_end_hears_that_it_is_the_end() {
    let linkly = engine().await;
    linkly.shutdown(Duration::from_secs(10)).await;
    assert!(linkly.events().next().await.is_none());
}

#[tokio::test]
async fn more_events_than_can_be_kept_are_refused() {
    let config = Config::default().with_events(usize::MAX);
    let error = Linkly::builder(MemoryStore::new()).config(config).start().await.unwrap_err();
    assert_eq!(error.to_string(), format!("invalid events: {} are not kept, 16777216 at most", usize::MAX));
}
