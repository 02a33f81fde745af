//! The store passes the suite: in a database of its own, with case folded, in a named schema, with the index over
//! the clicks of each code, with clicks in partitions, and through a pooler in transaction mode.

use std::sync::OnceLock;

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::Folding;
use linkly_store_postgres::{Partitions, PostgresConfig, PostgresStore, Statements};
use linkly_testkit::{PgBouncer, PoolMode, Postgres};

/// A fixture whose databases are on the server of this test process, configured by `$configure`.
macro_rules! fixture {
    ($configure:expr) => {
        pub(super) struct Database(String);

        impl StoreFixture for Database {
            type Store = PostgresStore;

            async fn open() -> Self {
                Self(Postgres::shared().new_database())
            }

            async fn handle(&self) -> PostgresStore {
                let configure: fn(PostgresConfig) -> PostgresConfig = $configure;
                PostgresStore::connect_with(configure(PostgresConfig::new(&self.0))).await.unwrap()
            }
        }
    };
}

mod plain {
    use super::*;
    fixture!(std::convert::identity);
    store_suite!(Database);
    migration_suite!(Database);
}

mod folded {
    use super::*;
    fixture!(|config| config.with_folding(Folding::Lower));
    store_suite!(Database);
}

mod in_a_schema {
    use super::*;
    fixture!(|config| config.with_schema("user"));
    store_suite!(Database);
    migration_suite!(Database);
}

mod indexed {
    use super::*;
    fixture!(PostgresConfig::with_clicks_by_code_index);
    store_suite!(Database);
    migration_suite!(Database);
}

mod partitioned {
    use super::*;

    pub(super) struct Database(String);

    impl StoreFixture for Database {
        type Store = PostgresStore;

        async fn open() -> Self {
            Self(Postgres::shared().new_database())
        }

        async fn handle(&self) -> PostgresStore {
            let config = PostgresConfig::new(&self.0).with_partitions(Partitions::Month);
            let store = PostgresStore::connect_with(config).await.unwrap();
            // For the month of the suite's clicks too; the others go into the default partition.
            let make = "SELECT linkly_make_partitions('month', '2026-01-05T10:00:00Z', 0)";
            store.pool().get().await.unwrap().batch_execute(make).await.unwrap();
            store
        }
    }

    store_suite!(Database);
    migration_suite!(Database);
}

mod pooled {
    use super::*;

    /// Five connections for each database, which go from one client to the next after each transaction.
    fn pooler() -> &'static PgBouncer {
        static POOLER: OnceLock<PgBouncer> = OnceLock::new();
        POOLER.get_or_init(|| PgBouncer::start(Postgres::shared(), PoolMode::Transaction))
    }

    pub(super) struct Database(String);

    impl StoreFixture for Database {
        type Store = PostgresStore;

        async fn open() -> Self {
            Self(Postgres::shared().new_database())
        }

        async fn handle(&self) -> PostgresStore {
            let config = PostgresConfig::new(pooler().url(&self.0)).with_statements(Statements::Unnamed);
            PostgresStore::connect_with(config).await.unwrap()
        }

        /// The pooler keeps its connections to each database, of which the server has not that many.
        async fn close(self) {
            let name = self.0.rsplit('/').next().unwrap();
            Postgres::shared().sql(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }

    store_suite!(Database);
    migration_suite!(Database);
}
