//! Moving from one store to another.

use serde::{Deserialize, Serialize};

use crate::{
    Click, ClickSink, ClickStats, Code, Cursor, Error, Insert, Link, LinkStore, ListClicks, ListLinks, MAX_PAGE, Order,
    Result, Scope, TimeRange, Uuid,
};

/// How far a copy has come. What a progress callback is told after each batch, once it is in the target.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CopyProgress {
    /// How many rows this copy has brought over, those that were there before included.
    pub copied: u64,
    /// How many it had to leave out.
    pub skipped: u64,
    /// Where to go on after an error: give it to the next call. `None` when the copy is done.
    pub next: Option<Cursor>,
    /// What was left out of this batch.
    pub skipped_now: Vec<Skipped>,
}

/// A row that the target does not take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Skipped {
    /// The link's code, or the click's.
    pub code: Code,
    /// The link's id, or the click's.
    pub id: Uuid,
    /// Why: [`Error::CodeTaken`] when another link has the code there.
    pub reason: Error,
}

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Copied {
    /// Rows that are in the target now.
    pub copied: u64,
    /// Rows that the target does not take. The progress callback was told each of them.
    pub skipped: u64,
}

/// Copies all live links, those of all domains, from one store to another, a thousand at a time, with their
/// ids, versions and times.
///
/// A link that is there already (by code and id) stays as it is there, so a copy can be repeated. `after` is
/// where a copy that failed goes on, [`CopyProgress::next`] of its last batch, or `None`.
///
/// Retired codes have no link any more and are not copied: in the target they are free. A link that is
/// edited while it is copied may arrive as it was before: let writers rest, or repeat for what is new.
///
/// ```
/// use linkly_core::{ClickSinkExt, ClickStatsExt, LinkStoreExt};
/// use linkly_core::{Click, Code, Link, MemoryStore, chrono::Utc, copy_clicks, copy_links};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let (old, new, code) = (MemoryStore::new(), MemoryStore::new(), Code::new("iii")?);
/// old.insert_one(&Link::new(code.clone(), "https://iii.dev", Utc::now())).await?;
/// old.record_one(&Click::new(code.clone(), Utc::now())).await?;
///
/// copy_links(&old, &new, None, |progress| println!("{} links", progress.copied)).await?;
/// copy_clicks(&old, &new, None, |progress| println!("{} clicks", progress.copied)).await?;
/// assert_eq!(new.total(&code).await?.clicks, 1);
/// # Ok::<(), linkly_core::Error>(()) }).unwrap();
/// ```
///
/// # Errors
///
/// The stores'. What was told to `progress` is in the target.
///
/// # Cancel safety
///
/// As after an error.
pub async fn copy_links(
    from: &dyn LinkStore,
    to: &dyn LinkStore,
    after: Option<Cursor>,
    mut progress: impl FnMut(&CopyProgress),
) -> Result<Copied> {
    let mut query = ListLinks::new(Scope::All).with_order(Order::Code).with_limit(MAX_PAGE).with_after(after);
    let mut done = CopyProgress::default();
    loop {
        let page = from.list(&query).await?;
        let skipped = insert(to, &page.items).await?;
        done.add(page.items.len(), skipped, page.next.clone());
        progress(&done);
        if page.next.is_none() {
            return Ok(done.total());
        }
        query = query.with_after(page.next);
    }
}

/// Copies all clicks from one store to another, the oldest first, a thousand at a time, with their ids and
/// times. The target counts them: its totals and series are those of the rows.
///
/// A click that is there already counts once, so a copy can be repeated, also while clicks are recorded.
/// `after` is where a copy that failed goes on, [`CopyProgress::next`] of its last batch, or `None`.
///
/// Clicks whose rows were [purged](crate::Maintenance::purge_clicks) are numbers alone and cannot be copied:
/// the target's totals lack them.
///
/// # Errors
///
/// The stores'. What was told to `progress` is in the target.
///
/// # Cancel safety
///
/// As after an error.
pub async fn copy_clicks(
    from: &dyn ClickStats,
    to: &dyn ClickSink,
    after: Option<Cursor>,
    mut progress: impl FnMut(&CopyProgress),
) -> Result<Copied> {
    let mut query = ListClicks::new(TimeRange::all()).with_oldest_first().with_limit(MAX_PAGE);
    query.after = after;
    let mut done = CopyProgress::default();
    loop {
        let page = from.clicks(&query).await?;
        let skipped = record(to, &page.items).await?;
        done.add(page.items.len(), skipped, page.next.clone());
        progress(&done);
        if page.next.is_none() {
            return Ok(done.total());
        }
        query.after = page.next;
    }
}

impl CopyProgress {
    fn add(&mut self, rows: usize, skipped: Vec<Skipped>, next: Option<Cursor>) {
        self.copied += (rows - skipped.len()) as u64;
        self.skipped += skipped.len() as u64;
        (self.skipped_now, self.next) = (skipped, next);
    }

    fn total(&self) -> Copied {
        Copied { copied: self.copied, skipped: self.skipped }
    }
}

impl Skipped {
    fn link(link: &Link, reason: Error) -> Self {
        Self { code: link.code.clone(), id: link.id, reason }
    }

    fn click(click: &Click, reason: Error) -> Self {
        Self { code: click.code.clone(), id: click.id, reason }
    }
}

