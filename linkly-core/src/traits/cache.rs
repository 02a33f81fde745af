//! What stands in front of the store.

use std::fmt::Debug;

use async_trait::async_trait;

use super::link_store::only;
use crate::{ChangeCursor, Code, Result, Target, Tick};

/// What stands in front of the store.
///
/// # Leases
///
/// A reader that misses, reads the old row, and stores it after a writer has invalidated would leave
/// a stale entry behind for a whole life. So a lease is taken before the store is read, `invalidate`
/// voids every lease given out for its codes, and a fill without a living lease is dropped. (The
/// scheme of Nishtala et al., *Scaling Memcache at Facebook*, NSDI 2013, section 3.2.1.)
///
/// # Time
///
/// A cache has no clock. Every call is told what tick it is, and entries carry the ticks until which
/// they are fresh and may be served.
///
/// # Errors
///
/// A cache that fails is a miss, never a failed redirect: the engine goes on to the store. Only a
/// failed `invalidate` is acted on.
///
/// # Cancel safety
///
/// Dropping `get` or `fill` loses at most a lease or a fill. Dropping `invalidate` or `clear` leaves
/// it done or not; the engine drops one only when it is later than a write may be, and sends it again.
#[async_trait]
pub trait Cache: Debug + Send + Sync + 'static {
    /// The entry of a code out of this process's memory, without waiting and without allocating.
    /// Caches elsewhere keep the default and answer in [`get`](Self::get).
    ///
    /// # Contract
    ///
    /// - An entry whose `serve_until` is not after `now` is never answered.
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        let _ = (code, now);
        None
    }

    /// The entries of codes, in order, with a lease for each that is missing or not fresh.
    ///
    /// # Contract
    ///
    /// - An entry whose `serve_until` is not after `now` is never answered.
    /// - A missing or stale code comes with a lease. (A cache that cannot give one at the moment may
    ///   answer without; then nothing is filled.)
    /// - Any number of readers may hold leases on one code at once. A lease is taken before the entry is
    ///   looked up: while it lives, the entry that came with it has not been invalidated.
    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>>;

    /// Stores what was loaded under leases, in order.
    ///
    /// # Contract
    ///
    /// - A lease that was voided, by `invalidate` or `clear`, or that the cache no longer knows, is
    ///   [`Filled::Voided`], and nothing is stored.
    /// - An entry that is stored answers the next `peek` and `get` until it is invalidated, evicted (or
    ///   not admitted, for want of room) or past its `serve_until`.
    /// - An entry that may no longer be served at `now` is not stored, and an earlier one of the code
    ///   does not outlive it.
    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>>;

    /// Removes the entries of codes, and voids every lease given out for them.
    ///
    /// # Contract
    ///
    /// - When it has returned, no `peek` or `get` that starts later answers what was there before, and
    ///   no fill under an older lease is stored. Absences are removed like targets.
    /// - Idempotent; a code that is not there is no error. Leases and entries of other codes may be
    ///   lost with it, never kept in error.
    async fn invalidate(&self, codes: &[Code]) -> Result<()>;

    /// The same for all codes.
    async fn clear(&self) -> Result<()>;

    /// Removes what this process's memory holds of codes that another node has written, and invalidated in the
    /// caches that nodes share. By default the same as [`invalidate`](Self::invalidate), which is right for a cache
    /// in this process; one that nodes share has nothing to do, and one over both passes it to the one in this
    /// process.
    ///
    /// # Contract
    ///
    /// - When it has returned, no `peek` that starts later answers what was there before, and none ever answers
    ///   what is filled under an older lease.
    async fn forget(&self, codes: &[Code]) -> Result<()> {
        self.invalidate(codes).await
    }

    /// The same for all codes.
    async fn forget_all(&self) -> Result<()> {
        self.clear().await
    }

    /// The place in the store's change log up to which this cache has been told of every change. Entries that outlive
    /// the process that filled them need it: a process that ends between its write and its invalidation leaves an old
    /// entry behind, and the next one to start goes on from here. A cache in this process, which ends with it, keeps
    /// the default.
    ///
    /// # Contract
    ///
    /// - It is where [`advance`](Self::advance) has last moved it, or there is none: it may be lost at any time, and
    ///   then the cache is cleared.
    /// - After `clear` there is none.
    async fn position(&self) -> Result<Option<ChangeCursor>> {
        Ok(None)
    }

    /// Moves the position, when all changes up to `to` were invalidated here.
    ///
    /// Cursors cannot be compared. That it moves forward alone is by the order of things: `from` was read before the
    /// log was read to `to`, so a node that is late finds that the position is another by now.
    ///
    /// # Contract
    ///
    /// - It is moved only if it is `from`; `None` is that there is none. Otherwise it stays, which is no error.
    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        let _ = (from, to);
        Ok(())
    }
}

