//! The store passes the suite: in a database of its own, with case folded, in a named schema, with the index over
//! the clicks of each code, with clicks in partitions, and through a pooler in transaction mode.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::Folding;
use linkly_store_postgres::{Partitions, PostgresConfig, PostgresStore, Statements};
use linkly_testkit::{PgBouncer, PoolMode, Postgres};

/// A fixture for stores in a database each, configured by `$configure`.
macro_rules! in_a_database {
    ($configure:expr) => {
        pub(super) struct Database(String);

        impl StoreFixture for Database {
            type Store = PostgresStore;

            async fn open() -> Self {
                Self(Postgres::shared().new_database())
            }

            async fn handle(&self) -> PostgresStore {
                connect(PostgresConfig::new(&self.0), $configure).await
            }
        }
    };
}

/// A fixture for stores in a schema each of one database, which are made in a third of the time.
macro_rules! in_a_schema {
    ($url:expr, $configure:expr) => {
        pub(super) struct Schema(String);

        impl StoreFixture for Schema {
            type Store = PostgresStore;

            async fn open() -> Self {
                Self(new_schema())
            }

            async fn handle(&self) -> PostgresStore {
                connect(PostgresConfig::new($url).with_schema(&self.0), $configure).await
            }
        }
    };
}

async fn connect(config: PostgresConfig, configure: fn(PostgresConfig) -> PostgresConfig) -> PostgresStore {
    PostgresStore::connect_with(configure(config)).await.unwrap()
}

fn new_schema() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("s{}", MADE.fetch_add(1, Ordering::Relaxed))
}

/// The database of the schemas.
fn database() -> &'static str {
    static DATABASE: OnceLock<String> = OnceLock::new();
    DATABASE.get_or_init(|| Postgres::shared().new_database())
}

mod plain {
    use super::*;
    in_a_database!(std::convert::identity);
    store_suite!(Database);
    migration_suite!(Database);
}

mod in_a_schema {
    use super::*;
    in_a_database!(|config| config.with_schema("user"));
    store_suite!(Database);
    migration_suite!(Database);
}

mod folded {
    use super::*;
    in_a_schema!(database(), |config| config.with_folding(Folding::Lower));
    store_suite!(Schema);
}

mod indexed {
    use super::*;
    in_a_schema!(database(), PostgresConfig::with_clicks_by_code_index);
    store_suite!(Schema);
    migration_suite!(Schema);
}

mod partitioned {
    use super::*;

    pub(super) struct Schema(String);

    impl StoreFixture for Schema {
        type Store = PostgresStore;

        async fn open() -> Self {
            Self(new_schema())
        }

        async fn handle(&self) -> PostgresStore {
            let config = PostgresConfig::new(database()).with_schema(&self.0).with_partitions(Partitions::Month);
            let store = PostgresStore::connect_with(config).await.unwrap();
            // For the month of the suite's clicks too; the others go into the default partition.
            let make = format!("SELECT {}.linkly_make_partitions('month', '2026-01-05T10:00:00Z', 0)", self.0);
            store.pool().get().await.unwrap().batch_execute(&make).await.unwrap();
            store
        }
    }

    store_suite!(Schema);
    migration_suite!(Schema);
}

mod pooled {
    use super::*;

    /// A pooler whose few connections go from one client to the next after each transaction.
    fn pooled() -> &'static str {
        static POOLER: OnceLock<(PgBouncer, String)> = OnceLock::new();
        let start = || {
            let pooler = PgBouncer::start(Postgres::shared(), PoolMode::Transaction);
            let url = pooler.url(database());
            (pooler, url)
        };
        &POOLER.get_or_init(start).1
    }

    in_a_schema!(pooled(), |config| config.with_statements(Statements::Unnamed));
    store_suite!(Schema);
    migration_suite!(Schema);
}
