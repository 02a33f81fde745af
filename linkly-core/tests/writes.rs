//! Writes end in an invalidation, whatever becomes of them and of their callers.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use linkly_core::{
    CodeGenerator, CodePolicy, Config, Domain, Error, LinkPatch, Linkly, ListLinks, MemoryStore, Metadata, NewLink,
    Order, RedirectStatus, Resolution, UrlPolicy,
};
use support::deaf_cache::DeafCache;
use support::{Fault, MapCache, TestStore, url};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

async fn linkly(store: &TestStore) -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    Linkly::builder(store.clone()).cache(MapCache::new()).config(config).start().await.unwrap()
}

#[tokio::test]
async fn a_write_whose_caller_went_away_is_finished_and_invalidates() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    store.controls.before_write.close();
    let caller = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.update("a", LinkPatch::new().with_url("new.example")).await }
    });
    store.controls.before_write.arrived(2).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    store.controls.before_write.open();
    assert!(linkly.shutdown(10 * SECOND).await.writes_ended);
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_late_is_unavailable_and_invalidates_again_when_it_has_happened() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    store.controls.before_write.close();
    let error = linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(url(linkly.resolve("a").await), "https://old.example", "it is cached again, and has not happened");
    store.controls.before_write.open();
    assert!(linkly.shutdown(10 * SECOND).await.writes_ended);
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test]
async fn a_write_that_failed_invalidates_too() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    for fault in [Fault::Broken, Fault::Panic] {
        let before = linkly.metrics().invalidations;
        store.controls.write_faults.lock().unwrap().push(fault);
        let error = linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }), "{error}");
        assert_eq!(linkly.metrics().invalidations, before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_is_sent_again_and_is_no_conflict_with_itself() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    let lose_two = || store.controls.write_faults.lock().unwrap().extend([Fault::AnswerLost, Fault::Unavailable]);
    lose_two();
    let made = linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    assert_eq!(made.version, 1);
    lose_two();
    let changed = linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    assert_eq!((changed.version, changed.url.as_str()), (2, "https://new.example"));
    lose_two();
    linkly.delete("a").await.unwrap();
    assert_eq!(linkly.resolve("a").await.unwrap(), Resolution::NotFound);
    assert_eq!(store.controls.writes.load(Ordering::SeqCst), 9);
}

async fn linkly_with_a_deaf_cache() -> (Linkly, Arc<DeafCache>) {
    let cache = Arc::new(DeafCache::default());
    let config = Config::default().with_poll_changes(Duration::ZERO);
    let builder = Linkly::builder(TestStore::new()).cache(cache.clone()).config(config);
    (builder.start().await.unwrap(), cache)
}

/// While Redis is down every write would wait for the pauses between the tries.
#[tokio::test(start_paused = true)]
async fn a_write_waits_for_one_try_to_invalidate_and_the_others_go_on() {
    let (linkly, cache) = linkly_with_a_deaf_cache().await;
    cache.set_deaf(usize::MAX);
    let begun = Instant::now();
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    linkly.delete("a").await.unwrap();
    assert_eq!((cache.told(), begun.elapsed()), (3, Duration::ZERO));
    assert!(linkly.shutdown(10 * SECOND).await.writes_ended);
    assert_eq!((cache.told(), begun.elapsed()), (9, Duration::from_millis(150)), "which a shutdown waits for");
    assert_eq!(linkly.metrics().cache_errors, 9);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_back_in_time_is_told_of_a_write_behind_its_answer() {
    let (linkly, cache) = linkly_with_a_deaf_cache().await;
    linkly.create(NewLink::new("old.example").with_code("a")).await.unwrap();
    assert_eq!(url(linkly.resolve("a").await), "https://old.example");
    cache.set_deaf(2);
    linkly.update("a", LinkPatch::new().with_url("new.example")).await.unwrap();
    assert!(linkly.shutdown(10 * SECOND).await.writes_ended);
    assert_eq!(url(linkly.resolve("a").await), "https://new.example");
}

#[tokio::test(start_paused = true)]
async fn what_the_app_invalidates_itself_is_tried_three_times_before_it_is_an_error() {
    for everything in [false, true] {
        let (linkly, cache) = linkly_with_a_deaf_cache().await;
        let invalidate =
            || async { if everything { linkly.invalidate_all().await } else { linkly.invalidate("a").await } };
        cache.set_deaf(2);
        invalidate().await.unwrap();
        assert_eq!((cache.told(), linkly.metrics().cache_errors), (3, 2), "everything: {everything}");
        cache.set_deaf(usize::MAX);
        assert!(invalidate().await.unwrap_err().is_transient());
        assert_eq!((cache.told(), linkly.metrics().cache_errors), (6, 5), "everything: {everything}");
    }
}

#[tokio::test]
async fn a_write_warms_the_cache() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    while linkly.metrics().loaded < 1 {
        tokio::task::yield_now().await;
    }
    let reads = store.reads();
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    assert_eq!(store.reads(), reads);
}

