//! What this crate adds to a driver passes the suite: with a driver of a hundred lines.

mod rusqlite_driver;

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_sql::{SchemaConfig, SqlStore};
use rusqlite_driver::Rusqlite;
use tempfile::TempDir;

pub(crate) struct File(TempDir);

impl StoreFixture for File {
    type Store = SqlStore<Rusqlite>;

    async fn open() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn handle(&self) -> SqlStore<Rusqlite> {
        Rusqlite::store(&self.0.path().join("linkly.db"), SchemaConfig::default()).await.unwrap()
    }
}

store_suite!(File);
migration_suite!(File);
