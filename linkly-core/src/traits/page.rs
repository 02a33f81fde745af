//! Keyset paging: a page, and where the next one begins.

use serde::{Deserialize, Serialize};

/// The most items of a page.
pub const MAX_PAGE: u32 = 1_000;

/// Where the next page begins: an opaque text that its store wrote, safe to hand to a browser.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor from the text that an earlier page gave.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One page. Keyset paging: the next page begins behind the last item of this one, wherever that
/// is by then, so no item is skipped or repeated while others come and go, and the ten-thousandth
/// page costs what the first does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order that was asked for.
    pub items: Vec<T>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page.
    pub fn new(items: Vec<T>, next: Option<Cursor>) -> Self {
        Self { items, next }
    }

    /// The page out of one item more than was asked for, which tells whether there is a next one:
    /// how stores read a page with a single query.
    pub fn from_one_more(mut items: Vec<T>, limit: u32, cursor: impl FnOnce(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(|last| Cursor::new(cursor(last)));
        Self { items, next }
    }
}
