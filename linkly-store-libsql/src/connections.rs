//! The connections of a store: to a file, to a server, or to both.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use libsql::{Connection, Database};
use linkly_core::Error;
use linkly_sql::{Row, Sql, Statement};

use crate::config::LibsqlConfig;
use crate::error::Failure;
use crate::place::{Place, place_of};

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// What each of them does.
#[async_trait]
pub(crate) trait Connections: Debug + Send + Sync {
    fn is_closed(&self) -> bool;

    /// Reads what is committed.
    async fn read(&self, statement: Statement) -> Result<Vec<Row>>;

    /// Reads lists and statistics.
    async fn read_replica(&self, statement: Statement) -> Result<Vec<Row>> {
        self.read(statement).await
    }

    /// Runs a statement that commits by itself; how many rows it changed itself.
    async fn write(&self, statement: Statement) -> Result<u64>;

    /// The same; the rows that it returned.
    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>>;

    /// Runs statements as one transaction.
    async fn transaction(&self, script: Sql) -> Result<()>;

    async fn optimize(&self) -> Result<()>;

    async fn vacuum(&self) -> Result<()>;

    /// Copies the database into an empty file.
    async fn copy_to(&self, path: String) -> Result<()>;

    /// A new connection, for the app's own SQL.
    fn connect(&self) -> Result<Connection>;

    async fn close(&self);
}

/// Opens the database that a configuration names; folder and file are created.
pub(crate) async fn open(config: &LibsqlConfig) -> Result<Box<dyn Connections>> {
    match place_of(&config.url, config.auth_token.as_deref())? {
        Place::Server { url, token } => open_server(config, url, token).await,
        Place::Memory | Place::File(_) if config.replica.is_some() => {
            Err(Error::invalid("replica", "only a server's database has one").into())
        }
        Place::Memory => open_file(config, None).await,
        Place::File(path) => open_file(config, Some(path)).await,
    }
}

/// Takes the app's own database, of the kind that the configuration's URL names.
pub(crate) async fn adopt(database: Database, config: &LibsqlConfig) -> Result<Box<dyn Connections>> {
    let database = Arc::new(database);
    match place_of(&config.url, config.auth_token.as_deref())? {
        Place::Server { .. } if config.replica.is_some() => {
            Err(Error::invalid("replica", "a database of the app's own comes without one").into())
        }
        #[cfg(feature = "remote")]
        Place::Server { .. } => Ok(Box::new(crate::remote::Remote::new(database, config)?)),
        #[cfg(feature = "local")]
        Place::Memory => Ok(Box::new(crate::local::Local::new(database, None, config).await?)),
        #[cfg(feature = "local")]
        Place::File(path) => Ok(Box::new(crate::local::Local::new(database, Some(path), config).await?)),
        #[cfg(not(all(feature = "local", feature = "remote")))]
        _ => {
            drop(database);
            Err(is_missing("local and remote"))
        }
    }
}

#[cfg(feature = "local")]
async fn open_file(config: &LibsqlConfig, path: Option<std::path::PathBuf>) -> Result<Box<dyn Connections>> {
    Ok(Box::new(crate::local::Local::open(path, config).await?))
}

#[cfg(not(feature = "local"))]
async fn open_file(_: &LibsqlConfig, _: Option<std::path::PathBuf>) -> Result<Box<dyn Connections>> {
    Err(is_missing("local"))
}

#[cfg(feature = "remote")]
async fn open_server(config: &LibsqlConfig, url: String, token: String) -> Result<Box<dyn Connections>> {
    let remote = crate::remote::Remote::open(&url, &token, config).await?;
    let Some(replica) = &config.replica else {
        return Ok(Box::new(remote));
    };
    #[cfg(feature = "replica")]
    return Ok(Box::new(crate::replica::Replica::open(remote, url, token, replica, config).await?));
    #[cfg(not(feature = "replica"))]
    {
        let _ = replica;
        Err(is_missing("replica"))
    }
}

#[cfg(not(feature = "remote"))]
async fn open_server(_: &LibsqlConfig, _: String, _: String) -> Result<Box<dyn Connections>> {
    Err(is_missing("remote"))
}

#[cfg(not(feature = "replica"))]
fn is_missing(feature: &str) -> Failure {
    let reason = format!("linkly-store-libsql was built without the feature that this needs: {feature}");
    Error::invalid("url", reason).into()
}