/// Inserts what the target takes. A part that it refuses is halved until the row is alone.
async fn insert(to: &dyn LinkStore, links: &[Link]) -> Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    let mut fit = Vec::with_capacity(links.len());
    for link in links {
        match link.check_new() {
            Ok(()) => fit.push(link.clone()),
            Err(reason) => skipped.push(Skipped::link(link, reason)),
        }
    }
    let mut parts = vec![&fit[..]];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match to.insert(part).await {
            Ok(inserted) => skipped.extend(
                part.iter()
                    .zip(inserted)
                    .filter(|(_, one)| *one == Insert::CodeTaken)
                    .map(|(link, _)| Skipped::link(link, Error::CodeTaken { code: link.code.to_string() })),
            ),
            Err(error) if is_of_a_row(&error) => match part {
                [link] => skipped.push(Skipped::link(link, error)),
                _ => parts.extend(halves(part)),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(skipped)
}

/// Records what the target takes, as [`insert`] inserts.
async fn record(to: &dyn ClickSink, clicks: &[Click]) -> Result<Vec<Skipped>> {
    let mut skipped = Vec::new();
    let mut parts = vec![clicks];
    while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
        match to.record(part).await {
            Ok(()) => {}
            Err(error) if is_of_a_row(&error) => match part {
                [click] => skipped.push(Skipped::click(click, error)),
                _ => parts.extend(halves(part)),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(skipped)
}

/// The later half first: it is taken from the end.
fn halves<T>(part: &[T]) -> [&[T]; 2] {
    let (first, second) = part.split_at(part.len() / 2);
    [second, first]
}

/// Whether the target refuses a row, rather than being unable to take any.
fn is_of_a_row(error: &Error) -> bool {
    matches!(error, Error::Refused { .. }) || error.is_invalid_input()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::{ClickSinkExt, ClickStatsExt, Delete, LinkStoreExt, Maintenance, MemoryStore, Totals};

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).unwrap() + TimeDelta::hours(hours)
    }

    fn code(number: usize) -> Code {
        Code::new(&format!("c{number}")).unwrap()
    }

    fn link(number: usize) -> Link {
        Link::new(code(number), format!("https://iii.dev/{number}"), at(0))
    }

    /// 2,500 links, each clicked once.
    async fn store() -> MemoryStore {
        let store = MemoryStore::new();
        store.insert(&(0..2_500).map(link).collect::<Vec<_>>()).await.unwrap();
        let clicks: Vec<_> = (0..2_500).map(|number| Click::new(code(number), at(number as i64 % 40))).collect();
        store.record(&clicks).await.unwrap();
        store
    }

    #[tokio::test]
    async fn all_links_and_clicks_arrive_as_they_were() {
        let (old, new) = (store().await, MemoryStore::new());
        let mut told = Vec::new();
        let links = copy_links(&old, &new, None, |progress| told.push((progress.copied, progress.next.is_some())));
        assert_eq!(links.await.unwrap(), Copied { copied: 2_500, skipped: 0 });
        assert_eq!(told, [(1_000, true), (2_000, true), (2_500, false)]);
        // Twice is as once.
        for _ in 0..2 {
            let clicks = copy_clicks(&old, &new, None, |_| {}).await.unwrap();
            assert_eq!(clicks, Copied { copied: 2_500, skipped: 0 });
        }
        let codes: Vec<_> = (0..2_500).map(code).collect();
        assert_eq!(new.get(&codes).await.unwrap(), old.get(&codes).await.unwrap());
        assert_eq!(new.totals(&codes).await.unwrap(), old.totals(&codes).await.unwrap());
        assert!(new.reconcile(TimeRange::all()).await.unwrap().differences.is_empty());
    }

    #[tokio::test]
    async fn a_copy_goes_on_where_another_ended() {
        let (old, new) = (store().await, MemoryStore::new());
        let mut places = Vec::new();
        copy_links(&old, &MemoryStore::new(), None, |progress| places.push(progress.next.clone())).await.unwrap();
        let rest = copy_links(&old, &new, places[1].clone(), |_| {}).await.unwrap();
        assert_eq!(rest.copied, 500);
        let mut places = Vec::new();
        copy_clicks(&old, &MemoryStore::new(), None, |progress| places.push(progress.next.clone())).await.unwrap();
        assert_eq!(copy_clicks(&old, &new, places[0].clone(), |_| {}).await.unwrap().copied, 1_500);
    }

    #[tokio::test]
    async fn what_the_target_does_not_take_is_told_and_all_else_arrives() {
        let (old, new) = (store().await, MemoryStore::new());
        // Another link has the code, the id is another code's, and the link of a click was released.
        new.insert_one(&link(7)).await.unwrap();
        let mut moved = old.get_one(&code(8)).await.unwrap().unwrap();
        moved.code = code(9_999);
        let released = link(5_000);
        let mut late = Click::new(code(5_000), at(1));
        late.link_id = Some(released.id);
        old.record_one(&late).await.unwrap();
        new.insert(&[moved, released.clone()]).await.unwrap();
        new.delete_one(Delete::new(released.code, released.id).with_release()).await.unwrap();

        let mut skipped = Vec::new();
        let mut note = |progress: &CopyProgress| skipped.extend_from_slice(&progress.skipped_now);
        assert_eq!(copy_links(&old, &new, None, &mut note).await.unwrap(), Copied { copied: 2_498, skipped: 2 });
        assert_eq!(copy_clicks(&old, &new, None, &mut note).await.unwrap(), Copied { copied: 2_500, skipped: 1 });
        skipped.sort_by(|a, b| a.code.cmp(&b.code));
        assert!(
            matches!(&skipped[..], [
            Skipped { id, reason: Error::Refused { .. }, .. },
            Skipped { reason: Error::CodeTaken { .. }, .. },
            Skipped { reason: Error::Refused { .. }, .. },
        ] if *id == late.id),
            "{skipped:?}"
        );
        assert_eq!(new.total(&code(5_000)).await.unwrap(), Totals::default());
        assert_eq!(new.total(&code(1)).await.unwrap().clicks, 1);
    }
}
