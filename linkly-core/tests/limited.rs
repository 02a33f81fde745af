//! Links with `max_clicks`: never more redirects than that, and exactly as many.

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use linkly_core::{Config, Error, LinkPatch, Linkly, NewLink, Visit, VisitContext};
use support::{Fault, MapCache, TestStore};

async fn linkly(store: &TestStore) -> Linkly {
    let config = Config::default().with_poll_changes(Duration::ZERO);
    Linkly::builder(store.clone()).cache(MapCache::new()).config(config).start().await.unwrap()
}

fn visit(linkly: &Linkly) -> tokio::task::JoinHandle<linkly_core::Result<Visit>> {
    let linkly = linkly.clone();
    tokio::spawn(async move { linkly.visit("a", &VisitContext::new()).await })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_visits_at_once_exactly_as_many_are_redirected_as_the_limit_says() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(37)).await.unwrap();
    let visits: Vec<_> = (0..200).map(|_| visit(&linkly)).collect();
    let (mut redirects, mut gone) = (0, 0);
    for visit in visits {
        match visit.await.unwrap().unwrap() {
            Visit::Redirect { .. } => redirects += 1,
            Visit::Gone => gone += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((redirects, gone), (37, 163));
    linkly.flush().await.unwrap();
    assert_eq!(linkly.stats("a").await.unwrap().clicks, 37);
    assert_eq!(linkly.get("a").await.unwrap().unwrap().consumed, 37);
    assert_eq!(linkly.metrics().exhausted, 163);
}

#[tokio::test]
async fn visits_that_arrive_while_the_store_is_asked_are_asked_for_together() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(1_000)).await.unwrap();
    store.controls.before_consume.close();
    let mut visits = vec![visit(&linkly)];
    store.controls.before_consume.arrived(1).await;
    visits.extend((0..50).map(|_| visit(&linkly)));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    store.controls.before_consume.open();
    for visit in visits {
        assert!(matches!(visit.await.unwrap().unwrap(), Visit::Redirect { .. }));
    }
    assert_eq!(store.controls.consumes.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn head_requests_and_bots_are_withheld_and_spend_nothing() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(1)).await.unwrap();
    let bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
    for context in [VisitContext::new().with_head(true), VisitContext::new().with_user_agent(Some(bot))] {
        assert_eq!(linkly.visit("a", &context).await.unwrap(), Visit::Withheld);
    }
    assert!(matches!(linkly.visit("a", &VisitContext::new()).await.unwrap(), Visit::Redirect { .. }));
    assert_eq!(linkly.visit("a", &VisitContext::new()).await.unwrap(), Visit::Gone);
    assert_eq!(linkly.metrics().withheld, 2);
}

#[tokio::test]
async fn a_store_that_cannot_be_asked_grants_nothing() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(5)).await.unwrap();
    for fault in [Fault::Unavailable, Fault::Panic] {
        store.controls.consume_faults.lock().unwrap().push(fault);
        assert!(linkly.visit("a", &VisitContext::new()).await.unwrap_err().is_transient());
    }
    store.controls.consume_faults.lock().unwrap().push(Fault::AnswerLost);
    assert!(linkly.visit("a", &VisitContext::new()).await.is_err());
    let mut redirects = 0;
    while let Visit::Redirect { .. } = linkly.visit("a", &VisitContext::new()).await.unwrap() {
        redirects += 1;
    }
    assert_eq!(redirects, 4, "one was consumed by the call whose answer was lost");
}

#[tokio::test]
async fn a_writer_that_fails_keeps_no_other_link_from_being_followed() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(5)).await.unwrap();
    store.controls.consume_faults.lock().unwrap().extend([Fault::Unavailable; 20]);
    for _ in 0..20 {
        assert!(linkly.visit("a", &VisitContext::new()).await.is_err());
    }
    assert_eq!(store.controls.consumes.load(Ordering::SeqCst), 5, "it is asked no more after five failures");
    assert_eq!(linkly.visit("cold", &VisitContext::new()).await.unwrap(), Visit::NotFound);
}

#[tokio::test]
async fn after_a_shutdown_no_redirect_is_spent() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(5)).await.unwrap();
    linkly.shutdown(Duration::from_secs(1)).await;
    assert!(linkly.visit("a", &VisitContext::new()).await.is_err());
    assert_eq!(linkly.get("a").await.unwrap().unwrap().consumed, 0);
}

#[tokio::test]
async fn a_raised_limit_grants_again() {
    let store = TestStore::new();
    let linkly = linkly(&store).await;
    linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(1)).await.unwrap();
    linkly.visit("a", &VisitContext::new()).await.unwrap();
    assert_eq!(linkly.visit("a", &VisitContext::new()).await.unwrap(), Visit::Gone);
    linkly.update("a", LinkPatch::new().with_max_clicks(Some(2))).await.unwrap();
    assert!(matches!(linkly.visit("a", &VisitContext::new()).await.unwrap(), Visit::Redirect { .. }));
    assert_eq!(linkly.visit("a", &VisitContext::new()).await.unwrap(), Visit::Gone);
}

/// As with Actix, whose workers each have a runtime of their own.
#[test]
fn a_runtime_that_ends_before_it_asks_answers_those_who_wait() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let of_the_engine = runtime();
    let linkly = of_the_engine.block_on(async {
        let linkly = linkly(&TestStore::new()).await;
        linkly.create(NewLink::new("iii.dev").with_code("a").with_max_clicks(5)).await.unwrap();
        linkly.resolve("a").await.unwrap();
        linkly
    });
    runtime().block_on(async {
        let context = VisitContext::new();
        let mut visit = std::pin::pin!(linkly.visit("a", &context));
        tokio::select! {
            biased;
            answer = &mut visit => panic!("its runtime does not run: {answer:?}"),
            () = std::future::ready(()) => {}
        }
        of_the_engine.shutdown_background();
        let error = visit.await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable { .. }), "{error}");
    });
}
