//! Making, reading, changing and deleting links through a handle.

use std::sync::Arc;

use tracing::debug;

use super::new_link::{LinkPatch, NewLink};
use super::writes::with_retries;
use super::{Event, Linkly};
use crate::{
    Code, Delete, Deleted, Error, Insert, Link, LinkStore, LinkStoreExt, ListLinks, MAX_CODE_BYTES, MAX_PAGE, Page,
    Result, Update, whole_millis,
};

/// How many random codes of one length may be taken before the length grows by one.
const TRIES_PER_LENGTH: usize = 3;
/// How often in all.
const TRIES: usize = 5 * TRIES_PER_LENGTH;
/// How often a change is decided again because the link changed meanwhile.
const PATCH_TRIES: usize = 16;

impl Linkly {
    /// Makes a link.
    ///
    /// A code that was asked for is never replaced by another. A random one is: the store's primary
    /// key decides whether it is free, and when several were taken the codes grow longer.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidUrl`], [`Error::InvalidCode`] or [`Error::InvalidInput`] for what the policies
    /// refuse, [`Error::CodeTaken`] for a custom code that another link has or had, and the store's.
    ///
    /// # Cancel safety
    ///
    /// The write is finished also when this is dropped.
    pub async fn create(&self, new: NewLink) -> Result<Link> {
        let mut made = self.create_many(vec![new]).await?;
        made.pop().unwrap_or_else(|| Err(Error::invalid("links", "there are none")))
    }

    /// Makes links, in one call to the store for as many as there are, and one more for each that may be
    /// reused. Answers stand in order; what is wrong with one does not keep the others from being made.
    ///
    /// # Errors
    ///
    /// Those of the store, for the whole call. When it is [`Error::Unavailable`] some of the links may
    /// have been made.
    ///
    /// # Cancel safety
    ///
    /// As with [`create`](Self::create).
    pub async fn create_many(&self, new: Vec<NewLink>) -> Result<Vec<Result<Link>>> {
        let mut made: Vec<Option<Result<Link>>> = Vec::with_capacity(new.len());
        let mut drafts = Vec::new();
        for (index, new) in new.into_iter().enumerate() {
            let (is_random, reuse) = (new.code.is_none(), new.reuse);
            let answer = match self.draft(new) {
                Ok(link) if reuse => match self.like(&link, is_random).await? {
                    Some(like) => Some(Ok(like)),
                    None => {
                        drafts.push((index, link, is_random));
                        None
                    }
                },
                Ok(link) => {
                    drafts.push((index, link, is_random));
                    None
                }
                Err(error) => Some(Err(error)),
            };
            made.push(answer);
        }
        for tries in 1..=TRIES {
            if drafts.is_empty() {
                break;
            }
            let links: Vec<Link> = drafts.iter().map(|(_, link, _)| link.clone()).collect();
            let inserts = self.insert(links).await?;
            let mut taken = Vec::new();
            for ((index, mut link, is_random), insert) in drafts.into_iter().zip(inserts) {
                match insert {
                    Insert::Inserted => {
                        debug!(code = %link.code, url = link.url, "link created");
                        made[index] = Some(Ok(link));
                    }
                    Insert::CodeTaken if is_random => {
                        link.code = self.random_code(tries / TRIES_PER_LENGTH)?;
                        taken.push((index, link, is_random));
                    }
                    Insert::CodeTaken => made[index] = Some(Err(Error::CodeTaken { code: link.code.to_string() })),
                }
            }
            drafts = taken;
        }
        let no_code = || Err(Error::unavailable("linkly", format!("{TRIES} random codes in a row were taken")));
        Ok(made.into_iter().map(|answer| answer.unwrap_or_else(no_code)).collect())
    }

