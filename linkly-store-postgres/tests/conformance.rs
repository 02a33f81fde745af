//! The store passes the suite: in a database of its own, with case folded, in a named schema, and with the index
//! over the clicks of each code.

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::Folding;
use linkly_store_postgres::{PostgresConfig, PostgresStore};
use linkly_testkit::Postgres;

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
