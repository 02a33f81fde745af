//! Two caches as one.

mod untold;

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use linkly_core::{Cache, ChangeCursor, Code, Entry, Filled, Lease, Lookup, Result, Tick};
use tracing::debug;

use crate::protocol::{INVALIDATION, NearFill, Tier, Way, after_far, asks_far, way};
use untold::Untold;

/// How long an entry is fresh in the near cache when the far one could not be asked about its lease.
const ALONE: Duration = Duration::from_secs(5);

/// Two caches as one: a near one in this process, and a far one that nodes share.
///
/// - A lease of the near cache is taken before the far one is looked up, so a copy of what was found there is
///   dropped when this node invalidates meanwhile.
/// - The far cache is filled first, and the near one only where that one said
///   [`Filled`](linkly_core::Filled::Filled): it alone knows of the invalidations of other nodes. While it does
///   not answer, the near cache is filled with a short life ([`with_alone`](Self::with_alone)).
/// - An invalidation goes to the near cache, to the far one, and then, whatever came of that, to the near one again. So
///   the near one has been told also when the far one hangs and nobody waits for it any more.
/// - The place in the change log is the far cache's.
/// - A far cache that fails is a miss. Codes whose invalidation it was not told are not looked up in it from
///   this node until it has been told, which is tried whenever something is looked up there. There is room for
///   10,000 such codes; beyond them the far cache is left out as a whole until it could be cleared.
///
/// [`peek`](Cache::peek) is the near cache's own, at its price. The near cache's leases may hold no others, so
/// it is not a `Tiered` itself; the far one may be.
///
/// ```
/// use linkly_cache::{MemoryCache, Tiered};
///
/// let cache = Tiered::new(MemoryCache::new(), MemoryCache::builder().capacity(1_000_000).build());
/// # let _ = cache;
/// ```
#[derive(Debug)]
pub struct Tiered<L1, L2> {
    near: L1,
    far: L2,
    alone: Duration,
    untold: Untold,
}

impl<L1: Cache, L2: Cache> Tiered<L1, L2> {
    /// `near` in front of `far`.
    pub fn new(near: L1, far: L2) -> Self {
        Self { near, far, alone: ALONE, untold: Untold::default() }
    }

    /// How long an entry is fresh in the near cache when the far one could not be asked whether its lease still
    /// stands; it is served for as long again while it is refreshed. Default: 5 s.
    #[must_use]
    pub fn with_alone(mut self, alone: Duration) -> Self {
        self.alone = alone;
        self
    }

    /// The near cache.
    pub fn near(&self) -> &L1 {
        &self.near
    }

    /// The far cache.
    pub fn far(&self) -> &L2 {
        &self.far
    }

    /// How many codes the far cache could not be told of by now, or is being told of: they are not looked up there.
    /// `None` is all of them.
    pub fn untold(&self) -> Option<usize> {
        self.untold.look().count()
    }

    /// What the far cache has of these codes; `None` when it fails.
    async fn look_up_far(&self, codes: &[Code], now: Tick) -> Option<Vec<Lookup>> {
        if codes.is_empty() {
            return None;
        }
        match self.far.get(codes, now).await {
            Ok(lookups) => (lookups.len() == codes.len()).then_some(lookups),
            Err(error) => {
                debug!(%error, codes = codes.len(), "the far cache could not be asked");
                None
            }
        }
    }