/// What a cache knows of a code: a target, or that there is none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The target; `None` is a known absence.
    pub target: Option<Target>,
    /// Until when it is answered without looking behind it.
    pub fresh_until: Tick,
    /// Until when it may be answered at all: while it is refreshed, or while the store is down.
    pub serve_until: Tick,
}

impl Entry {
    /// An entry; `serve_until` is raised to `fresh_until` if it is earlier.
    pub fn new(target: Option<Target>, fresh_until: Tick, serve_until: Tick) -> Self {
        Self { target, fresh_until, serve_until: serve_until.max(fresh_until) }
    }

    /// Whether it is answered without looking behind it.
    pub fn is_fresh(&self, now: Tick) -> bool {
        now < self.fresh_until
    }

    /// Whether it may be answered at all.
    pub fn is_servable(&self, now: Tick) -> bool {
        now < self.serve_until
    }
}

/// The right to fill one code, taken before the store is read.
///
/// A token that only its cache understands; a cache over another keeps the other's lease inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    code: Code,
    token: u128,
    inner: Option<Box<Lease>>,
}

impl Lease {
    /// A lease on `code`.
    pub fn new(code: Code, token: u128) -> Self {
        Self { code, token, inner: None }
    }

    /// The same with the lease of the cache below.
    #[must_use]
    pub fn with_inner(mut self, inner: Option<Lease>) -> Self {
        self.inner = inner.map(Box::new);
        self
    }

    /// The code.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The token.
    pub fn token(&self) -> u128 {
        self.token
    }

    /// The lease of the cache below.
    pub fn into_inner(self) -> Option<Lease> {
        self.inner.map(|inner| *inner)
    }
}

/// The answer of [`Cache::get`] for one code.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Lookup {
    /// What is there, fresh or stale.
    pub entry: Option<Entry>,
    /// The right to fill it, if it is missing or stale.
    pub lease: Option<Lease>,
}

impl Lookup {
    /// An answer.
    pub fn new(entry: Option<Entry>, lease: Option<Lease>) -> Self {
        Self { entry, lease }
    }
}

/// What became of one fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Under a living lease: stored, or left out for want of room or time.
    Filled,
    /// The lease was voided: what was loaded may be old, and was dropped.
    Voided,
}

/// One code at a time.
#[async_trait]
pub trait CacheExt: Cache {
    /// The entry of one code, with a lease if it is missing or not fresh.
    async fn get_one(&self, code: &Code, now: Tick) -> Result<Lookup> {
        only(self.get(std::slice::from_ref(code), now).await?)
    }

    /// Stores one entry.
    async fn fill_one(&self, lease: Lease, entry: Entry, now: Tick) -> Result<Filled> {
        only(self.fill(vec![(lease, entry)], now).await?)
    }

    /// Removes one code.
    async fn invalidate_one(&self, code: &Code) -> Result<()> {
        self.invalidate(std::slice::from_ref(code)).await
    }

    /// Removes one code from this process's memory.
    async fn forget_one(&self, code: &Code) -> Result<()> {
        self.forget(std::slice::from_ref(code)).await
    }
}

impl<C: Cache + ?Sized> CacheExt for C {}
