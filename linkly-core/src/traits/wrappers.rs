//! `Arc` and `Box` of an implementation are implementations.

// A default method of a trait must never silently replace what is inside.
#![deny(clippy::missing_trait_methods)]

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::runtime::Handle;

use super::*;
use crate::{Click, Code, Folding, Link, Result, Target, Tick};

macro_rules! forward {
    ($wrapper:ident) => {
        #[async_trait]
        impl<T: LinkStore + ?Sized> LinkStore for $wrapper<T> {
            fn folding(&self) -> Folding {
                (**self).folding()
            }
            async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
                (**self).insert(links).await
            }
            async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
                (**self).targets(codes).await
            }
            async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
                (**self).get(codes).await
            }
            async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
                (**self).update(links).await
            }
            async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
                (**self).delete(links).await
            }
            async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
                (**self).consume(uses).await
            }
            async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
                (**self).list(query).await
            }
        }

        #[async_trait]
        impl<T: ClickSink + ?Sized> ClickSink for $wrapper<T> {
            async fn record(&self, clicks: &[Click]) -> Result<()> {
                (**self).record(clicks).await
            }
        }

        #[async_trait]
        impl<T: ClickStats + ?Sized> ClickStats for $wrapper<T> {
            async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
                (**self).totals(codes).await
            }
            async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
                (**self).series(query).await
            }
            async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
                (**self).clicks(query).await
            }
            async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
                (**self).top(query).await
            }
        }

        #[async_trait]
        impl<T: Maintenance + ?Sized> Maintenance for $wrapper<T> {
            async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
                (**self).changes(after).await
            }
            async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
                (**self).purge_clicks(before, limit).await
            }
            async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
                (**self).purge_expired(query).await
            }
            async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
                (**self).reconcile(range).await
            }
            async fn optimize(&self) -> Result<()> {
                (**self).optimize().await
            }
            async fn size(&self) -> Result<Size> {
                (**self).size().await
            }
            async fn ping(&self) -> Result<()> {
                (**self).ping().await
            }
        }

        #[async_trait]
        impl<T: Cache + ?Sized> Cache for $wrapper<T> {
            fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
                (**self).peek(code, now)
            }
            async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
                (**self).get(codes, now).await
            }
            async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
                (**self).fill(fills, now).await
            }
            async fn invalidate(&self, codes: &[Code]) -> Result<()> {
                (**self).invalidate(codes).await
            }
            async fn clear(&self) -> Result<()> {
                (**self).clear().await
            }
            async fn forget(&self, codes: &[Code]) -> Result<()> {
                (**self).forget(codes).await
            }
            async fn forget_all(&self) -> Result<()> {
                (**self).forget_all().await
            }
            async fn position(&self) -> Result<Option<ChangeCursor>> {
                (**self).position().await
            }
            async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
                (**self).advance(from, to).await
            }
        }

        #[async_trait]
        impl<T: Channel + ?Sized> Channel for $wrapper<T> {
            fn start(&self, listener: Weak<dyn Listener>, runtime: &Handle) -> Result<()> {
                (**self).start(listener, runtime)
            }
            fn announce(&self, codes: &[Code]) {
                (**self).announce(codes);
            }
            fn announce_all(&self) {
                (**self).announce_all();
            }
            async fn close(&self) {
                (**self).close().await;
            }
        }
    };
}

forward!(Arc);
forward!(Box);
