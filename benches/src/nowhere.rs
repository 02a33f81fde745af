//! A sink that takes everything.

use async_trait::async_trait;
use linkly_core::{Click, ClickSink, Result};

/// Takes every click and keeps none: what stands behind a queue where the queue alone is measured.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

#[async_trait]
impl ClickSink for Nowhere {
    async fn record(&self, _: &[Click]) -> Result<()> {
        Ok(())
    }
}
