//! Dead letters in the spool's database.

use std::ops::Bound;

use linkly_core::Uuid;
use linkly_core::chrono::DateTime;
use redb::{ReadableDatabase, ReadableTable};

use super::encoding::{self, Reader};
use super::error::{FileResult, guarded};
use super::file::{DEAD, SpoolFile};
use super::frame::{Draft, Frame};
use crate::DeadLetter;

/// The most bytes of a dead letter's reason.
const MAX_REASON_BYTES: usize = 255;

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

/// A dead letter's frame: the click, the tries (u32), when it was refused (u64, milliseconds since 1970),
/// and the reason as a length (u8) and its bytes.
pub(super) fn dead_letter_draft(letter: &DeadLetter) -> Draft {
    let reason = &letter.reason[..letter.reason.floor_char_boundary(MAX_REASON_BYTES)];
    let at = u64::try_from(letter.refused_at.timestamp_millis()).unwrap_or_default();
    Draft::with_body(|body| {
        encoding::push(body, &letter.click);
        body.extend_from_slice(&letter.tries.to_le_bytes());
        body.extend_from_slice(&at.to_le_bytes());
        body.push(reason.len() as u8);
        body.extend_from_slice(reason.as_bytes());
    })
}

pub(super) fn read_dead_letter(bytes: &[u8]) -> Option<DeadLetter> {
    let frame = Frame::read(bytes)?;
    let mut reader = Reader(frame.body);
    let click = reader.click(frame.head.version)?;
    let (tries, at) = (reader.u32()?, reader.u64()?);
    let [len] = reader.array()?;
    let reason = reader.text(usize::from(len))?.to_owned();
    let refused_at = DateTime::from_timestamp_millis(i64::try_from(at).ok()?)?;
    Some(DeadLetter::new(click, reason, tries, refused_at))
}