#[tokio::test]
async fn after_a_shutdown_nothing_is_written_and_resolving_goes_on() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    assert!(linkly.shutdown(SECOND).await.writes_ended);
    assert!(matches!(linkly.create(NewLink::new("iii.dev")).await, Err(Error::Closed { .. })));
    assert!(matches!(linkly.delete("a").await, Err(Error::Closed { .. })));
    assert_eq!(url(linkly.resolve("a").await), "https://iii.dev");
    assert!(linkly.shutdown(SECOND).await.writes_ended, "a second shutdown is as good as the first");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_returns_at_its_deadline_and_says_what_was_not_finished() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    store.controls.before_write.close();
    let _caller = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.create(NewLink::new("iii.dev")).await }
    });
    store.controls.before_write.arrived(1).await;
    assert!(!linkly.shutdown(SECOND).await.writes_ended);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_hangs_takes_no_time_from_the_clicks_of_a_shutdown() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    linkly.resolve("a").await.unwrap();
    store.controls.before_write.close();
    let _caller = tokio::spawn({
        let linkly = linkly.clone();
        async move { linkly.create(NewLink::new("iii.dev")).await }
    });
    store.controls.before_write.arrived(2).await;
    for _ in 0..100 {
        linkly.visit("a", &linkly_core::VisitContext::new()).await.unwrap();
    }
    let report = linkly.shutdown(SECOND).await;
    assert_eq!((report.writes_ended, report.clicks.written, report.clicks.not_written), (false, 100, 0));
    store.controls.before_write.open();
    assert!(linkly.shutdown(Duration::MAX).await.writes_ended, "and without a deadline it waits for the write");
}

#[tokio::test]
async fn a_taken_custom_code_is_an_error_and_never_replaced() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("first.example").with_code("a")).await.unwrap();
    let error = linkly.create(NewLink::new("second.example").with_code("a")).await.unwrap_err();
    assert!(matches!(&error, Error::CodeTaken { code } if code == "a"), "{error}");
    assert_eq!(url(linkly.resolve("a").await), "https://first.example");
    linkly.delete("a").await.unwrap();
    let error = linkly.create(NewLink::new("second.example").with_code("a")).await.unwrap_err();
    assert!(matches!(error, Error::CodeTaken { .. }), "a deleted code is retired");
}

#[tokio::test]
async fn a_released_code_can_be_used_again_by_a_new_link_with_new_totals() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    let first = linkly.create(NewLink::new("first.example").with_code("a")).await.unwrap();
    linkly.visit("a", &linkly_core::VisitContext::new()).await.unwrap();
    linkly.flush().await.unwrap();
    assert_eq!(linkly.stats("a").await.unwrap().clicks, 1);
    linkly.release("a").await.unwrap();
    let second = linkly.create(NewLink::new("second.example").with_code("a")).await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(linkly.stats("a").await.unwrap().clicks, 0);
    assert_eq!(url(linkly.resolve("a").await), "https://second.example");
}

#[tokio::test]
async fn random_codes_grow_longer_when_many_are_taken() {
    let store = TestStore::new();
    let linkly =
        Linkly::builder(store.clone()).generator(CodeGenerator::with_length(1).seeded(7)).start().await.unwrap();
    let links = linkly.create_many(vec![NewLink::new("iii.dev"); 400]).await.unwrap();
    let mut codes: Vec<_> = links.into_iter().map(|link| link.unwrap().code.to_string()).collect();
    assert!(codes.iter().any(|code| code.len() == 1) && codes.iter().any(|code| code.len() > 1));
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), 400);
}