    /// What the far cache says of these fills; `None` when it fails.
    async fn fill_far(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Option<Vec<Filled>> {
        let count = fills.len();
        if count == 0 {
            return None;
        }
        match self.far.fill(fills, now).await {
            Ok(filled) => (filled.len() == count).then_some(filled),
            Err(error) => {
                debug!(%error, fills = count, "the far cache could not be filled");
                None
            }
        }
    }

    /// Tells the far cache what it has missed.
    async fn catch_up(&self) {
        let Some(telling) = self.untold.tell_again() else { return };
        let told = match telling.codes() {
            Some(codes) => self.far.invalidate(codes).await,
            None => self.far.clear().await,
        };
        match told {
            Ok(()) => telling.told(),
            Err(error) => debug!(%error, "the far cache could not be told what it has missed"),
        }
    }

    /// An entry of which only this node's invalidations are known.
    fn alone(&self, entry: Entry, now: Tick) -> Entry {
        let fresh_until = now.after(self.alone);
        let serve_until = fresh_until.after(self.alone);
        Entry::new(entry.target, entry.fresh_until.min(fresh_until), entry.serve_until.min(serve_until))
    }
}

/// Both, each whatever became of the other, in the order of an [invalidation](INVALIDATION).
async fn in_order<N>(far: impl Future<Output = Result<()>>, near: impl Fn() -> N) -> Result<()>
where
    N: Future<Output = Result<()>>,
{
    let mut far = pin!(far);
    let mut outcome = Ok(());
    for tier in INVALIDATION {
        let told = match tier {
            Tier::Far => far.as_mut().await,
            Tier::Near => near().await,
        };
        outcome = outcome.and(told);
    }
    outcome
}

#[async_trait]
impl<L1: Cache, L2: Cache> Cache for Tiered<L1, L2> {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.near.peek(code, now)
    }

    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        let mut lookups = self.near.get(codes, now).await?;
        let is_cold = |lookup: &Lookup| lookup.entry.as_ref().is_none_or(|entry| !entry.is_fresh(now));
        if !lookups.iter().any(is_cold) {
            return Ok(lookups);
        }
        self.catch_up().await;
        let places: Vec<usize> = {
            let untold = self.untold.look();
            (0..codes.len()).filter(|&at| asks_far(is_cold(&lookups[at]), untold.has(&codes[at]))).collect()
        };
        let cold: Vec<Code> = places.iter().map(|&at| codes[at].clone()).collect();
        let Some(found) = self.look_up_far(&cold, now).await else { return Ok(lookups) };
        let mut copies = Vec::new();
        for (at, found) in places.into_iter().zip(found) {
            let near = lookups[at].lease.take();
            match found.entry {
                Some(entry) if entry.is_fresh(now) => {
                    copies.extend(near.map(|lease| (lease, entry.clone())));
                    lookups[at] = Lookup::new(Some(entry), None);
                }
                stale => {
                    lookups[at].lease = near.map(|lease| lease.with_inner(found.lease));
                    lookups[at].entry = stale.or(lookups[at].entry.take());
                }
            }
        }
        if !copies.is_empty() {
            self.near.fill(copies, now).await?;
        }
        Ok(lookups)
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        let mut answers = vec![Filled::Voided; fills.len()];
        let (mut near, mut asked, mut far) = (Vec::new(), Vec::new(), Vec::new());
        {
            let untold = self.untold.look();
            for (at, (lease, entry)) in fills.into_iter().enumerate() {
                let own = Lease::new(lease.code().clone(), lease.token());
                let inner = lease.into_inner();
                match way(inner.is_some(), untold.has(own.code())) {
                    Way::Alone => near.push((at, own, self.alone(entry, now))),
                    Way::Nowhere => {}
                    Way::Far => {
                        far.extend(inner.map(|inner| (inner, entry.clone())));
                        asked.push((at, own, entry));
                    }
                }
            }
        }
        let filled = self.fill_far(far, now).await;
        for (n, (at, own, entry)) in asked.into_iter().enumerate() {
            match after_far(filled.as_ref().map(|filled| filled[n])) {
                NearFill::Whole => {
                    // Whatever the near cache says, which may end leases of its own accord.
                    answers[at] = Filled::Filled;
                    near.push((at, own, entry));
                }
                NearFill::Nothing => {}
                NearFill::Alone => near.push((at, own, self.alone(entry, now))),
            }
        }
        if !near.is_empty() {
            let (places, fills): (Vec<usize>, Vec<_>) =
                near.into_iter().map(|(at, own, entry)| (at, (own, entry))).unzip();
            for (at, filled) in places.into_iter().zip(self.near.fill(fills, now).await?) {
                if filled == Filled::Filled {
                    answers[at] = filled;
                }
            }
        }
        Ok(answers)
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        let telling = self.untold.tell(codes);
        let far = async { self.far.invalidate(codes).await.inspect(|()| telling.told()) };
        in_order(far, || self.near.invalidate(codes)).await
    }

    async fn clear(&self) -> Result<()> {
        let telling = self.untold.tell_all();
        let far = async { self.far.clear().await.inspect(|()| telling.told()) };
        in_order(far, || self.near.clear()).await
    }

    async fn forget(&self, codes: &[Code]) -> Result<()> {
        self.near.forget(codes).await
    }

    async fn forget_all(&self) -> Result<()> {
        self.near.forget_all().await
    }

    async fn position(&self) -> Result<Option<ChangeCursor>> {
        self.far.position().await
    }

    async fn advance(&self, from: Option<&ChangeCursor>, to: &ChangeCursor) -> Result<()> {
        self.far.advance(from, to).await
    }
}
