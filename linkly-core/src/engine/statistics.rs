//! Reading statistics through a handle.

use super::Linkly;
use super::key::Keys;
use crate::{
    Bucket, Click, ClickStatsExt, Domain, ListClicks, Page, Result, Scope, Series, Step, TimeRange, Top, TopLink,
    Totals,
};

impl Linkly {
    /// The totals of a code: zero for one that was never clicked. Clicks that the recorder still
    /// holds are not in it; [`flush`](Self::flush) first where that matters.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode), or the store's.
    pub async fn stats(&self, code: &str) -> Result<Totals> {
        let code = self.0.keys.code(code)?;
        self.0.engine.loader.in_time(self.0.engine.store.total(&code)).await
    }

    /// The clicks of a code by hour or day, in a range that is widened to whole steps of UTC.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode), or the store's.
    pub async fn series(&self, code: &str, range: TimeRange, step: Step) -> Result<Vec<Bucket>> {
        let query = Series::new(self.0.keys.code(code)?, range, step);
        self.0.engine.loader.in_time(self.0.engine.store.series(&query)).await
    }

    /// A page of the clicks of a code, each with its time.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode), or the store's.
    pub async fn clicks(&self, code: &str, query: &ListClicks) -> Result<Page<Click>> {
        let query = query.clone().with_code(self.0.keys.code(code)?);
        self.0.engine.loader.in_time(self.0.engine.store.clicks(&query)).await
    }

    /// The most clicked links of this handle, in a range that is widened to whole hours.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn top(&self, range: TimeRange, limit: u32) -> Result<Vec<TopLink>> {
        let query = Top::new(self.0.keys.scope(), range).with_limit(limit);
        self.0.engine.loader.in_time(self.0.engine.store.top(&query)).await
    }
}

impl Keys {
    /// The links that this handle reaches.
    pub(super) fn scope(&self) -> Scope {
        self.domain.clone().map_or(Scope::Plain, |domain: Domain| Scope::Domain(domain))
    }
}
