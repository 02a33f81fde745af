//! A replica, which answers what may lag.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use deadpool_postgres::Pool;
use linkly_core::Result;
use tokio_postgres::Row;

use crate::call::{Call, Param};
use crate::store::PostgresStore;

/// How long a replica that failed is left alone: each call that tries it may wait for its whole deadline.
const PAUSE: Duration = Duration::from_secs(10);

pub(crate) struct Replica {
    pool: Pool,
    /// Until when it is left alone.
    resting: Mutex<Option<Instant>>,
}

impl Replica {
    pub(crate) fn new(pool: Pool) -> Self {
        Self { pool, resting: Mutex::new(None) }
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    fn is_resting(&self) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| Instant::now() < until)
    }

    fn rest(&self) {
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + PAUSE);
    }
}

impl PostgresStore {
    /// Runs a statement that reads, and may lag: on the replica if there is one and it answers, otherwise on the
    /// primary. Its plan is made for its parameters.
    pub(crate) async fn read(&self, text: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        let sql = self.built_sql(text);
        let call = Call::fresh(&sql, params);
        if let Some(replica) = self.replica().filter(|replica| !replica.is_resting()) {
            match self.run(&replica.pool, call).await {
                Ok(rows) => return Ok(rows),
                // Also one that the primary would not make: a replica may not have the tables yet.
                Err(error) => {
                    tracing::warn!(%error, "the replica failed: the primary answers for {PAUSE:?}");
                    replica.rest();
                }
            }
        }
        self.run(self.pool(), call).await
    }
}
