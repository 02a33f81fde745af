//! The traits that stores, sinks and caches implement, with their contracts.
//!
//! Every sentence under a heading `Contract` has a case of its name in `linkly-conformance`.

mod cache;
mod channel;
mod click_sink;
mod click_stats;
mod link_store;
mod maintenance;
mod page;
mod wrappers;

pub use cache::{Cache, CacheExt, Entry, Filled, Lease, Lookup};
pub use channel::{Channel, Listener};
pub use click_sink::{ClickSink, ClickSinkExt};
pub use click_stats::{Bucket, ClickStats, ClickStatsExt, ListClicks, Series, Step, TimeRange, Top, TopLink, Totals};
pub use link_store::{Delete, Deleted, Insert, LinkStore, LinkStoreExt, ListLinks, Order, Scope, Update, Use};
pub use maintenance::{
    ChangeCursor, Changes, Count, Difference, Maintenance, PurgeExpired, PurgedClicks, PurgedLinks, Reconciled, Size,
};
pub use page::{Cursor, MAX_PAGE, Page};

/// Everything that [`Linkly`](crate::Linkly) asks of a store. Implemented for whatever implements the
/// four traits.
pub trait Store: LinkStore + ClickSink + ClickStats + Maintenance {}

impl<S: LinkStore + ClickSink + ClickStats + Maintenance + ?Sized> Store for S {}
