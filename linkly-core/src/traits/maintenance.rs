//! What keeps a database in order over the years.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::TimeRange;
use crate::{Code, Result};

/// What keeps a database in order over the years. Each call does a bounded piece of work, so that
/// nothing here holds up redirects.
#[async_trait]
pub trait Maintenance: Debug + Send + Sync + 'static {
    /// The codes whose links changed behind `after`: how nodes learn of writes that bypassed them.
    ///
    /// # Contract
    ///
    /// - Without a cursor: no codes, and a cursor behind which no later change is missed.
    /// - Every insert, update and delete that is committed, also one by the app's own SQL, is
    ///   reported at least once behind a cursor that was read before it began, also when it commits
    ///   later than others that began after it.
    /// - [`LinkStore::consume`](super::LinkStore::consume) is not a change.
    /// - When the log no longer reaches back to the cursor, or does not know it, `lost` says that any link
    ///   may have changed.
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes>;

    /// Removes up to `limit` rows (at least one) of clicks that are older than `before`, rounded down to the hour.
    /// A store that keeps clicks in partitions may drop the partitions that are older, each whole, whatever
    /// `limit` is.
    ///
    /// # Contract
    ///
    /// - Totals and hourly series stay as they are.
    /// - From the first call on, clicks older than the watermark are refused
    ///   ([`Error::Refused`](crate::Error::Refused)); the watermark never moves back.
    /// - Idempotent: called until `done`, and again.
    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks>;

    /// Deletes up to `limit` links that expired before a moment.
    ///
    /// # Contract
    ///
    /// - The codes are retired and their statistics stay; with [`PurgeExpired::release`] the codes
    ///   can be used again and the statistics go.
    /// - Links without expiry, and those that expire at that very moment, are not touched.
    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks>;

    /// Counts the rows of clicks again in a bounded part of `range`, mends hours and totals that
    /// differ, and reports each difference. None is expected.
    ///
    /// # Contract
    ///
    /// - Never counts hours older than the watermark of [`purge_clicks`](Self::purge_clicks).
    /// - `next` is where the following call goes on; `None` when `range` is done.
    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled>;

    /// Sees to what the database's planner knows and trims what is kept for a while only.
    async fn optimize(&self) -> Result<()>;

    /// What the database takes on disk.
    async fn size(&self) -> Result<Size>;

    /// One cheap round trip to the primary, for health checks.
    async fn ping(&self) -> Result<()>;
}

/// A place in a store's change log: an opaque text that the store wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeCursor(String);

impl ChangeCursor {
    /// A cursor from the text that an earlier answer gave.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What changed behind a cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// The codes, each at least once, in no order.
    pub codes: Vec<Code>,
    /// Where to go on.
    pub next: ChangeCursor,
    /// Whether the log no longer reached back to the cursor.
    pub lost: bool,
    /// Whether there is more to read at once.
    pub more: bool,
}

impl Changes {
    /// Changes that a store has read.
    pub fn new(codes: Vec<Code>, next: ChangeCursor) -> Self {
        Self { codes, next, lost: false, more: false }
    }
}

/// What a call of [`Maintenance::purge_clicks`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgedClicks {
    /// Rows that were removed.
    pub removed: u64,
    /// Whether nothing older than the watermark is left.
    pub done: bool,
    /// Clicks older than this are refused.
    pub watermark: DateTime<Utc>,
}

impl PurgedClicks {
    /// What a store did.
    pub fn new(removed: u64, done: bool, watermark: DateTime<Utc>) -> Self {
        Self { removed, done, watermark }
    }
}

/// Which expired links to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgeExpired {
    /// Links that expired before this moment.
    pub before: DateTime<Utc>,
    /// Let their codes be used again; their statistics go.
    pub release: bool,
    /// At most so many in one call. Default: 1,000.
    pub limit: u32,
}

impl PurgeExpired {
    /// Retires links that expired before this moment.
    pub fn new(before: DateTime<Utc>) -> Self {
        Self { before, release: false, limit: 1_000 }
    }

    /// Lets their codes be used again; their statistics go.
    #[must_use]
    pub fn with_release(mut self) -> Self {
        self.release = true;
        self
    }

    /// At most so many in one call.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.max(1);
        self
    }
}

/// What a call of [`Maintenance::purge_expired`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PurgedLinks {
    /// The codes of the links that were deleted.
    pub codes: Vec<Code>,
    /// Whether none is left.
    pub done: bool,
}

impl PurgedLinks {
    /// What a store did.
    pub fn new(codes: Vec<Code>, done: bool) -> Self {
        Self { codes, done }
    }
}

/// What a call of [`Maintenance::reconcile`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciled {
    /// What differed and was mended.
    pub differences: Vec<Difference>,
    /// Where the following call goes on.
    pub next: Option<DateTime<Utc>>,
}

impl Reconciled {
    /// What a store did.
    pub fn new(differences: Vec<Difference>, next: Option<DateTime<Utc>>) -> Self {
        Self { differences, next }
    }
}

/// Clicks and bots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Clicks, bots included.
    pub clicks: u64,
    /// Clicks of bots.
    pub bots: u64,
}

/// A count that was not what the rows say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// Of this code.
    pub code: Code,
    /// The hour; `None` for the total.
    pub hour: Option<DateTime<Utc>>,
    /// What stood there.
    pub found: Count,
    /// What stands there now.
    pub mended: Count,
}

impl Difference {
    /// A difference that a store has mended.
    pub fn new(code: Code, hour: Option<DateTime<Utc>>, found: Count, mended: Count) -> Self {
        Self { code, hour, found, mended }
    }
}

/// What a database takes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Size {
    /// Bytes, indexes included.
    pub bytes: u64,
}

impl Size {
    /// A size that a store has read.
    pub fn new(bytes: u64) -> Self {
        Self { bytes }
    }
}
