//! Resolving: the redirect's way.

use tracing::debug;

use super::Linkly;
use crate::{Activity, Code, Entry, Result, Target};

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
        match self.peek(code)? {
            Ok(resolution) => resolution,
            // Boxed, so that the future of a hit stays small.
            Err(code) => Box::pin(self.resolve_cold(code)).await,
        }
    }

    /// The answer out of this process's memory, or the key to load.
    #[inline]
    pub(super) fn peek(&self, code: &str) -> Result<Result<Result<Resolution>, Code>> {
        self.keys.with(code, |key| self.peek_key(key))
    }

    #[inline]
    pub(super) fn peek_key(&self, key: &str) -> Result<Result<Resolution>, Code> {
        let now = self.engine.clock.tick();
        let Some(entry) = self.engine.cache.peek(key, now) else {
            return Err(Code::from_checked(key));
        };
        if entry.is_fresh(now) {
            self.engine.counters.hits.add(1);
        } else {
            self.refresh_behind(key, &entry);
        }
        Ok(self.answer(key, entry.target))
    }

    #[cold]
    fn refresh_behind(&self, key: &str, entry: &Entry) {
        debug!(code = key, fresh_until = ?entry.fresh_until, "a stale entry is served and refreshed behind");
        self.engine.counters.stale.add(1);
        self.engine.loader.refresh(Code::from_checked(key));
    }

    pub(super) async fn resolve_cold(&self, code: Code) -> Result<Resolution> {
        let target = self.engine.loader.load(code.clone()).await?;
        self.answer(code.as_str(), target)
    }

    #[inline]
    fn answer(&self, key: &str, target: Option<Target>) -> Result<Resolution> {
        debug!(code = key, found = target.is_some(), "link resolved");
        let Some(target) = target else {
            return Ok(Resolution::NotFound);
        };
        target.check()?;
        // Only a link with a beginning or an end asks for the time of day.
        if target.is_timed() {
            match target.activity(self.engine.clock.now()) {
                Activity::Pending => return Ok(Resolution::NotFound),
                Activity::Expired => return Ok(Resolution::Gone),
                Activity::Active => {}
            }
        }
        Ok(Resolution::Found(target))
    }
}
