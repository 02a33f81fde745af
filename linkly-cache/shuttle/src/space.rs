//! A space without a bound.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use linkly_core::{Code, Entry};
use shuttle::sync::atomic::AtomicU64;

/// A map of which each operation is one step, and another thread may go on before it.
///
/// A lock of shuttle's would be two such places for each operation, and that many more orders: all orders
/// of two threads could no longer be run.
#[derive(Debug, Default)]
pub(crate) struct Map {
    entries: Mutex<HashMap<String, Entry>>,
    steps: AtomicU64,
}

impl Map {
    fn step<T>(&self, operation: impl FnOnce(&mut HashMap<String, Entry>) -> T) -> T {
        self.steps.fetch_add(1, SeqCst);
        operation(&mut self.entries.lock().unwrap())
    }

    pub(crate) fn find(&self, code: &str) -> Option<Entry> {
        self.step(|entries| entries.get(code).cloned())
    }

    pub(crate) fn put(&self, code: &Code, entry: Entry) {
        self.step(|entries| entries.insert(code.as_str().to_owned(), entry));
    }

    pub(crate) fn remove(&self, code: &str) {
        self.step(|entries| entries.remove(code));
    }

    pub(crate) fn empty(&self) {
        self.step(HashMap::clear);
    }
}
