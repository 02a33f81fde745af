//! The cache in process.

mod builder;
mod hasher;
mod leases;
mod space;
mod spaces;

use std::fmt;
use std::hash::BuildHasher;
// `leases` takes its lock from here, so that another can stand in where every interleaving is explored.
use std::sync;

use async_trait::async_trait;
use linkly_core::{Cache, Code, Entry, Filled, Lease, Lookup, Result, Tick};

pub use builder::MemoryCacheBuilder;

use hasher::Hasher;
use leases::Leases;
use space::{Capacity, QuickCache};
use spaces::Spaces;

/// 16 KB of generations. An invalidation voids the fills in flight of one code in as many: a thousand a
/// second, with loads that take a millisecond, cost one fill in a thousand.
const STRIPES: usize = 1024;

/// Links in the memory of this process: [quick_cache](quick_cache) behind leases.
///
/// A hit is one look-up under a shard's read lock, with no allocation. Eviction is S3-FIFO, so links
/// asked for once do not push out those asked for often. Nothing runs in the background; an entry past
/// its time is not answered, and goes when it is filled again or pushed out.
///
/// Used behind an [`Arc`](std::sync::Arc), by as many threads as there are.
///
/// ```
/// use std::time::Duration;
/// use linkly_cache::MemoryCache;
/// use linkly_core::{Cache, CacheExt, Clock, Code, Entry, SystemClock, Target, TargetParts, Uuid};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let cache = MemoryCache::new();
/// let (code, now) = (Code::new("iii")?, SystemClock.tick());
///
/// let lease = cache.get_one(&code, now).await?.lease.expect("a miss comes with a lease");
/// let target = Target::new(TargetParts::new(Uuid::nil(), "https://iii.dev"));
/// let until = now.after(Duration::from_secs(60));
/// cache.fill_one(lease, Entry::new(Some(target.clone()), until, until), now).await?;
///
/// assert_eq!(cache.peek("iii", now).and_then(|entry| entry.target), Some(target));
/// # Ok::<(), linkly_core::Error>(()) }).unwrap();
/// ```
pub struct MemoryCache {
    spaces: Spaces<QuickCache>,
    hasher: Hasher,
}

impl MemoryCache {
    /// A cache of 100,000 links and 10,000 absences.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A cache of another size.
    pub fn builder() -> MemoryCacheBuilder {
        MemoryCacheBuilder::new()
    }

    fn sized(links: Capacity, absences: Capacity) -> Self {
        let hasher = hasher::seeded();
        let leases = Leases::new(hasher::secret(), STRIPES);
        let (links, absences) = (space::build(links, hasher.clone()), space::build(absences, hasher.clone()));
        Self { spaces: Spaces::new(leases, links, absences), hasher }
    }

    /// How many links are held, those past their time included.
    pub fn len(&self) -> usize {
        self.spaces.targets.len()
    }

    /// Whether no link is held.
    pub fn is_empty(&self) -> bool {
        self.spaces.targets.is_empty()
    }

    /// How many absences are held.
    pub fn absences(&self) -> usize {
        self.spaces.absences.len()
    }

    /// What links and absences weigh together, in the unit of the capacity: how many they are, or their
    /// bytes.
    pub fn weight(&self) -> u64 {
        self.spaces.targets.weight() + self.spaces.absences.weight()
    }

    fn hash(&self, code: &Code) -> u64 {
        self.hasher.hash_one(code.as_str())
    }
}

#[async_trait]
impl Cache for MemoryCache {
    fn peek(&self, code: &str, now: Tick) -> Option<Entry> {
        self.spaces.peek(code, now)
    }

    async fn get(&self, codes: &[Code], now: Tick) -> Result<Vec<Lookup>> {
        Ok(codes.iter().map(|code| self.spaces.get(self.hash(code), code, now)).collect())
    }

    async fn fill(&self, fills: Vec<(Lease, Entry)>, now: Tick) -> Result<Vec<Filled>> {
        let fill = |(lease, entry): (Lease, Entry)| self.spaces.fill(self.hash(lease.code()), &lease, entry, now);
        Ok(fills.into_iter().map(fill).collect())
    }

    async fn invalidate(&self, codes: &[Code]) -> Result<()> {
        for code in codes {
            self.spaces.invalidate(self.hash(code), code);
        }
        Ok(())
    }

    async fn clear(&self) -> Result<()> {
        self.spaces.clear();
        Ok(())
    }
}

impl Default for MemoryCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Sizes, not contents.
impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("links", &self.len())
            .field("absences", &self.absences())
            .field("weight", &self.weight())
            .finish_non_exhaustive()
    }
}
