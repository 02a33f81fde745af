//! Recording clicks.

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, Result};

use crate::click_batch::ClickBatch;
use crate::driver::Driver;
use crate::store::SqlStore;

const RECORD: &str = "
    INSERT INTO /*prefix*/linkly_record (ids, times, visitors, entries, dictionary, hours, oldest, mark)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, (SELECT coalesce(max(id), 0) FROM /*prefix*/clicks))";

#[async_trait]
impl<D: Driver> ClickSink for SqlStore<D> {
    async fn record(&self, clicks: &[Click]) -> Result<()> {
        clicks.iter().try_for_each(Click::check)?;
        let Some(batch) = ClickBatch::new(clicks) else {
            return Ok(());
        };
        let statement = self
            .statement(RECORD)
            .bind(batch.ids)
            .bind(batch.times)
            .bind(batch.visitors)
            .bind(batch.entries)
            .bind(batch.dictionary)
            .bind(batch.hours)
            .bind(batch.oldest);
        self.driver().write(statement).await?;
        Ok(())
    }
}
