//! Partitions of clicks, made ahead of time and dropped when all they hold is purged.
//!
//! A partition that is made or dropped locks the table for a moment. Should somebody hold it up, everything that
//! writes clicks would queue behind: so it waits shortly, and fails, and is tried again with the next call.

use std::time::Duration;

use linkly_core::{Result, Uuid};
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::call::{Busy, acquire};
use crate::config::Partitions;
use crate::error;
use crate::store::PostgresStore;

/// How long a partition that is made or dropped may hold up clicks while it waits for others.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

impl Partitions {
    /// How many are made ahead: for as long nobody needs to call `optimize`.
    pub(crate) fn ahead(self) -> u32 {
        match self {
            Self::Day => 7,
            Self::Week => 4,
            Self::Month => 3,
        }
    }
}

impl PostgresStore {
    /// Makes those of now and of the time ahead, if the database has partitions.
    pub(crate) async fn make_partitions(&self) -> Result<()> {
        let Some(by) = self.partitions() else {
            return Ok(());
        };
        let make = format!("SELECT /*schema.*/linkly_make_partitions('{}', now(), {})", by.as_str(), by.ahead());
        let made = self.maintain(&make).await?;
        tracing::info!(made, by = by.as_str(), "partitions of clicks were made");
        Ok(())
    }

    /// Drops those that end before an id, and says how many rows they held.
    pub(crate) async fn drop_partitions(&self, before: Uuid) -> Result<u64> {
        if self.partitions().is_none() {
            return Ok(0);
        }
        self.maintain(&format!("SELECT /*schema.*/linkly_drop_partitions('{before}')")).await
    }

    /// Runs a function that may take long, in one message and one transaction, and gives the number that it returns.
    /// The timeout of the session ends a statement also when the statement has set another for itself, so that
    /// comes first.
    async fn maintain(&self, text: &str) -> Result<u64> {
        let config = self.config();
        let sql = format!(
            "SET LOCAL statement_timeout = {}; SET LOCAL lock_timeout = {}; {}",
            config.maintenance_timeout_ms,
            LOCK_TIMEOUT.as_millis(),
            self.built_sql(text)
        );
        let busy = Busy::new(acquire(self.pool(), config.acquire_timeout()).await?);
        let answer = timeout(config.maintenance_timeout(), busy.simple_query(&sql)).await;
        let answer = answer.map_err(|_| error::no_answer())?.map_err(error::map)?;
        busy.give_back();
        let number = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(number.and_then(|number| number.parse().ok()).unwrap_or(0))
    }
}