    /// The link that [`create`](Self::create) would write, through the policies and with an id, not
    /// written. For apps that insert it in a transaction of their own; call
    /// [`invalidate`](Self::invalidate) when that has committed.
    ///
    /// # Errors
    ///
    /// Those of the policies.
    pub fn draft(&self, mut new: NewLink) -> Result<Link> {
        let url = self.0.engine.urls.apply(&new.url)?;
        let code = match new.code.take() {
            Some(code) => {
                self.0.keys.policy.check_custom(&code)?;
                self.0.keys.code(&code)?
            }
            None => self.random_code(0)?,
        };
        let mut link = Link::new(code, url, self.0.engine.clock.now());
        new.fill(&mut link);
        link.check()?;
        Ok(link)
    }

    /// The link of a code, also one that is expired or not active yet; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`], or the store's.
    pub async fn get(&self, code: &str) -> Result<Option<Link>> {
        self.read(&self.0.keys.code(code)?).await
    }

    /// Changes a link and answers with it as it is now. When this returns, no resolve that starts
    /// later in this process sees the link as it was.
    ///
    /// A cache elsewhere that cannot be reached is not waited for: it is told behind the answer, in two more tries, and
    /// whenever the change log is read. `linkly_cache::Tiered` does not look up in it until then what it was not told.
    /// Without that in front of it, a cache that is back and not yet told may answer the link as it was.
    ///
    /// Two changes of different fields at the same moment are both made. A patch with a version is
    /// made only to that version.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Conflict`], what the policies refuse, and the store's.
    ///
    /// # Cancel safety
    ///
    /// The write is finished also when this is dropped.
    pub async fn update(&self, code: &str, mut patch: LinkPatch) -> Result<Link> {
        let code = self.0.keys.code(code)?;
        if let Some(url) = &patch.url {
            patch.url = Some(self.0.engine.urls.apply(url)?);
        }
        for _ in 0..PATCH_TRIES {
            let not_found = || Error::NotFound { code: code.to_string() };
            let mut link = self.read(&code).await?.ok_or_else(not_found)?;
            if patch.version.is_some_and(|version| version != link.version) {
                break;
            }
            patch.apply(&mut link);
            link.updated_at = whole_millis(self.0.engine.clock.now());
            link.check()?;
            match self.replace(link.clone()).await? {
                Update::Updated { version } => {
                    link.version = version;
                    debug!(%code, version, "link updated");
                    return Ok(link);
                }
                Update::Conflict => {}
                Update::NotFound => return Err(not_found()),
            }
        }
        Err(Error::Conflict { code: code.to_string() })
    }

    /// Deletes a link and retires its code: its statistics stay, and the code is nobody's again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::InvalidCode`], or the store's.
    ///
    /// # Cancel safety
    ///
    /// The write is finished also when this is dropped.
    pub async fn delete(&self, code: &str) -> Result<()> {
        self.remove(code, |delete| delete).await
    }

    /// Deletes a link with its statistics and lets its code be used again, by a new link with new
    /// totals. A code that was deleted before stays retired.
    ///
    /// # Errors
    ///
    /// As with [`delete`](Self::delete).
    ///
    /// # Cancel safety
    ///
    /// The write is finished also when this is dropped.
    pub async fn release(&self, code: &str) -> Result<()> {
        self.remove(code, Delete::with_release).await
    }

