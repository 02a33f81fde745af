//! A connection with the statements that were prepared on it.

use std::collections::HashMap;

use libsql::params::Params;
use libsql::{Connection, Result};
use linkly_sql::{Row, Sql, Statement};

use crate::row::{row_of, values};

/// How many statements are kept. Beside those of the program there are lists, of which there are as many as
/// there are ways to filter one.
const STATEMENTS: usize = 128;

/// A connection with the statements that were prepared on it.
pub(crate) struct Session {
    pub(super) connection: Connection,
    prepared: HashMap<Sql, libsql::Statement>,
}

impl Session {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, prepared: HashMap::new() }
    }

    /// Runs a statement to its end, and gives its rows: only its last step commits it.
    pub(super) async fn run(&mut self, statement: Statement) -> Result<Vec<Row>> {
        let Statement { sql, parameters, .. } = statement;
        if !self.prepared.contains_key(&sql) {
            if self.prepared.len() >= STATEMENTS {
                self.prepared.clear();
            }
            self.prepared.insert(sql.clone(), self.connection.prepare(&sql).await?);
        }
        let prepared = &self.prepared[&sql];
        let rows = rows_of(prepared, values(parameters)).await;
        // Whatever came of it: parameters bound to a statement that is not reset are ignored, without an error.
        prepared.reset();
        rows
    }

    /// Prepares all statements anew: one of them was left in the middle.
    pub(super) fn forget_statements(&mut self) {
        self.prepared.clear();
    }

    /// How many rows the last statement that wrote changed itself.
    pub(super) fn changed(&self) -> u64 {
        self.connection.changes()
    }
}

async fn rows_of(prepared: &libsql::Statement, parameters: Params) -> Result<Vec<Row>> {
    let mut answer = prepared.query(parameters).await?;
    let mut rows = Vec::new();
    while let Some(row) = answer.next().await? {
        rows.push(row_of(&row)?);
    }
    Ok(rows)
}
