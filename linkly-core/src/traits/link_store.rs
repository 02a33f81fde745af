//! The durable record of links.

use std::fmt::Debug;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Cursor, MAX_PAGE, Page};
use crate::{Code, Domain, Error, Folding, Link, Result, Target, first_id, next_millis};

/// The durable record of links.
///
/// # Contract
///
/// Calls are batches: one call is one round trip, or a bounded number of them, however many codes it
/// names, and ten thousand are none too many. Answers stand in the order of what was asked, also for
/// what is asked twice.
///
/// A write that returned is seen by every read that starts later, through any handle on the same
/// database; only [`list`](Self::list) may be answered by a replica, and then lags by the bound that its
/// store states. When a call fails with a transient error it may have happened or not, but never by
/// half; sending the same call again is safe and answers as if it were the first.
///
/// Codes come folded as [`folding`](Self::folding) says; stores compare them by bytes.
///
/// # Cancel safety
///
/// Dropping a future of this trait leaves the call done or not done, never half. The engine never
/// drops a write.
#[async_trait]
pub trait LinkStore: Debug + Send + Sync + 'static {
    /// The folding of codes that this database was made with.
    fn folding(&self) -> Folding;

    /// Inserts links.
    ///
    /// # Contract
    ///
    /// - A code that another link has, live or retired, also one earlier in the same call, is
    ///   [`Insert::CodeTaken`] and leaves that link as it is; the other links of the call are inserted.
    /// - A link whose id is there already under the same code is [`Insert::Inserted`], whatever
    ///   became of it since, and nothing is written: this is how a call is sent again. That it was
    ///   deleted and its code released changes nothing.
    /// - An id that another code has fails the call with
    ///   [`Error::Refused`](crate::Error::Refused), and nothing is written.
    /// - Of many callers racing for one code, exactly one is told [`Insert::Inserted`].
    /// - A link that fails [`Link::check_new`] fails the whole call with that error before anything is
    ///   written. So the id of each carries when it was made.
    /// - What was inserted reads back equal, to the millisecond and the byte.
    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>>;

    /// What redirects need: the path of every cache miss.
    ///
    /// # Contract
    ///
    /// - Reads the primary, never a replica: a fill from a lagging replica would be a valid lease on
    ///   an old row.
    /// - A code without a live link is `None`. Expired links and links not active yet are live.
    /// - A row with an unfit URL is a target that fails [`Target::check`]; it does not fail the call.
    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>>;

    /// Whole links.
    ///
    /// # Contract
    ///
    /// - Reads the primary. A code without a live link is `None`.
    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>>;

    /// Replaces links that were read before, by compare-and-set on id and version.
    ///
    /// Each link is given as it should be, with the `version` that was read. Its url, updated_at,
    /// active_from, expires_at, max_clicks, redirect, forward_query, title, tags and metadata are
    /// written; id, code, created_at and consumed stay.
    ///
    /// # Contract
    ///
    /// - A live link with this code, id and version is replaced, gets version + 1 and is
    ///   [`Update::Updated`].
    /// - When the stored link has version + 1 and equals what was asked, this was the caller's own
    ///   earlier try: [`Update::Updated`].
    /// - Any other version is [`Update::Conflict`] and leaves the link as it is.
    /// - No live link with this code and id, also when the code was used again by a new link, is
    ///   [`Update::NotFound`].
    /// - `consumed` is neither written nor reset.
    /// - The same link twice in one call is as if one call had come after the other.
    /// - A link that fails [`Link::check`] fails the whole call before anything is written.
    async fn update(&self, links: &[Link]) -> Result<Vec<Update>>;

    /// Deletes links, by compare-and-set on id and, where one is given, version.
    ///
    /// # Contract
    ///
    /// - The code is retired: reads no longer find the link, its statistics stay, and inserting
    ///   the code again is [`Insert::CodeTaken`].
    /// - With [`Delete::release`] the code can be used again, by a new link with new totals: all rows,
    ///   totals and hours of the code go, and clicks of the old link's id that arrive later are
    ///   refused. A retired code can be released later by the same id.
    /// - Deleting the same id again is [`Deleted::Deleted`], with whatever version. A store may forget the
    ///   id of a released link after thirty days.
    /// - Another version is [`Deleted::Conflict`]; an id that is not there is [`Deleted::NotFound`].
    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>>;

    /// Takes redirects out of the limits of links with `max_clicks`.
    ///
    /// # Contract
    ///
    /// - Grants `min(asked, max_clicks - consumed)` and raises `consumed` by it, in one step that many
    ///   callers at once cannot interleave: never more than `max_clicks` in all.
    /// - Neither the version nor the change log moves.
    /// - A link without a limit grants all and counts nothing. No live link with this code and id
    ///   grants 0.
    /// - Not idempotent: a call whose answer was lost may have consumed what nobody was granted.
    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>>;

    /// A page of live links.
    ///
    /// # Contract
    ///
    /// - Paging through to the end meets every link that was there all the while exactly once, also
    ///   while others are inserted and deleted.
    /// - Filters are joined by *and*. `search` finds a text anywhere in key, URL or title, ASCII
    ///   letters in any case, all others as they are, and no character of it has a special meaning.
    /// - A cursor of another store or order is an
    ///   [`Error::InvalidInput`](crate::Error::InvalidInput).
    async fn list(&self, query: &ListLinks) -> Result<Page<Link>>;
}

