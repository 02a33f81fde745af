//! A store of one's own, small and slow, that passes the whole suite.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::*;

/// Maps behind one lock, so that each call is one step. Cloning shares the data.
#[derive(Clone, Debug, Default)]
struct MapStore(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Live and retired links; the latter are `true`.
    links: BTreeMap<Code, (Link, bool)>,
    /// Every id that ever was, with its code, which may be another link's by now.
    ids: BTreeMap<Uuid, Code>,
    clicks: BTreeMap<Uuid, Click>,
    /// What is counted outlives the rows; totals are sums of it.
    hours: BTreeMap<(Code, DateTime<Utc>), Count>,
    last_clicked: BTreeMap<Code, DateTime<Utc>>,
    purged_before: DateTime<Utc>,
    /// The code of each change; a cursor is how many were read.
    changes: Vec<Code>,
}

impl MapStore {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    fn live(&self, code: &Code) -> Option<&Link> {
        self.links.get(code).filter(|(_, retired)| !retired).map(|(link, _)| link)
    }

    fn live_mut(&mut self, code: &Code, id: Uuid) -> Option<&mut Link> {
        self.links.get_mut(code).filter(|(link, retired)| !retired && link.id == id).map(|(link, _)| link)
    }

    /// Whether this was a link whose code was let go.
    fn is_released(&self, id: Uuid) -> bool {
        self.ids.get(&id).is_some_and(|code| self.links.get(code).is_none_or(|(link, _)| link.id != id))
    }

    fn insert(&mut self, link: &Link) -> Insert {
        // Known by its id, it is an earlier try of the same call.
        if self.ids.contains_key(&link.id) {
            return Insert::Inserted;
        }
        if self.links.contains_key(&link.code) {
            return Insert::CodeTaken;
        }
        self.ids.insert(link.id, link.code.clone());
        self.links.insert(link.code.clone(), (in_millis(link), false));
        self.changes.push(link.code.clone());
        Insert::Inserted
    }

    fn update(&mut self, asked: &Link) -> Update {
        let Some(link) = self.live_mut(&asked.code, asked.id) else {
            return Update::NotFound;
        };
        let mut wanted = in_millis(asked);
        (wanted.created_at, wanted.consumed) = (link.created_at, link.consumed);
        wanted.version = asked.version.saturating_add(1);
        let version = wanted.version;
        if *link == wanted {
            return Update::Updated { version };
        }
        if link.version != asked.version {
            return Update::Conflict;
        }
        *link = wanted;
        self.changes.push(asked.code.clone());
        Update::Updated { version }
    }

    fn delete(&mut self, asked: &Delete) -> Deleted {
        if self.ids.get(&asked.id) != Some(&asked.code) {
            return Deleted::NotFound;
        }
        if self.is_released(asked.id) {
            return Deleted::Deleted;
        }
        if let Some(link) = self.live_mut(&asked.code, asked.id) {
            if asked.version.is_some_and(|version| version != link.version) {
                return Deleted::Conflict;
            }
            self.changes.push(asked.code.clone());
        }
        if asked.release {
            self.links.remove(&asked.code);
            self.clicks.retain(|_, click| click.code != asked.code);
            self.hours.retain(|(code, _), _| *code != asked.code);
            self.last_clicked.remove(&asked.code);
        } else if let Some((_, retired)) = self.links.get_mut(&asked.code) {
            *retired = true;
        }
        Deleted::Deleted
    }

    fn consume(&mut self, asked: &Use) -> u32 {
        let Some(link) = self.live_mut(&asked.code, asked.id) else {
            return 0;
        };
        let Some(most) = link.max_clicks else {
            return asked.count;
        };
        let granted = asked.count.min(most.saturating_sub(link.consumed));
        link.consumed += granted;
        granted
    }

    fn record(&mut self, click: &Click) {
        if self.clicks.insert(click.id, click.clone()).is_some() {
            return;
        }
        let count = self.hours.entry((click.code.clone(), Step::Hour.floor(click.clicked_at))).or_default();
        count.clicks += 1;
        count.bots += u64::from(click.bot);
        let last = self.last_clicked.entry(click.code.clone()).or_insert(click.clicked_at);
        *last = click.clicked_at.max(*last);
    }

    /// The hours of a code with clicks, in order.
    fn hours_of<'a>(&'a self, code: &'a Code, range: TimeRange) -> impl Iterator<Item = (DateTime<Utc>, Count)> + 'a {
        let hours = self.hours.range((code.clone(), range.from)..).take_while(move |((of, _), _)| of == code);
        hours.map(|((_, hour), count)| (*hour, *count)).filter(move |(hour, _)| range.contains(*hour))
    }
}

