//! Resolving: the redirect's way.

use tracing::debug;

use super::Linkly;
use crate::{Activity, Code, Result, Target};

/// What a code leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// Here. The URL has been checked: it can stand in a `Location` header.
    Found(Target),
    /// There is no such link, or it is not active yet.
    NotFound,
    /// There was one, and it has expired.
    Gone,
}

impl Linkly {
    /// What a code leads to: out of the cache, or out of the store and into the cache.
    ///
    /// The code is the text in the short URL's path, as the router gives it. A hit neither awaits nor
    /// allocates. Nothing is counted and no limit is used up: [`visit`](Self::visit) does that.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode) for text that cannot be a code;
    /// [`Error::UnfitRow`](crate::Error::UnfitRow) when the stored URL cannot be a header; and
    /// [`Error::Unavailable`](crate::Error::Unavailable) when the store cannot be asked and no answer
    /// is left that may still be served.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing for others: the load it began goes on and fills the cache.
    pub async fn resolve(&self, code: &str) -> Result<Resolution> {
        if let Some(target) = self.hit(code) {
            return Ok(Resolution::Found(target));
        }
        let target = match self.0.keys.with(code, |key| self.peek(key))? {
            Some(target) => target,
            // Boxed, so that the future of a hit stays small.
            None => Box::pin(self.0.engine.loader.load(self.0.keys.code(code)?)).await?,
        };
        self.answer(code, target)
    }

    /// The target of a fresh entry that no time bounds, which nearly every redirect is answered with: one
    /// pointer, where the ways of all other answers would take the room of an error.
    #[inline]
    fn hit(&self, code: &str) -> Option<Target> {
        let target = self.0.keys.with(code, |key| self.fresh(key)).ok()??;
        self.0.engine.counters.hits.add(1);
        debug!(code, found = true, "link resolved");
        Some(target)
    }

    #[inline]
    pub(super) fn fresh(&self, key: &str) -> Option<Target> {
        let now = self.0.engine.clock.tick();
        let entry = self.0.engine.cache.peek(key, now)?;
        let target = entry.target.filter(Target::is_plain)?;
        (now < entry.fresh_until).then_some(target)
    }

    /// What this process's memory knows of a key: a target or an absence, or nothing.
    #[inline]
    pub(super) fn peek(&self, key: &str) -> Option<Option<Target>> {
        let now = self.0.engine.clock.tick();
        let entry = self.0.engine.cache.peek(key, now)?;
        if entry.is_fresh(now) {
            self.0.engine.counters.hits.add(1);
        } else {
            self.refresh_behind(key);
        }
        Some(entry.target)
    }

    #[cold]
    #[inline(never)]
    fn refresh_behind(&self, key: &str) {
        debug!(key, "a stale answer, refreshed behind");
        self.0.engine.counters.stale.add(1);
        self.0.engine.loader.refresh(Code::from_checked(key));
    }

    #[inline]
    pub(super) fn answer(&self, code: &str, target: Option<Target>) -> Result<Resolution> {
        debug!(code, found = target.is_some(), "link resolved");
        match target {
            None => Ok(Resolution::NotFound),
            Some(target) if target.is_plain() => Ok(Resolution::Found(target)),
            Some(target) => self.judge(target),
        }
    }

    /// The answer for a target that is unfit, or has a beginning or an end: only these ask for the time
    /// of day.
    #[cold]
    #[inline(never)]
    fn judge(&self, target: Target) -> Result<Resolution> {
        target.check()?;
        Ok(match target.activity(self.0.engine.clock.now()) {
            Activity::Pending => Resolution::NotFound,
            Activity::Active => Resolution::Found(target),
            Activity::Expired => Resolution::Gone,
        })
    }
}