/// What became of one link of [`LinkStore::insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert {
    /// The link is there.
    Inserted,
    /// Another link has, or had, this code.
    CodeTaken,
}

/// What became of one link of [`LinkStore::update`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    /// The link is as asked, with this version.
    Updated {
        /// The version it has now.
        version: u32,
    },
    /// The link was changed since it was read.
    Conflict,
    /// There is no live link with this code and id.
    NotFound,
}

/// One link to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delete {
    /// The link's code.
    pub code: Code,
    /// The link's id.
    pub id: Uuid,
    /// Delete only this version.
    pub version: Option<u32>,
    /// Let the code be used again.
    pub release: bool,
}

impl Delete {
    /// Deletes the link, whatever its version, and retires its code.
    pub fn new(code: Code, id: Uuid) -> Self {
        Self { code, id, version: None, release: false }
    }

    /// Deletes only this version.
    #[must_use]
    pub fn with_version(mut self, version: u32) -> Self {
        self.version = Some(version);
        self
    }

    /// Lets the code be used again; the old statistics go.
    #[must_use]
    pub fn with_release(mut self) -> Self {
        self.release = true;
        self
    }
}

/// What became of one link of [`LinkStore::delete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The link is gone.
    Deleted,
    /// The link has another version than was asked for.
    Conflict,
    /// There never was a link with this code and id.
    NotFound,
}

/// Redirects asked of one link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Use {
    /// The link's code.
    pub code: Code,
    /// The link's id: a new link under the same code has a limit of its own.
    pub id: Uuid,
    /// How many.
    pub count: u32,
}

impl Use {
    /// Asks for `count` redirects.
    pub fn new(code: Code, id: Uuid, count: u32) -> Self {
        Self { code, id, count }
    }
}

/// Among which links a query looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Links that are in no domain.
    #[default]
    Plain,
    /// Links in this domain.
    Domain(Domain),
    /// All links.
    All,
}

impl Scope {
    /// Whether a link with this key is among them.
    pub fn contains(&self, code: &Code) -> bool {
        match self {
            Self::Plain => code.domain().is_none(),
            Self::Domain(domain) => code.as_str().starts_with(domain.prefix()),
            Self::All => true,
        }
    }
}

/// In which order links are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The newest first, by id. With [`Scope::All`] the newest of all domains together.
    #[default]
    Newest,
    /// By the bytes of the key.
    Code,
}

/// Which links to list. A page of 50, the newest first, unless told otherwise.
///
/// Scope, order, tag and URL are answered out of indexes, at the same cost in a table of any size. So are the times
/// of creation in [`Order::Newest`]: ids carry them, and the walk begins and ends [there](Self::created_ids). In
/// [`Order::Code`] they, and in both orders `search`, are looked at link by link until the page is full: a rare text,
/// or a time of few links, costs a walk of the scope.
///
/// No store inserts a link whose id carries another time than `created_at`. Where another program's SQL left one,
/// lists of a time in [`Order::Newest`] may miss it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListLinks {
    /// Among which links.
    pub scope: Scope,
    /// In which order.
    pub order: Order,
    /// Links with this tag.
    pub tag: Option<String>,
    /// Links that lead to this very URL.
    pub url: Option<String>,
    /// Links with this text in code, URL or title.
    pub search: Option<String>,
    /// Links made at this moment or later.
    pub created_from: Option<DateTime<Utc>>,
    /// Links made before this moment.
    pub created_until: Option<DateTime<Utc>>,
    /// How many: 1 to 1,000; stores clamp it.
    pub limit: u32,
    /// Behind this cursor.
    pub after: Option<Cursor>,
}