fn in_millis(link: &Link) -> Link {
    let mut link = link.clone();
    (link.created_at, link.updated_at) = (whole_millis(link.created_at), whole_millis(link.updated_at));
    (link.active_from, link.expires_at) = (link.active_from.map(whole_millis), link.expires_at.map(whole_millis));
    link
}

fn refused(reason: &str) -> Error {
    Error::Refused { backend: "map", reason: reason.into(), source: None }
}

/// What a cursor of this kind says.
fn behind<T: std::str::FromStr>(after: Option<&Cursor>, kind: &str) -> Result<Option<T>> {
    let read = |cursor: &Cursor| {
        let text = cursor.as_str().strip_prefix(kind).and_then(|text| text.parse().ok());
        text.ok_or_else(|| Error::invalid("cursor", "it is not one of this list in this order"))
    };
    after.map(read).transpose()
}

#[async_trait]
impl LinkStore for MapStore {
    fn folding(&self) -> Folding {
        Folding::default()
    }

    async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
        let mut state = self.state();
        let mut asked = BTreeMap::new();
        for link in links {
            link.check_new()?;
            let code = state.ids.get(&link.id).unwrap_or(&link.code);
            if code != &link.code || *asked.entry(link.id).or_insert(&link.code) != &link.code {
                return Err(refused("the id is another code's"));
            }
        }
        Ok(links.iter().map(|link| state.insert(link)).collect())
    }

    async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
        let state = self.state();
        Ok(codes.iter().map(|code| state.live(code).map(Target::from)).collect())
    }

    async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
        let state = self.state();
        Ok(codes.iter().map(|code| state.live(code).cloned()).collect())
    }

    async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
        links.iter().try_for_each(Link::check)?;
        let mut state = self.state();
        Ok(links.iter().map(|link| state.update(link)).collect())
    }

    async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
        let mut state = self.state();
        Ok(links.iter().map(|link| state.delete(link)).collect())
    }

    async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
        let mut state = self.state();
        Ok(uses.iter().map(|asked| state.consume(asked)).collect())
    }

    async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        let state = self.state();
        let contains = |field: &str, text: &str| field.to_ascii_lowercase().contains(&text.to_ascii_lowercase());
        let is_asked = |link: &&Link| {
            let fields = [link.code.as_str(), &link.url, link.title.as_deref().unwrap_or_default()];
            query.scope.contains(&link.code)
                && query.tag.as_ref().is_none_or(|tag| link.tags.contains(tag))
                && query.url.as_ref().is_none_or(|url| *url == link.url)
                && query.created_from.is_none_or(|from| from <= link.created_at)
                && query.created_until.is_none_or(|until| link.created_at < until)
                && query.search.as_ref().is_none_or(|text| fields.into_iter().any(|field| contains(field, text)))
        };
        let mut links: Vec<_> = state.links.keys().filter_map(|code| state.live(code)).filter(is_asked).collect();
        match query.order {
            Order::Newest => {
                let last: Option<Uuid> = behind(query.after.as_ref(), "newest/")?;
                links.retain(|link| last.is_none_or(|last| link.id < last));
                links.sort_by_key(|link| Reverse(link.id));
            }
            Order::Code => {
                let last: Option<String> = behind(query.after.as_ref(), "code/")?;
                links.retain(|link| last.as_deref().is_none_or(|last| link.code.as_str() > last));
            }
        }
        let limit = query.limit.clamp(1, MAX_PAGE);
        let links = links.into_iter().take(limit as usize + 1).cloned().collect();
        Ok(Page::from_one_more(links, limit, |last: &Link| match query.order {
            Order::Newest => format!("newest/{}", last.id),
            Order::Code => format!("code/{}", last.code),
        }))
    }
}

#[async_trait]
impl ClickSink for MapStore {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        let mut state = self.state();
        for click in clicks {
            click.check()?;
            if click.clicked_at < state.purged_before {
                return Err(refused("the click is older than what was purged"));
            }
            if click.link_id.is_some_and(|id| state.is_released(id)) {
                return Err(refused("the click is of a link whose code was released"));
            }
        }
        clicks.iter().for_each(|click| state.record(click));
        Ok(())
    }
}

