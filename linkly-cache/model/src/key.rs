//! A key of the shared cache, as the server keeps it.

use linkly_core::Filled;

/// What stands under a code's key. `tests/redis.rs` compares each of its transitions with a server's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Key<E> {
    /// Nothing: never asked for, invalidated, evicted or past its time.
    #[default]
    Empty,
    /// A lease of that nonce, and no entry yet.
    Leased(u128),
    /// An entry, and the nonce that it was filled under.
    Filled(u128, E),
}

impl<E: Clone> Key<E> {
    /// `SET key nonce NX GET`: the entry, or else the nonce to fill under.
    pub fn look_up(&mut self, nonce: u128) -> Result<E, u128> {
        match self {
            Self::Empty => {
                *self = Self::Leased(nonce);
                Err(nonce)
            }
            Self::Leased(nonce) => Err(*nonce),
            Self::Filled(_, entry) => Ok(entry.clone()),
        }
    }

    /// `fill.lua`: stores where the nonce stands, with an entry or without.
    pub fn fill(&mut self, nonce: u128, entry: E) -> Filled {
        match self {
            Self::Leased(under) | Self::Filled(under, _) if *under == nonce => {
                *self = Self::Filled(nonce, entry);
                Filled::Filled
            }
            _ => Filled::Voided,
        }
    }

    /// `UNLINK key`.
    pub fn invalidate(&mut self) {
        *self = Self::Empty;
    }
}
