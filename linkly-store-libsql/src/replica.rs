//! A server's database with a copy of it in a file: libsql's embedded replica.
//!
//! Everything goes to the server but lists and statistics. Those the contracts allow to lag, and only those: a
//! target that was read from a copy would be filled into a cache under a lease that says it is the newest.
//!
//! The copy is brought up to date before an answer that would be older than was asked for, and by nothing else:
//! there is no task in the background, and the bound holds whatever the network does.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use libsql::{Builder, Connection, Database};
use linkly_sql::{Row, Sql, Statement};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config::{LibsqlConfig, ReplicaConfig};
use crate::connections::{Connections, Result};
use crate::error;
use crate::local::{Workers, create_folder, now, read_on, readers};
use crate::remote::Remote;

pub(crate) struct Replica {
    remote: Remote,
    copy: Arc<Database>,
    readers: Workers,
    max_staleness: Duration,
    updates: Arc<Mutex<Updates>>,
}

/// When the copy was last brought up to date, and when it was last tried in vain.
#[derive(Default)]
struct Updates {
    done: Option<Instant>,
    failed: Option<Instant>,
}

impl Replica {
    pub(crate) async fn open(
        remote: Remote,
        url: String,
        token: String,
        replica: &ReplicaConfig,
        config: &LibsqlConfig,
    ) -> Result<Self> {
        create_folder(&replica.path)?;
        let unfit = |found| {
            let reason = format!(
                "the replica {} cannot be opened: delete it with the files whose names begin with its own, and it is \
                 fetched anew",
                replica.path.display()
            );
            error::failed(reason, Some(found))
        };
        let copy = Builder::new_remote_replica(&replica.path, url, token).build().await.map_err(unfit)?;
        // Read as the file that it is: a connection of the replica's own would send what it takes for a write.
        let file = now(Builder::new_local(&replica.path).build())?;
        Ok(Self {
            remote,
            copy: Arc::new(copy),
            readers: readers(Arc::new(file), config),
            max_staleness: Duration::from_millis(replica.max_staleness_ms),
            updates: Arc::default(),
        })
    }

    async fn read_copy(&self, statement: Statement) -> Result<Vec<Row>> {
        self.update().await?;
        read_on(&self.readers, statement).await
    }

    /// Brings the copy up to date, unless that was begun recently enough for whoever asked before. Those who wait
    /// share what came of it, also when it failed: else each would wait for a server that does not answer.
    async fn update(&self) -> Result<()> {
        let (asked, max_staleness, deadline) = (Instant::now(), self.max_staleness, self.remote.request_timeout());
        let (copy, updates) = (self.copy.clone(), self.updates.clone());
        // A task: what is dropped in the middle may leave the copy half written.
        self.remote
            .spawn(async move {
                let mut updates = updates.lock().await;
                if updates.done.is_some_and(|began| began + max_staleness >= asked) {
                    return Ok(());
                }
                if updates.failed.is_some_and(|began| began >= asked) {
                    return Err(error::unavailable("the replica was not brought up to date", None).into());
                }
                let began = Instant::now();
                let done = timeout(deadline, copy.sync()).await;
                if matches!(done, Ok(Ok(_))) {
                    updates.done = Some(began);
                } else {
                    updates.failed = Some(began);
                }
                match done {
                    Ok(done) => Ok(done.map(|_| ())?),
                    Err(_) => Err(error::unavailable("the replica was not brought up to date in time", None).into()),
                }
            })
            .await
    }
}

#[async_trait]
impl Connections for Replica {
    fn is_closed(&self) -> bool {
        self.remote.is_closed()
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        self.remote.read(statement).await
    }

    /// Where the copy cannot be brought up to date, or is damaged, the server answers.
    async fn read_replica(&self, statement: Statement) -> Result<Vec<Row>> {
        match self.read_copy(statement.clone()).await {
            Err(failure) => {
                tracing::warn!(error = %failure.into_error(), "a replica cannot answer: the server is asked");
                self.remote.read(statement).await
            }
            answered => answered,
        }
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        self.remote.write(statement).await
    }

    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        self.remote.write_returning(statement).await
    }

    async fn transaction(&self, script: Sql) -> Result<()> {
        self.remote.transaction(script).await
    }

    async fn optimize(&self) -> Result<()> {
        self.remote.optimize().await
    }

    async fn vacuum(&self) -> Result<()> {
        self.remote.vacuum().await
    }

    async fn copy_to(&self, path: String) -> Result<()> {
        self.remote.copy_to(path).await
    }

    fn connect(&self) -> Result<Connection> {
        self.remote.connect()
    }

    async fn close(&self) {
        self.readers.close().await;
        self.remote.close().await;
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica")
            .field("remote", &self.remote)
            .field("max_staleness", &self.max_staleness)
            .finish_non_exhaustive()
    }
}
