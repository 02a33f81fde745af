//! The store passes the suite: on a file, with case folded and under a prefix, in memory, on a server, and with
//! a replica.

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_store_libsql::{LibsqlConfig, LibsqlStore};

#[cfg(all(feature = "local", not(feature = "replica")))]
mod file {
    use super::*;

    /// A fixture whose databases are files in folders of their own, configured by `$configure`.
    macro_rules! fixture {
        ($configure:expr) => {
            pub(super) struct File(tempfile::TempDir);

            impl StoreFixture for File {
                type Store = LibsqlStore;

                async fn open() -> Self {
                    Self(tempfile::tempdir().unwrap())
                }

                async fn handle(&self) -> LibsqlStore {
                    let config = LibsqlConfig::new(format!("file:{}/linkly.db", self.0.path().display()));
                    let configure: fn(LibsqlConfig) -> LibsqlConfig = $configure;
                    LibsqlStore::connect_with(configure(config)).await.unwrap()
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
        fixture!(|config| config.with_folding(linkly_core::Folding::Lower));
        store_suite!(File);
    }

    mod prefixed {
        use super::*;
        fixture!(|config| config.with_prefix("short_").with_clicks_by_code_index());
        store_suite!(File);
        migration_suite!(File);
    }
}

#[cfg(all(feature = "local", not(feature = "replica")))]
mod in_memory {
    use super::*;

    /// A database in memory is that of its one connection: handles are clones.
    pub(super) struct Memory(LibsqlStore);

    impl StoreFixture for Memory {
        type Store = LibsqlStore;

        async fn open() -> Self {
            Self(LibsqlStore::connect_with(LibsqlConfig::new("file::memory:")).await.unwrap())
        }

        async fn handle(&self) -> LibsqlStore {
            self.0.clone()
        }
    }

    store_suite!(Memory);
}

#[cfg(all(feature = "remote", not(feature = "replica")))]
mod remote {
    use super::*;
    use linkly_testkit::Sqld;

    /// A server for each case: on a shared one every connection would read the schemas of all cases.
    pub(super) struct Server(Sqld);

    impl StoreFixture for Server {
        type Store = LibsqlStore;

        async fn open() -> Self {
            Self(Sqld::start())
        }

        async fn handle(&self) -> LibsqlStore {
            LibsqlStore::connect_with(LibsqlConfig::new(self.0.url())).await.unwrap()
        }
    }

    store_suite!(Server);
    migration_suite!(Server);
}

#[cfg(feature = "replica")]
mod replica {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use linkly_store_libsql::ReplicaConfig;
    use linkly_testkit::Sqld;
    use tempfile::TempDir;

    /// A server, and a folder with a replica for each handle, as for a node each.
    pub(super) struct Replicas {
        sqld: Sqld,
        folder: TempDir,
        handles: AtomicUsize,
    }

    impl StoreFixture for Replicas {
        type Store = LibsqlStore;

        async fn open() -> Self {
            Self { sqld: Sqld::start(), folder: tempfile::tempdir().unwrap(), handles: AtomicUsize::new(0) }
        }

        async fn handle(&self) -> LibsqlStore {
            let number = self.handles.fetch_add(1, Ordering::Relaxed);
            let replica = ReplicaConfig::new(self.folder.path().join(format!("node{number}/replica.db")));
            let config = LibsqlConfig::new(self.sqld.url()).with_replica(replica.with_max_staleness(Duration::ZERO));
            LibsqlStore::connect_with(config).await.unwrap()
        }
    }

    store_suite!(Replicas);
    migration_suite!(Replicas);
}
