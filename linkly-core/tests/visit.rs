//! Visiting: the redirect, its location, and the click.

use std::time::Duration;

use linkly_core::chrono::Utc;
use linkly_core::{
    Acknowledge, Linkly, ListClicks, MemoryStore, NewLink, RecorderConfig, RedirectStatus, Step, TimeRange, Visit,
    VisitContext,
};

async fn linkly() -> Linkly {
    Linkly::builder(MemoryStore::new()).start().await.unwrap()
}

#[track_caller]
fn redirect(visit: Visit) -> (u16, String) {
    match visit {
        Visit::Redirect { status, location, .. } => (status, location.to_string()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_visit_is_a_redirect_and_one_row() {
    let linkly = linkly().await;
    let link = linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    let context = VisitContext::new()
        .with_referrer(Some("https://news.example/item?id=1"))
        .with_user_agent(Some("Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"))
        .with_country(Some("DE"));
    assert_eq!(redirect(linkly.visit("a", &context).await.unwrap()), (302, "https://iii.dev".into()));
    linkly.flush().await.unwrap();
    let clicks = linkly.clicks("a", &ListClicks::new(TimeRange::all())).await.unwrap().items;
    let [click] = &clicks[..] else { panic!("{clicks:?}") };
    assert_eq!((click.link_id, click.referrer.as_deref()), (Some(link.id), Some("news.example")));
    assert_eq!((click.browser.as_deref(), click.os.as_deref()), (Some("Firefox"), Some("Linux")));
    assert_eq!((click.country.as_deref(), click.visitor, click.bot), (Some("DE"), None, false));
}

#[tokio::test]
async fn the_status_and_the_query_follow_the_link() {
    let linkly = linkly().await;
    let new = NewLink::new("iii.dev/?a=1#top").with_redirect(RedirectStatus::PermanentRedirect);
    linkly.create(new.clone().with_code("plain")).await.unwrap();
    linkly.create(new.with_code("forwards").with_forwarded_query()).await.unwrap();
    let context = VisitContext::new().with_query(Some("utm=x"));
    assert_eq!(redirect(linkly.visit("plain", &context).await.unwrap()), (308, "https://iii.dev/?a=1#top".into()));
    let forwarded = redirect(linkly.visit("forwards", &context).await.unwrap());
    assert_eq!(forwarded, (308, "https://iii.dev/?a=1&utm=x#top".into()));
}

#[tokio::test]
async fn head_requests_and_bots_are_redirected_and_counted_apart() {
    let linkly = linkly().await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    let preview = "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)";
    for context in [
        VisitContext::new(),
        VisitContext::new().with_user_agent(Some("curl/8.5.0")),
        VisitContext::new().with_head(true),
        VisitContext::new().with_user_agent(Some(preview)),
    ] {
        redirect(linkly.visit("a", &context).await.unwrap());
    }
    linkly.flush().await.unwrap();
    let totals = linkly.stats("a").await.unwrap();
    assert_eq!((totals.clicks, totals.bots), (4, 2));
    let series = linkly.series("a", TimeRange::all(), Step::Day).await.unwrap();
    assert_eq!(series.iter().map(|bucket| bucket.clicks).sum::<u64>(), 4);
    let top = linkly.top(TimeRange::all(), 10).await.unwrap();
    assert_eq!((top[0].code.as_str(), top[0].clicks), ("a", 4));
}

#[tokio::test]
async fn nothing_is_counted_where_nothing_is_found() {
    let linkly = linkly().await;
    linkly.create(NewLink::new("iii.dev").with_code("old").with_expiry(Utc::now())).await.unwrap();
    assert_eq!(linkly.visit("none", &VisitContext::new()).await.unwrap(), Visit::NotFound);
    assert_eq!(linkly.visit("old", &VisitContext::new()).await.unwrap(), Visit::Gone);
    assert!(linkly.visit("not a code", &VisitContext::new()).await.is_err());
    linkly.flush().await.unwrap();
    assert_eq!(linkly.stats("none").await.unwrap().clicks + linkly.stats("old").await.unwrap().clicks, 0);
}

#[tokio::test]
async fn an_app_that_redirects_on_its_own_records_its_clicks() {
    let linkly = linkly().await;
    let at = Utc::now() - linkly_core::chrono::TimeDelta::days(3);
    linkly.record_click("a", at).await.unwrap();
    linkly.flush().await.unwrap();
    let totals = linkly.stats("a").await.unwrap();
    assert_eq!(totals.last_clicked_at, Some(linkly_core::whole_millis(at)));
}

#[tokio::test]
async fn a_durable_click_is_in_the_store_when_the_visit_returns() {
    let config = RecorderConfig::default().with_acknowledge(Acknowledge::Durable);
    let linkly = Linkly::builder(MemoryStore::new()).recorder(config).start().await.unwrap();
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    for clicks in 1..=5 {
        redirect(linkly.visit("a", &VisitContext::new()).await.unwrap());
        assert_eq!(linkly.stats("a").await.unwrap().clicks, clicks);
    }
}

#[tokio::test]
async fn a_shutdown_writes_what_the_recorder_holds() {
    let linkly = linkly().await;
    linkly.create(NewLink::new("iii.dev").with_code("a")).await.unwrap();
    for _ in 0..2_500 {
        redirect(linkly.visit("a", &VisitContext::new()).await.unwrap());
    }
    let report = linkly.shutdown(Duration::from_secs(10)).await;
    assert_eq!((report.clicks.written, report.clicks.not_written), (2_500, 0));
    assert_eq!(linkly.stats("a").await.unwrap().clicks, 2_500);
    assert!(linkly.visit("a", &VisitContext::new()).await.is_err());
}
