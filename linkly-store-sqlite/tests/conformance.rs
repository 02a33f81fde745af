//! The store passes the suite: in a file, with case folded, under a prefix, and with the index over the
//! clicks of each code.

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::Folding;
use linkly_store_sqlite::{SqliteConfig, SqliteStore};
use tempfile::TempDir;

/// A fixture whose databases are files in folders of their own, configured by `$configure`.
macro_rules! fixture {
    ($configure:expr) => {
        pub(super) struct File(TempDir);

        impl StoreFixture for File {
            type Store = SqliteStore;

            async fn open() -> Self {
                Self(tempfile::tempdir().unwrap())
            }

            async fn handle(&self) -> SqliteStore {
                let config = SqliteConfig::new(format!("sqlite:{}/linkly.db", self.0.path().display()));
                let configure: fn(SqliteConfig) -> SqliteConfig = $configure;
                SqliteStore::connect_with(configure(config)).await.unwrap()
            }
        }
    };
}

mod plain {
    use super::*;
    fixture!(std::convert::identity);
    store_suite!(File);
    migration_suite!(File);
}

mod folded {
    use super::*;
    fixture!(|config| config.with_folding(Folding::Lower));
    store_suite!(File);
}

mod prefixed {
    use super::*;
    fixture!(|config| config.with_prefix("short_"));
    store_suite!(File);
    migration_suite!(File);
}

mod indexed {
    use super::*;
    fixture!(SqliteConfig::with_clicks_by_code_index);
    store_suite!(File);
    migration_suite!(File);
}

mod in_memory {
    use super::*;

    /// A database in memory is that of its one connection: handles are clones.
    pub(super) struct Memory(SqliteStore);

    impl StoreFixture for Memory {
        type Store = SqliteStore;

        async fn open() -> Self {
            Self(SqliteStore::connect("sqlite::memory:").await.unwrap())
        }

        async fn handle(&self) -> SqliteStore {
            self.0.clone()
        }
    }

    store_suite!(Memory);
}