impl ListLinks {
    /// The links of `scope`.
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            order: Order::default(),
            tag: None,
            url: None,
            search: None,
            created_from: None,
            created_until: None,
            limit: 50,
            after: None,
        }
    }

    /// In this order.
    #[must_use]
    pub fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// With this tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// Leading to this very URL.
    #[must_use]
    pub fn with_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// With this text in code, URL or title.
    #[must_use]
    pub fn with_search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// Made at `from` or later and before `until`.
    #[must_use]
    pub fn with_created(mut self, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> Self {
        (self.created_from, self.created_until) = (from, until);
        self
    }

    /// So many at the most: 1 to 1,000.
    #[must_use]
    pub fn with_limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, MAX_PAGE);
        self
    }

    /// Behind this cursor.
    #[must_use]
    pub fn with_after(mut self, after: Option<Cursor>) -> Self {
        self.after = after;
        self
    }

    /// Where among ids a walk in [`Order::Newest`] finds the links that were made in the time that is asked for: from the
    /// first id on, and before the second. `None` is without a bound, as both are in [`Order::Code`].
    ///
    /// For stores. Links from before 1970 have ids of 1970, so `created_at` is still to be compared.
    pub fn created_ids(&self) -> (Option<Uuid>, Option<Uuid>) {
        if self.order == Order::Code {
            return (None, None);
        }
        let (from, until) = (self.created_from.map(next_millis), self.created_until.map(next_millis));
        // Whatever is from before 1970 is behind the id of its first millisecond.
        let first = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1);
        (from.filter(|from| *from >= first).map(first_id), until.map(|until| first_id(until.max(first))))
    }
}

/// One link at a time: what most callers want of a [`LinkStore`].
#[async_trait]
pub trait LinkStoreExt: LinkStore {
    /// Inserts one link.
    async fn insert_one(&self, link: &Link) -> Result<Insert> {
        only(self.insert(std::slice::from_ref(link)).await?)
    }

    /// The target of one code.
    async fn target(&self, code: &Code) -> Result<Option<Target>> {
        only(self.targets(std::slice::from_ref(code)).await?)
    }

    /// The link of one code.
    async fn get_one(&self, code: &Code) -> Result<Option<Link>> {
        only(self.get(std::slice::from_ref(code)).await?)
    }

    /// Replaces one link.
    async fn update_one(&self, link: &Link) -> Result<Update> {
        only(self.update(std::slice::from_ref(link)).await?)
    }

    /// Deletes one link.
    async fn delete_one(&self, link: Delete) -> Result<Deleted> {
        only(self.delete(&[link]).await?)
    }
}

impl<S: LinkStore + ?Sized> LinkStoreExt for S {}

/// The one answer to a call about one thing; an error when the implementation gave none, which breaks the
/// contract "answers stand in the order of what was asked".
pub(super) fn only<T>(answers: Vec<T>) -> Result<T> {
    let none =
        || Error::Backend { backend: "linkly", reason: "a call was left without an answer".into(), source: None };
    answers.into_iter().next().ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_id;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_ids_of_a_range_of_creation_are_those_of_its_links() {
        let times = [
            DateTime::<Utc>::MIN_UTC,
            at("1960-01-01T00:00:00Z"),
            at("1969-12-31T23:59:59.999Z"),
            at("1970-01-01T00:00:00Z"),
            at("1970-01-01T00:00:00.001Z"),
            at("2026-01-05T10:00:00Z"),
            at("2026-01-05T10:00:00.001Z"),
            at("9999-12-31T23:59:59.999Z"),
        ];
        let finer = TimeDelta::nanoseconds(1);
        let bounds: Vec<_> = times.iter().flat_map(|at| [Some(*at), Some(*at + finer)]).chain([None]).collect();
        for (from, until) in bounds.iter().flat_map(|from| bounds.iter().map(move |until| (*from, *until))) {
            let (first, end) = ListLinks::new(Scope::All).with_created(from, until).created_ids();
            for made in &times[1..] {
                let id = new_id(*made);
                let is_asked = from.is_none_or(|from| from <= *made) && until.is_none_or(|until| *made < until);
                let is_walked = first.is_none_or(|first| first <= id) && end.is_none_or(|end| id < end);
                assert!(is_walked || !is_asked, "{made} is missed from {from:?} until {until:?}");
                let is_exact = *made > DateTime::UNIX_EPOCH;
                assert!(is_asked == is_walked || !is_exact, "{made} is met from {from:?} until {until:?}");
            }
        }
    }
}
