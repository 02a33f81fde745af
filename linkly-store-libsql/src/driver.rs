//! What the store's statements run on.

use linkly_core::Result;
use linkly_sql::{Driver, Row, Sql, Statement};

use crate::connections::Connections;
use crate::error::Failure;

#[derive(Debug)]
pub(crate) struct Libsql(pub(crate) Box<dyn Connections>);

impl Driver for Libsql {
    fn backend(&self) -> &'static str {
        crate::BACKEND
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    async fn read(&self, statement: Statement) -> Result<Vec<Row>> {
        self.0.read(statement).await.map_err(Failure::into_error)
    }

    async fn read_replica(&self, statement: Statement) -> Result<Vec<Row>> {
        self.0.read_replica(statement).await.map_err(Failure::into_error)
    }

    async fn write(&self, statement: Statement) -> Result<u64> {
        self.0.write(statement).await.map_err(Failure::into_error)
    }

    async fn write_returning(&self, statement: Statement) -> Result<Vec<Row>> {
        self.0.write_returning(statement).await.map_err(Failure::into_error)
    }

    async fn transaction(&self, script: Sql) -> Result<()> {
        self.0.transaction(script).await.map_err(Failure::into_error)
    }

    async fn optimize(&self) -> Result<()> {
        self.0.optimize().await.map_err(Failure::into_error)
    }
}
