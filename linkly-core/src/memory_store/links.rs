//! The links, and what they are found by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::list::Index;
use crate::clock::whole_millis;
use crate::{Code, Deleted, Insert, Link, ListLinks, Page, Result, Update, Use};

#[derive(Default)]
pub(super) struct Links {
    by_code: BTreeMap<Code, Stored>,
    codes: BTreeMap<Uuid, Code>,
    /// The live ones.
    index: Index,
    /// The live ones that expire, by when.
    expiries: BTreeSet<(DateTime<Utc>, Code)>,
}

struct Stored {
    link: Link,
    retired: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Inserted {
    New,
    /// By an earlier try of the same call.
    Before,
    Taken,
}

impl From<Inserted> for Insert {
    fn from(inserted: Inserted) -> Self {
        match inserted {
            Inserted::New | Inserted::Before => Self::Inserted,
            Inserted::Taken => Self::CodeTaken,
        }
    }
}

impl Links {
    pub(super) fn len(&self) -> usize {
        self.by_code.len()
    }

    pub(super) fn code_of(&self, id: Uuid) -> Option<&Code> {
        self.codes.get(&id)
    }

    pub(super) fn live(&self, code: &Code) -> Option<&Link> {
        self.by_code.get(code).filter(|stored| !stored.retired).map(|stored| &stored.link)
    }

    pub(super) fn insert(&mut self, link: &Link) -> Inserted {
        match self.by_code.get(&link.code) {
            Some(stored) if stored.link.id == link.id => Inserted::Before,
            Some(_) => Inserted::Taken,
            None => {
                let link = in_millis(link);
                self.codes.insert(link.id, link.code.clone());
                self.add_to_indexes(&link);
                self.by_code.insert(link.code.clone(), Stored { link, retired: false });
                Inserted::New
            }
        }
    }

    /// The answer, and whether anything was written.
    pub(super) fn update(&mut self, asked: &Link) -> (Update, bool) {
        let Some(stored) = self.live(&asked.code).filter(|stored| stored.id == asked.id) else {
            return (Update::NotFound, false);
        };
        let old = stored.clone();
        let mut replaced = replaced(&old, asked);
        let version = asked.version.saturating_add(1);
        if old.version == version && old == replaced {
            return (Update::Updated { version }, false);
        }
        if old.version != asked.version {
            return (Update::Conflict, false);
        }
        replaced.version = version;
        self.remove_from_indexes(&old);
        self.add_to_indexes(&replaced);
        self.by_code.insert(old.code, Stored { link: replaced, retired: false });
        (Update::Updated { version }, true)
    }

    /// The answer, and whether anything was written.
    pub(super) fn retire(&mut self, code: &Code, id: Uuid, version: Option<u32>) -> (Deleted, bool) {
        let Some(stored) = self.by_code.get_mut(code).filter(|stored| stored.link.id == id) else {
            return (Deleted::NotFound, false);
        };
        if stored.retired {
            return (Deleted::Deleted, false);
        }
        if version.is_some_and(|version| version != stored.link.version) {
            return (Deleted::Conflict, false);
        }
        stored.retired = true;
        let link = stored.link.clone();
        self.remove_from_indexes(&link);
        (Deleted::Deleted, true)
    }

    /// Lets a retired code be used again.
    pub(super) fn forget(&mut self, code: &Code) {
        if let Some(stored) = self.by_code.remove(code) {
            self.codes.remove(&stored.link.id);
        }
    }

    pub(super) fn consume(&mut self, asked: &Use) -> u32 {
        let stored = self.by_code.get_mut(&asked.code);
        let Some(stored) = stored.filter(|stored| !stored.retired && stored.link.id == asked.id) else {
            return 0;
        };
        let Some(most) = stored.link.max_clicks else {
            return asked.count;
        };
        // An update may have set the limit below what was consumed.
        let granted = asked.count.min(most.saturating_sub(stored.link.consumed));
        stored.link.consumed += granted;
        granted
    }

    pub(super) fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
        self.index.list(query, |code| self.live(code))
    }

    /// The live links that expired before a moment, the first to expire first.
    pub(super) fn expired_before(&self, before: DateTime<Utc>, most: usize) -> Vec<(Code, Uuid)> {
        let expired = self.expiries.iter().take_while(|(at, _)| *at < before).take(most);
        expired.filter_map(|(_, code)| self.live(code)).map(|link| (link.code.clone(), link.id)).collect()
    }

    /// About what they take.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |link: &Link| size_of::<Stored>() + link.code.as_str().len() + link.url.len();
        self.by_code.values().map(|stored| bytes(&stored.link) as u64).sum()
    }

    fn add_to_indexes(&mut self, link: &Link) {
        self.index.add(link);
        self.expiries.extend(link.expires_at.map(|at| (at, link.code.clone())));
    }

    fn remove_from_indexes(&mut self, link: &Link) {
        self.index.remove(link);
        if let Some(at) = link.expires_at {
            self.expiries.remove(&(at, link.code.clone()));
        }
    }
}

/// `stored` with what an update writes, of the same version.
fn replaced(stored: &Link, asked: &Link) -> Link {
    Link {
        id: stored.id,
        code: stored.code.clone(),
        created_at: stored.created_at,
        version: stored.version,
        consumed: stored.consumed,
        ..in_millis(asked)
    }
}

/// The link as it is kept: in whole milliseconds, as in every other store.
fn in_millis(link: &Link) -> Link {
    let mut link = link.clone();
    link.created_at = whole_millis(link.created_at);
    link.updated_at = whole_millis(link.updated_at);
    link.active_from = link.active_from.map(whole_millis);
    link.expires_at = link.expires_at.map(whole_millis);
    link
}
