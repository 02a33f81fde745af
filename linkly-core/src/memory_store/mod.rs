//! The reference implementation of a store, in this process's memory.

mod change_log;
mod clicks;
mod links;
mod list;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use self::change_log::ChangeLog;
use self::clicks::Clicks;
use self::links::Links;
use crate::{
    Bucket, ChangeCursor, Changes, Click, ClickSink, ClickStats, Code, Delete, Deleted, Error, Folding, Insert, Link,
    LinkStore, ListClicks, ListLinks, Maintenance, Page, PurgeExpired, PurgedClicks, PurgedLinks, Reconciled, Result,
    Series, Size, Target, TimeRange, Top, TopLink, Totals, Update, Use,
};

/// The name in this store's errors.
const BACKEND: &str = "memory";

/// Links and clicks in this process's memory: for tests, examples, and as the shortest text that says
/// what a store does.
///
/// Everything stands in ordered maps behind one lock, so each call is one atomic step. Nothing is
/// kept beyond the process: "durable" is as long as a clone of the store lives. Cloning shares the
/// data.
///
/// ```
/// use linkly_core::{Code, Insert, Link, LinkStoreExt, MemoryStore};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new();
/// let link = Link::new(Code::new("iii")?, "https://iii.dev", linkly_core::chrono::Utc::now());
/// assert_eq!(store.insert_one(&link).await?, Insert::Inserted);
/// assert_eq!(store.target(&link.code).await?.unwrap().url(), "https://iii.dev");
/// # Ok::<(), linkly_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore {
    folding: Folding,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    links: Links,
    clicks: Clicks,
    log: ChangeLog,
    /// The links whose codes were let go, with these codes: deleting one again is no error, and its
    /// late clicks must not count for the link that has the code now.
    released: BTreeMap<Uuid, Code>,
}

impl MemoryStore {
    /// An empty store in which `Abc` and `abc` are two codes.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose codes come folded so.
    pub fn with_folding(folding: Folding) -> Self {
        Self { folding, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryStore")
            .field("folding", &self.folding)
            .field("codes", &state.links.len())
            .field("clicks", &state.clicks.len())
            .finish()
    }
}

impl State {
    fn insert(&mut self, link: &Link) -> Insert {
        if self.released.get(&link.id) == Some(&link.code) {
            return Insert::Inserted;
        }
        let inserted = self.links.insert(link);
        if inserted == links::Inserted::New {
            self.log.push(&link.code);
        }
        inserted.into()
    }

    fn update(&mut self, asked: &Link) -> Update {
        let (update, changed) = self.links.update(asked);
        if changed {
            self.log.push(&asked.code);
        }
        update
    }

    fn delete(&mut self, delete: &Delete) -> Deleted {
        if self.released.get(&delete.id) == Some(&delete.code) {
            return Deleted::Deleted;
        }
        let (deleted, changed) = self.links.retire(&delete.code, delete.id, delete.version);
        if changed {
            self.log.push(&delete.code);
        }
        if deleted == Deleted::Deleted && delete.release {
            self.links.forget(&delete.code);
            self.clicks.forget(&delete.code);
            self.released.insert(delete.id, delete.code.clone());
        }
        deleted
    }

    /// The error of a link that cannot be inserted whatever its code: nothing of its call is written.
    fn check_new(&self, link: &Link) -> Result<()> {
        link.check_new()?;
        let holder = self.released.get(&link.id).or_else(|| self.links.code_of(link.id));
        match holder {
            Some(code) if *code != link.code => Err(refused(format!("the id {} is that of {code:?}", link.id))),
            _ => Ok(()),
        }
    }

    fn check_click(&self, click: &Click) -> Result<()> {
        click.check()?;
        if click.clicked_at < self.clicks.purged_before() {
            return Err(refused(format!("the click {} is older than what was purged", click.id)));
        }
        match click.link_id {
            Some(id) if self.released.contains_key(&id) => {
                Err(refused(format!("the click {} is of a link whose code was released", click.id)))
            }
            _ => Ok(()),
        }
    }
}

fn refused(reason: String) -> Error {
    Error::Refused { backend: BACKEND, reason, source: None }
}

/// What is behind the last `/` of a cursor that begins with `kind`.
fn cursor_text<'a>(cursor: &'a crate::Cursor, kind: &str) -> Result<&'a str> {
    let text = cursor.as_str().strip_prefix(kind);
    text.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))
}

fn cursor_id(cursor: &crate::Cursor, kind: &str) -> Result<Uuid> {
    let id = cursor_text(cursor, kind)?.parse();
    id.map_err(|_| Error::invalid("cursor", "it is not one that this store wrote"))
}

#[async_trait]
impl LinkStore for MemoryStore {
    fn folding(&self) -> Folding {
        self.folding
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        let mut state = self.state();
        let mut codes = BTreeMap::new();
        for link in links {
            state.check_new(link)?;
            if *codes.entry(link.id).or_insert(&link.code) != &link.code {
                return Err(refused(format!("the id {} stands at two codes", link.id)));
            }
        }
        Ok(links.iter().map(|link| state.insert(link)).collect())
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        let state = self.state();
        Ok(codes.iter().map(|code| state.links.live(code).map(Target::from)).collect())
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        let state = self.state();
        Ok(codes.iter().map(|code| state.links.live(code).cloned()).collect())
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        links.iter().try_for_each(Link::check)?;
        let mut state = self.state();
        Ok(links.iter().map(|link| state.update(link)).collect())
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        let mut state = self.state();
        Ok(links.iter().map(|delete| state.delete(delete)).collect())
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        let mut state = self.state();
        Ok(uses.iter().map(|asked| state.links.consume(asked)).collect())
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        self.state().links.list(query)
    }
}

#[async_trait]
impl ClickSink for MemoryStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        let mut state = self.state();
        clicks.iter().try_for_each(|click| state.check_click(click))?;
        clicks.iter().for_each(|click| state.clicks.record(click));
        Ok(())
    }
}

#[async_trait]
impl ClickStats for MemoryStore {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        let state = self.state();
        Ok(codes.iter().map(|code| state.clicks.total(code)).collect())
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        Ok(self.state().clicks.series(query))
    }

    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        self.state().clicks.page(query)
    }

    async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
        Ok(self.state().clicks.top(query))
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        Ok(self.state().log.behind(after))
    }

    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        Ok(self.state().clicks.purge(before, limit.max(1)))
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        let mut state = self.state();
        let limit = query.limit.max(1) as usize;
        let mut expired = state.links.expired_before(query.before, limit + 1);
        let done = expired.len() <= limit;
        expired.truncate(limit);
        for (code, id) in &expired {
            let delete = Delete::new(code.clone(), *id);
            state.delete(&if query.release { delete.with_release() } else { delete });
        }
        Ok(PurgedLinks::new(expired.into_iter().map(|(code, _)| code).collect(), done))
    }

    async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
        Ok(self.state().clicks.reconcile(range))
    }

    async fn optimize(&self) -> Result<()> {
        Ok(())
    }

    async fn size(&self) -> Result<Size> {
        let state = self.state();
        Ok(Size::new(state.links.bytes() + state.clicks.bytes() + state.log.bytes()))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}
