//! Dead letters in the spool's database.

use std::ops::Bound;

use linkly_core::Uuid;
use redb::{ReadableDatabase, ReadableTable};

use super::error::{FileResult, guarded};
use super::file::{DEAD, SpoolFile};
use super::frame::{Draft, Frame};
use crate::DeadLetter;
use crate::encoding::{self, Reader};

impl SpoolFile {
    /// Dead letters behind the one of that click, in the order of their ids.
    pub(super) fn read_dead(&self, after: Option<Uuid>, limit: usize) -> FileResult<Vec<DeadLetter>> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let dead = read.open_table(DEAD)?;
            let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(id.as_u128()));
            let mut letters = Vec::new();
            for entry in dead.range((start, Bound::Unbounded))?.take(limit) {
                letters.extend(read_dead_letter(entry?.1.value()));
            }
            Ok(letters)
        })
    }

    /// The dead letters of these clicks; of those that there are.
    pub(super) fn dead_of(&self, ids: &[Uuid]) -> FileResult<Vec<DeadLetter>> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let dead = read.open_table(DEAD)?;
            let mut letters = Vec::new();
            for id in ids {
                letters.extend(dead.get(id.as_u128())?.and_then(|frame| read_dead_letter(frame.value())));
            }
            Ok(letters)
        })
    }

    /// The ids of all clicks that have a dead letter.
    pub(super) fn dead_ids(&self) -> FileResult<Vec<Uuid>> {
        guarded(|| {
            let read = self.database.begin_read()?;
            let dead = read.open_table(DEAD)?;
            dead.iter()?.map(|entry| Ok(Uuid::from_u128(entry?.0.value()))).collect()
        })
    }
}

pub(super) fn dead_letter_draft(letter: &DeadLetter) -> Draft {
    Draft::with_body(|body| encoding::push_letter(body, letter))
}

pub(super) fn read_dead_letter(bytes: &[u8]) -> Option<DeadLetter> {
    let frame = Frame::read(bytes)?;
    Reader(frame.body).letter(frame.head.version)
}
