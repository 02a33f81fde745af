//! The shared cache's server.

use std::collections::BTreeMap;

use crate::Key;

/// The number of writes that the store had seen: which of a link's versions this is.
pub(crate) type Version = u8;

/// What a server has under one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Space {
    pub(crate) key: Key<Version>,
    /// Up to where in the change log it was told of everything.
    pub(crate) position: Option<Version>,
}

/// A name: what was drawn, and the process that holds it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name {
    pub(crate) drawn: u8,
    pub(crate) run: u8,
}

/// What a server holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Data {
    pub(crate) drawn: u8,
    pub(crate) spaces: BTreeMap<Name, Space>,
}

/// A process, and what a replica has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) run: u8,
    pub(crate) data: Data,
    /// As it was some time ago; `None` once nothing can fail over any more.
    pub(crate) replica: Option<Data>,
}

impl Server {
    /// The replica's turn.
    pub(crate) fn fail_over(&mut self) {
        if let Some(data) = self.replica.take() {
            self.data = data;
            self.run += 1;
        }
    }

    pub(crate) fn name(&self) -> Name {
        Name { drawn: self.data.drawn, run: self.run }
    }
}
