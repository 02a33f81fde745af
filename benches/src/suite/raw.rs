//! What stands beside ours: the driver alone.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Link, Uuid};

use crate::Codes;

/// A driver that does what a store does, with the same columns and the same durability, on the same schema: as a
/// program would that has the driver and nothing of ours, and takes care.
pub trait RawStore {
    /// Reads the targets of codes, one question after the other. Answers how many there were.
    fn look_up(&self, codes: &[&str]) -> impl Future<Output = usize>;

    /// Reads the targets of many codes in the way that costs this driver least for each.
    fn look_up_many(&self, codes: &[&str]) -> impl Future<Output = usize>;

    /// Inserts links, all in one commit.
    fn insert(&self, links: &[Link]) -> impl Future<Output = ()>;

    /// Reads a link and writes all its columns, a version further on, if nobody else has meanwhile.
    fn update(&self, code: &str, url: &str) -> impl Future<Output = ()>;

    /// Reads the page of links behind an id, the newest first. Answers how many.
    fn list(&self, before: Uuid, limit: u32) -> impl Future<Output = usize>;

    /// Reads a link's totals.
    fn totals(&self, code: &str) -> impl Future<Output = ()>;

    /// Reads a link's hours of a range. Answers how many.
    fn series(&self, code: &str, range: Range<DateTime<Utc>>) -> impl Future<Output = usize>;

    /// Records clicks with totals and series in one commit. Answers how long that took, once their columns were
    /// in the driver's form.
    fn record(&self, clicks: &[Click]) -> impl Future<Output = Duration>;
}

/// A cache by its driver alone.
pub trait RawCache {
    /// Looks up the codes at these places, so many at once.
    fn look_up(&self, codes: &Arc<Codes>, places: Range<usize>, tasks: usize) -> impl Future<Output = ()>;
}
