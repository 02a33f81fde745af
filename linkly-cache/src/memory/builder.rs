//! How large a cache in process is.

use super::MemoryCache;
use super::space::Capacity;

/// How large a [`MemoryCache`] is. Made by [`MemoryCache::builder`].
///
/// ```
/// use linkly_cache::MemoryCache;
///
/// let cache = MemoryCache::builder().capacity_bytes(64 << 20).absences(4 << 20).build();
/// assert_eq!((cache.len(), cache.absences(), cache.weight()), (0, 0, 0));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing itself"]
pub struct MemoryCacheBuilder {
    capacity: Capacity,
    absences: Option<u64>,
}

impl MemoryCacheBuilder {
    pub(super) fn new() -> Self {
        Self { capacity: Capacity::Entries(100_000), absences: None }
    }

    /// At most so many links. The default is 100,000, which take some 25 MB.
    pub fn capacity(mut self, links: usize) -> Self {
        self.capacity = Capacity::Entries(links);
        self
    }

    /// So many bytes of links, their share of the tables included: for URLs that differ much in length.
    /// The tables grow by doubling, so it may be a tenth more. Replaces [`capacity`](Self::capacity).
    pub fn capacity_bytes(mut self, bytes: u64) -> Self {
        self.capacity = Capacity::Bytes(bytes);
        self
    }

    /// How much is kept for codes that lead nowhere, in the unit of the capacity and on top of it. The
    /// default is a tenth of the capacity; with 0, absences are not cached.
    ///
    /// They have a space of their own, so that somebody who tries all codes pushes out no link.
    pub fn absences(mut self, size: u64) -> Self {
        self.absences = Some(size);
        self
    }

    /// The cache. Memory is taken as it fills.
    pub fn build(self) -> MemoryCache {
        let absences = match (self.capacity, self.absences) {
            (Capacity::Entries(links), None) => Capacity::Entries(links / 10),
            (Capacity::Bytes(bytes), None) => Capacity::Bytes(bytes / 10),
            (Capacity::Entries(_), Some(size)) => Capacity::Entries(usize::try_from(size).unwrap_or(usize::MAX)),
            (Capacity::Bytes(_), Some(size)) => Capacity::Bytes(size),
        };
        MemoryCache::sized(self.capacity, absences)
    }
}