#[async_trait]
impl ClickStats for MapStore {
    async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
        let state = self.state();
        let total = |code: &Code| {
            let hours = state.hours_of(code, TimeRange::all());
            let (clicks, bots) = hours.fold((0, 0), |sum, (_, count)| (sum.0 + count.clicks, sum.1 + count.bots));
            Totals::new(clicks, bots, state.last_clicked.get(code).copied())
        };
        Ok(codes.iter().map(total).collect())
    }

    async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
        let mut buckets = BTreeMap::new();
        for (hour, count) in self.state().hours_of(&query.code, query.range.widened(query.step)) {
            let start = query.step.floor(hour);
            let bucket = buckets.entry(start).or_insert_with(|| Bucket::new(start, 0, 0));
            (bucket.clicks, bucket.bots) = (bucket.clicks + count.clicks, bucket.bots + count.bots);
        }
        Ok(buckets.into_values().collect())
    }

    async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
        let kind = if query.oldest_first { "oldest/" } else { "newest/" };
        let last: Option<Uuid> = behind(query.after.as_ref(), kind)?;
        let state = self.state();
        let is_asked = |click: &&Click| {
            let is_behind = |last| if query.oldest_first { click.id > last } else { click.id < last };
            query.range.contains(click.clicked_at)
                && query.code.as_ref().is_none_or(|code| *code == click.code)
                && last.is_none_or(is_behind)
        };
        let mut clicks: Vec<_> = state.clicks.values().filter(is_asked).collect();
        if !query.oldest_first {
            clicks.reverse();
        }
        let limit = query.limit.clamp(1, MAX_PAGE);
        let clicks = clicks.into_iter().take(limit as usize + 1).cloned().collect();
        Ok(Page::from_one_more(clicks, limit, |last: &Click| format!("{kind}{}", last.id)))
    }

    async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
        let range = query.range.widened(Step::Hour);
        let mut links = BTreeMap::new();
        for ((code, hour), count) in &self.state().hours {
            if range.contains(*hour) && query.scope.contains(code) {
                let link = links.entry(code.clone()).or_insert_with(|| TopLink::new(code.clone(), 0, 0));
                (link.clicks, link.bots) = (link.clicks + count.clicks, link.bots + count.bots);
            }
        }
        let mut links: Vec<_> = links.into_values().collect();
        links.sort_by_key(|link| Reverse(link.clicks));
        links.truncate(query.limit.clamp(1, MAX_PAGE) as usize);
        Ok(links)
    }
}

#[async_trait]
impl Maintenance for MapStore {
    async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
        let changes = &self.state().changes;
        let next = ChangeCursor::new(changes.len().to_string());
        let read = after.map_or(Some(changes.len()), |after| after.as_str().parse().ok());
        let unread = read.and_then(|read| changes.get(read..));
        let mut answer = Changes::new(unread.unwrap_or_default().to_vec(), next);
        answer.lost = unread.is_none();
        Ok(answer)
    }

    async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
        let mut state = self.state();
        state.purged_before = state.purged_before.max(Step::Hour.floor(before));
        let watermark = state.purged_before;
        let old: Vec<_> =
            state.clicks.values().filter(|click| click.clicked_at < watermark).map(|click| click.id).collect();
        let now = old.len().min(limit.max(1) as usize);
        old[..now].iter().for_each(|id| drop(state.clicks.remove(id)));
        Ok(PurgedClicks::new(now as u64, now == old.len(), watermark))
    }

    async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
        let mut state = self.state();
        let live = state.links.keys().filter_map(|code| state.live(code));
        let expired = live.filter(|link| link.expires_at.is_some_and(|at| at < query.before));
        let mut deletes: Vec<_> = expired.map(|link| Delete::new(link.code.clone(), link.id)).collect();
        let done = deletes.len() <= query.limit.max(1) as usize;
        deletes.truncate(query.limit.max(1) as usize);
        for delete in &mut deletes {
            delete.release = query.release;
            state.delete(delete);
        }
        Ok(PurgedLinks::new(deletes.into_iter().map(|delete| delete.code).collect(), done))
    }

    /// Rows and hours are written under one lock, so there is nothing to mend.
    async fn reconcile(&self, _range: TimeRange) -> Result<Reconciled> {
        Ok(Reconciled::new(Vec::new(), None))
    }

    async fn optimize(&self) -> Result<()> {
        Ok(())
    }

    async fn size(&self) -> Result<Size> {
        let state = self.state();
        Ok(Size::new((state.links.len() * size_of::<Link>() + state.clicks.len() * size_of::<Click>()) as u64))
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }
}

struct Fixture(MapStore);

impl StoreFixture for Fixture {
    type Store = MapStore;

    async fn open() -> Self {
        Self(MapStore::default())
    }

    async fn handle(&self) -> MapStore {
        self.0.clone()
    }
}

store_suite!(Fixture);
migration_suite!(Fixture);