#[tokio::test]
async fn many_links_are_made_in_one_call_and_one_bad_one_keeps_none_back() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("taken")).await.unwrap();
    let writes = store.controls.writes.load(Ordering::SeqCst);
    let mut new: Vec<_> = (0..1_000).map(|n| NewLink::new(format!("iii.dev/{n}")).with_code(format!("n{n}"))).collect();
    new[10].url = "javascript:alert(1)".into();
    new[20].code = Some("not a code".into());
    new[30].code = Some("taken".into());
    new[40].code = Some("n41".into());
    let made = linkly.create_many(new).await.unwrap();
    assert_eq!(store.controls.writes.load(Ordering::SeqCst), writes + 1);
    for (index, made) in made.iter().enumerate() {
        match index {
            10 => assert!(matches!(made, Err(Error::InvalidUrl { .. }))),
            20 => assert!(matches!(made, Err(Error::InvalidCode { .. }))),
            30 | 41 => assert!(matches!(made, Err(Error::CodeTaken { .. }))),
            _ => assert_eq!(made.as_ref().unwrap().url, format!("https://iii.dev/{index}")),
        }
    }
    assert!(linkly.create_many(Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_policies_say_what_is_let_in() {
    let linkly = Linkly::builder(MemoryStore::new())
        .codes(CodePolicy::default().with_reserved(["api"]))
        .urls(UrlPolicy::default().with_own_host("s.example"))
        .start()
        .await
        .unwrap();
    for new in [
        NewLink::new("iii.dev").with_code("API"),
        NewLink::new("https://s.example/x"),
        NewLink::new("iii.dev").with_title("a\0"),
        NewLink::new("iii.dev").with_max_clicks(0),
        NewLink::new("iii.dev").with_tags(["a\nb"]),
    ] {
        let error = linkly.create(new.clone()).await.unwrap_err();
        assert!(error.is_invalid_input(), "{new:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_different_fields_at_the_same_moment_are_both_made() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    let change = |patch: LinkPatch| {
        let linkly = linkly.clone();
        tokio::spawn(async move { linkly.update("a", patch).await.unwrap() })
    };
    let metadata: Metadata = serde_json::from_str(r#"{"k": 1}"#).unwrap();
    let tasks = [
        change(LinkPatch::new().with_title(Some("T".into()))),
        change(LinkPatch::new().with_tags(["x"])),
        change(LinkPatch::new().with_redirect(RedirectStatus::MovedPermanently)),
        change(LinkPatch::new().with_metadata(metadata.clone())),
    ];
    for task in tasks {
        task.await.unwrap();
    }
    let link = linkly.get("a").await.unwrap().unwrap();
    assert_eq!((link.title.as_deref(), &link.tags[..]), (Some("T"), &["x".to_owned()][..]));
    assert_eq!((link.redirect, link.metadata, link.version), (RedirectStatus::MovedPermanently, metadata, 5));
}

#[tokio::test]
async fn a_patch_with_a_version_changes_that_version_only() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    let patch = LinkPatch::new().with_version(1).with_title(Some("T".into()));
    assert_eq!(linkly.update("a", patch.clone()).await.unwrap().version, 2);
    assert!(matches!(linkly.update("a", patch).await, Err(Error::Conflict { .. })));
    assert!(matches!(linkly.update("b", LinkPatch::new()).await, Err(Error::NotFound { .. })));
    assert!(matches!(linkly.delete("b").await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_code_is_reused_only_when_asked_and_only_of_a_live_link_with_the_same_options() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    let plain = || NewLink::new("iii.dev/docs");
    let first = linkly.create(plain()).await.unwrap();
    let second = linkly.create(plain()).await.unwrap();
    assert_ne!(first.code, second.code);
    let reused = linkly.create(plain().with_reuse()).await.unwrap();
    assert!(reused.code == first.code || reused.code == second.code);
    let titled = linkly.create(plain().with_title("T").with_reuse()).await.unwrap();
    assert!(titled.code != first.code && titled.code != second.code);
    assert_eq!(linkly.create(plain().with_title("T").with_reuse()).await.unwrap().code, titled.code);
    let custom = linkly.create(plain().with_code("custom").with_reuse()).await.unwrap();
    assert_eq!(custom.code.as_str(), "custom");
    assert_eq!(linkly.create(plain().with_code("custom").with_reuse()).await.unwrap().id, custom.id);
    linkly.delete(titled.code.as_str()).await.unwrap();
    assert_ne!(linkly.create(plain().with_title("T").with_reuse()).await.unwrap().code, titled.code);
    let acme = linkly.domain(Domain::new("acme.com").unwrap());
    assert_eq!(acme.create(plain().with_reuse()).await.unwrap().code.domain(), Some("acme.com"));
}

#[tokio::test]
async fn an_expired_or_used_up_link_is_not_reused() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    let past = linkly_core::chrono::DateTime::UNIX_EPOCH;
    let expired = || NewLink::new("iii.dev").with_expiry(past).with_reuse();
    assert_ne!(linkly.create(expired()).await.unwrap().code, linkly.create(expired()).await.unwrap().code);
    let once = || NewLink::new("iii.dev").with_max_clicks(1).with_reuse();
    let first = linkly.create(once()).await.unwrap();
    assert_eq!(linkly.create(once()).await.unwrap().code, first.code);
    linkly.visit(first.code.as_str(), &linkly_core::VisitContext::new()).await.unwrap();
    assert_ne!(linkly.create(once()).await.unwrap().code, first.code);
}

#[tokio::test]
async fn a_handle_lists_its_own_links_only() {
    let store = TestStore::new();
    let plain = linkly(&store).await;
    let acme = plain.domain(Domain::new("acme.com").unwrap());
    for code in ["a", "b"] {
        plain.create(NewLink::new("iii.dev").with_code(code)).await.unwrap();
        acme.create(NewLink::new("iii.dev").with_code(code)).await.unwrap();
    }
    let codes = |page: linkly_core::Page<linkly_core::Link>| -> Vec<String> {
        page.items.iter().map(|link| link.code.to_string()).collect()
    };
    let all = ListLinks::new(linkly_core::Scope::All).with_order(Order::Code);
    assert_eq!(codes(plain.list(&all).await.unwrap()), ["a", "b"]);
    assert_eq!(codes(acme.list(&all).await.unwrap()), ["//acme.com/a", "//acme.com/b"]);
}
