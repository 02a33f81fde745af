//! One statement, sent and answered: on which connection, until when, and what becomes of it when it fails.
//!
//! A connection whose statement was not answered, because it took too long or nobody waits for it any more,
//! is closed and not given back: the next statement on it would wait for the same. The server's own
//! `statement_timeout` cannot stand for this, since a server that is stopped counts no time.
//!
//! After a restart each pooled connection is broken, and after a failover each leads to a server that only
//! reads. A statement that fails for that is sent again until it was tried on a connection that is new.
//! Whether it had been committed when the connection broke is not known, so one that is not safe to repeat
//! is sent again only when the server said that it was not run.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use deadpool_postgres::{ClientWrapper, Object, Pool};
use linkly_core::Result;
use tokio::time::timeout;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::config::Statements;
use crate::error::{self, Failure};
use crate::store::PostgresStore;

/// A parameter and its type.
pub(crate) type Param<'a> = (&'a (dyn ToSql + Sync), Type);

/// How often a statement is sent that is rolled back because of others.
const TRIES: usize = 10;

/// A statement with its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    text: &'a str,
    params: &'a [Param<'a>],
    /// Prepared once for each connection; otherwise planned for its parameters.
    is_kept: bool,
    /// It reads, or writes what is there once however often it is sent.
    is_repeatable: bool,
}

impl<'a> Call<'a> {
    /// One of the program's own texts.
    pub(crate) fn kept(text: &'a str, params: &'a [Param<'a>]) -> Self {
        Self { text, params, is_kept: true, is_repeatable: true }
    }

    /// A text that was put together for its parameters, or whose plan depends on them.
    pub(crate) fn fresh(text: &'a str, params: &'a [Param<'a>]) -> Self {
        Self { text, params, is_kept: false, is_repeatable: true }
    }

    /// What must not be done twice.
    pub(crate) fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }
}

impl PostgresStore {
    /// Runs one of the program's statements on the primary.
    pub(crate) async fn query(&self, text: &'static str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.run(self.pool(), Call::kept(&self.sql(text), params)).await
    }

    /// Runs a statement on a connection of `pool`. However often it is sent, it ends within the time for a connection and
    /// that for a statement.
    pub(crate) async fn run(&self, pool: &Pool, call: Call<'_>) -> Result<Vec<Row>> {
        let (acquiring, answering) = (self.config().acquire_timeout(), self.config().statement_timeout());
        let until = Instant::now() + acquiring + answering;
        let mut tries = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let client = acquire(pool, acquiring.min(left)).await?;
            let is_new = Object::metrics(&client).recycle_count == 0;
            let busy = Busy::new(client);
            let left = until.saturating_duration_since(Instant::now());
            let Ok(answer) = timeout(answering.min(left), self.send(&busy, call)).await else {
                return Err(error::no_answer());
            };
            let error = match answer {
                Ok(rows) => {
                    busy.give_back();
                    return Ok(rows);
                }
                Err(error) => error,
            };
            tries += 1;
            let failure = Failure::of(&error);
            if matches!(failure, Failure::Statement | Failure::Conflict) {
                busy.give_back();
            }
            let again = match failure {
                Failure::Statement => false,
                Failure::Conflict => tries < TRIES,
                Failure::Stale => !is_new,
                Failure::Broken => !is_new && call.is_repeatable,
            };
            if !again {
                return Err(error::map(error));
            }
            tracing::debug!(%error, ?failure, "a statement is sent again");
        }
    }

    async fn send(&self, client: &ClientWrapper, call: Call<'_>) -> Result<Vec<Row>, tokio_postgres::Error> {
        if !call.is_kept || self.config().statements == Statements::Unnamed {
            return client.query_typed(call.text, call.params).await;
        }
        let types: Vec<Type> = call.params.iter().map(|(_, of)| of.clone()).collect();
        let prepared = client.prepare_typed_cached(call.text, &types).await?;
        let values: Vec<&(dyn ToSql + Sync)> = call.params.iter().map(|(value, _)| *value).collect();
        client.query(&prepared, &values).await
    }
}

pub(crate) async fn acquire(pool: &Pool, within: Duration) -> Result<Object> {
    match timeout(within, pool.get()).await {
        Ok(client) => client.map_err(error::map_pool),
        Err(_) => Err(error::no_connection()),
    }
}

/// A connection with a statement on its way. Dropped before it is given back, it is closed.
pub(crate) struct Busy(Option<Object>);

impl Busy {
    pub(crate) fn new(client: Object) -> Self {
        Self(Some(client))
    }

    pub(crate) fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Deref for Busy {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("it is given back by value")
    }
}

impl DerefMut for Busy {
    fn deref_mut(&mut self) -> &mut ClientWrapper {
        self.0.as_mut().expect("it is given back by value")
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Object::take(client));
        }
    }
}
