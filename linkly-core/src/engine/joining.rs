//! Which loads a caller may join: at most one of each code, and none that an invalidation has detached.
//!
//! Apart from the tasks that carry loads out, so that the model in `linkly-cache/model` runs over the same source.

use std::collections::HashMap;

use crate::Code;

/// Loads that may be joined: waiting or on their way, and not detached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joining<L>(HashMap<Code, L>);

impl<L> Default for Joining<L> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<L> Joining<L> {
    /// The load of that code which may be joined.
    pub(crate) fn joinable(&self, code: &Code) -> Option<&L> {
        self.0.get(code)
    }

    /// From now on that one may be.
    pub(crate) fn begin(&mut self, code: Code, load: L) {
        self.0.insert(code, load);
    }

    /// Ends the joining of that code's load: who comes later begins one that starts later.
    pub(crate) fn detach(&mut self, code: &Code) -> Option<L> {
        self.0.remove(code)
    }

    /// The same for all codes.
    pub(crate) fn detach_all(&mut self) -> impl Iterator<Item = L> {
        self.0.drain().map(|(_, load)| load)
    }

    /// A load has ended. One that was detached leaves the one that came after it.
    pub(crate) fn end(&mut self, code: &Code, is_this: impl FnOnce(&L) -> bool) {
        if self.0.get(code).is_some_and(is_this) {
            self.0.remove(code);
        }
    }
}