    /// A page of this handle's links; the query's scope is the handle's, whatever it says.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`] for a cursor of another list, or the store's.
    pub async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        let mut query = query.clone();
        query.scope = self.0.keys.scope();
        query.limit = query.limit.clamp(1, MAX_PAGE);
        self.0.engine.loader.in_time(self.0.engine.store.list(&query)).await
    }

    async fn read(&self, code: &Code) -> Result<Option<Link>> {
        self.0.engine.loader.in_time(self.0.engine.store.get_one(code)).await
    }

    async fn insert(&self, links: Vec<Link>) -> Result<Vec<Insert>> {
        let codes: Vec<Code> = links.iter().map(|link| link.code.clone()).collect();
        let (store, events, links) = (self.0.engine.store.clone(), self.0.engine.events.clone(), Arc::new(links));
        let created = links.clone();
        let write = async move { with_retries(|| store.insert(&links)).await };
        let written = move |inserts: &Vec<Insert>| {
            for (link, _) in created.iter().zip(inserts).filter(|(_, insert)| **insert == Insert::Inserted) {
                events.publish(|| Some(Event::Created { link: Arc::new(link.clone()) }));
            }
        };
        let (asked, inserts) = (codes.len(), self.0.engine.writes.run("insert", codes, write, written).await?);
        if inserts.len() != asked {
            let reason = format!("it answered {} inserts for {asked} links", inserts.len());
            return Err(Error::Backend { backend: "the store", reason, source: None });
        }
        Ok(inserts)
    }

    async fn replace(&self, link: Link) -> Result<Update> {
        let codes = vec![link.code.clone()];
        let (store, events, link) = (self.0.engine.store.clone(), self.0.engine.events.clone(), Arc::new(link));
        let updated = link.clone();
        let write = async move { with_retries(|| store.update_one(&link)).await };
        let written = move |update: &Update| {
            if let Update::Updated { version } = *update {
                events.publish(|| Some(Event::Updated { link: Arc::new(Link { version, ..Link::clone(&updated) }) }));
            }
        };
        self.0.engine.writes.run("update", codes, write, written).await
    }

    async fn remove(&self, code: &str, how: impl FnOnce(Delete) -> Delete) -> Result<()> {
        let code = self.0.keys.code(code)?;
        let not_found = || Error::NotFound { code: code.to_string() };
        let link = self.read(&code).await?.ok_or_else(not_found)?;
        let delete = how(Delete::new(code.clone(), link.id));
        let (store, events) = (self.0.engine.store.clone(), self.0.engine.events.clone());
        let write = async move { with_retries(|| store.delete_one(delete.clone())).await };
        let written = move |deleted: &Deleted| {
            if *deleted == Deleted::Deleted {
                events.publish(|| Some(Event::Deleted { link: Arc::new(link) }));
            }
        };
        match self.0.engine.writes.run("delete", vec![code.clone()], write, written).await? {
            Deleted::Deleted => {
                debug!(%code, "link deleted");
                Ok(())
            }
            Deleted::Conflict => Err(Error::Conflict { code: code.to_string() }),
            Deleted::NotFound => Err(not_found()),
        }
    }

    fn random_code(&self, longer: usize) -> Result<Code> {
        // A reserved word is as good as taken: longer codes get past any list of them.
        for tries in 0..MAX_CODE_BYTES * TRIES_PER_LENGTH {
            let code = self.0.engine.generator.generate(self.0.keys.folding, longer + tries / TRIES_PER_LENGTH);
            if !self.0.keys.policy.is_reserved(&code) {
                return self.0.keys.code(&code);
            }
        }
        Err(Error::invalid("code policy", "it reserves every code that can be made"))
    }

    /// A live link that leads where `link` does and has the same options: the one with its code, or, when
    /// that is random, one of the newest to its URL.
    async fn like(&self, link: &Link, is_random: bool) -> Result<Option<Link>> {
        let now = self.0.engine.clock.now();
        let is_like = |found: &Link| {
            found.url == link.url
                && found.expires_at.is_none_or(|at| now < at)
                && found.max_clicks.is_none_or(|most| found.consumed < most)
                && (found.active_from, found.expires_at, found.max_clicks)
                    == (link.active_from, link.expires_at, link.max_clicks)
                && (found.redirect, found.forward_query) == (link.redirect, link.forward_query)
                && (&found.title, &found.tags, &found.metadata) == (&link.title, &link.tags, &link.metadata)
        };
        if !is_random {
            return Ok(self.read(&link.code).await?.filter(is_like));
        }
        let query = ListLinks::new(self.0.keys.scope()).with_url(&link.url).with_limit(MAX_PAGE);
        Ok(self.list(&query).await?.items.into_iter().find(is_like))
    }
}
