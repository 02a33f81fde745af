//! The memory store passes the suite: itself, shared in an `Arc`, and as an object in a `Box`.

use std::sync::Arc;

use linkly_conformance::{StoreFixture, migration_suite, store_suite};
use linkly_core::{Folding, MemoryStore, Store};

/// A fixture whose handles are clones of one memory store, as `$handle` makes them.
macro_rules! fixture {
    ($store:ty, $new:expr, $handle:expr) => {
        pub(super) struct Memory(MemoryStore);

        impl StoreFixture for Memory {
            type Store = $store;

            async fn open() -> Self {
                Self($new)
            }

            async fn handle(&self) -> $store {
                $handle(self.0.clone())
            }
        }
    };
}

mod plain {
    use super::*;
    fixture!(MemoryStore, MemoryStore::new(), std::convert::identity);
    store_suite!(Memory);
    migration_suite!(Memory);
}

mod folded {
    use super::*;
    fixture!(MemoryStore, MemoryStore::with_folding(Folding::Lower), std::convert::identity);
    store_suite!(Memory);
}

mod shared {
    use super::*;
    fixture!(Arc<MemoryStore>, MemoryStore::new(), Arc::new);
    store_suite!(Memory);
}

mod boxed {
    use super::*;
    fixture!(Box<dyn Store>, MemoryStore::new(), |store| Box::new(store) as Box<dyn Store>);
    store_suite!(Memory);
}
