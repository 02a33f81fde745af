//! Where clicks end up.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::{Click, Result};

/// Where clicks end up, once each: a store, or a durable queue in front of one.
///
/// # Contract
///
/// - `Ok` means that all clicks of the call are durable; an error means that none of them is known
///   to be, and none was kept by half. Sending the same call again is safe.
/// - The same click, by its id, may come any number of times, in any batch and order, and counts once.
///   One that is refused by now is refused, also when it was recorded before.
/// - A store raises the totals and the hours by the rows that it really inserted, in the same
///   transaction: totals equal rows equal the sum of the series, at every moment.
/// - `last_clicked_at` never moves back, in whatever order clicks arrive.
/// - Clicks of codes that have no link are kept like any others.
/// - A click that fails [`Click::check`] fails the whole call with that error; one that the store will
///   never take (older than what was purged, of a link whose code was released) fails it with
///   [`Error::Refused`](crate::Error::Refused). Neither is transient, and nothing of the call is
///   written: the recorder halves the batch until it has found the click.
/// - Batches from many callers with the same codes in any order never deadlock.
///
/// # Cancel safety
///
/// Dropping the future leaves all clicks recorded or none.
#[async_trait]
pub trait ClickSink: Debug + Send + Sync + 'static {
    /// Records all of them durably, or returns an error.
    async fn record(&self, clicks: &[Click]) -> Result<()>;
}

/// One click at a time.
#[async_trait]
pub trait ClickSinkExt: ClickSink {
    /// Records one click durably.
    async fn record_one(&self, click: &Click) -> Result<()> {
        self.record(std::slice::from_ref(click)).await
    }
}

impl<S: ClickSink + ?Sized> ClickSinkExt for S {}
