//! Opening the spool's file, whatever happened to it, and leaving one that a commit failed on.
//!
//! A new file takes the place of an old one by a rename, once it is whole and on the disk. While that is
//! under way the old one is locked, so no second process comes in between.

use std::io::{Read, SeekFrom};

use linkly_core::Source;
use linkly_core::chrono::Utc;
use redb::Durability;

use super::error::{Fault, FileResult};
use super::file::{Change, SpoolFile};
use super::frame::{Draft, Frame, Kind};
use super::letters::read_dead_letter;
use super::medium::{CORRUPT, FRESH, Medium, ReadSeek, SPOOL};
use super::salvage::{Salvage, Scan};

/// How many bytes of frames one commit of a salvage takes over.
const SALVAGED_AT_ONCE: usize = 8 << 20;

/// Opens the spool: its file as it is, a new one where there is none, what can be read of one that is
/// damaged.
pub(super) fn open(medium: &dyn Medium) -> FileResult<(SpoolFile, Option<Salvage>)> {
    finish_salvage(medium)?;
    match SpoolFile::open(medium, SPOOL) {
        Ok(file) => Ok((file, None)),
        Err(Fault::Corrupt(source)) => salvage(medium, 0, &source).map(|(file, salvage)| (file, Some(salvage))),
        Err(fault) => Err(fault),
    }
}

/// Of a salvage that came to its end between its two renames, what was to come is whole, and only that is there.
fn finish_salvage(medium: &dyn Medium) -> FileResult<()> {
    if !medium.exists(SPOOL)? && medium.exists(FRESH)? {
        medium.rename(FRESH, SPOOL)?;
    }
    Ok(())
}

/// A file that can be used after one failed.
pub(super) enum Reopened {
    /// The old one, to be read, and to be [replaced](replace).
    Suspect(SpoolFile),
    /// A new one with what could be read of the old one, which was damaged.
    Salvaged(SpoolFile, Salvage),
}

/// Opens the file again after a commit or a read failed on it. A new one has numbers from `next` on: smaller
/// ones were given out before.
pub(super) fn reopen(medium: &dyn Medium, next: u64) -> FileResult<Reopened> {
    finish_salvage(medium)?;
    match SpoolFile::open_suspect(medium, SPOOL) {
        Ok(file) => Ok(Reopened::Suspect(file)),
        Err(Fault::Corrupt(source)) => {
            salvage(medium, next, &source).map(|(file, salvage)| Reopened::Salvaged(file, salvage))
        }
        Err(fault) => Err(fault),
    }
}

/// Replaces a file that a commit failed on by a new one with all that is not settled.
///
/// After a failed fsync Linux drops what it could not write and reads back as if it had: a later fsync of
/// the same pages succeeds without them. So nothing more is written on top of that file, however whole it
/// looks (<https://wiki.postgresql.org/wiki/Fsync_Errors>). Nor is it known to have all that was once read from
/// it: the new one has numbers from `next` on, whatever the old one says.
pub(super) fn replace(
    medium: &dyn Medium,
    suspect: &SpoolFile,
    change: &mut Change,
    next: u64,
) -> FileResult<SpoolFile> {
    let mut fresh = fresh(medium)?;
    fresh.copy_from(suspect, change.settled, next)?;
    if !change.is_empty(&fresh) {
        fresh.commit(change, Durability::Immediate)?;
    }
    medium.rename(FRESH, SPOOL)?;
    Ok(fresh)
}

/// An empty file beside the spool, for who has the spool's lock.
fn fresh(medium: &dyn Medium) -> FileResult<SpoolFile> {
    if medium.exists(FRESH)? {
        // Of a process that has ended in the middle of this.
        medium.remove(FRESH)?;
    }
    SpoolFile::open(medium, FRESH)
}

/// Begins a new file with what can be read of the damaged one, and sets that aside.
fn salvage(medium: &dyn Medium, at_least: u64, source: &Source) -> FileResult<(SpoolFile, Salvage)> {
    // Locked until the end.
    let mut damaged = medium.read(SPOOL)?;
    let scan = Scan::of(&mut damaged)?;
    if !scan.is_ours() {
        return Err(Fault::Foreign(
            "is no spool, and is left as it is: move it away, or give the spool a path of its own".into(),
        ));
    }
    let mut fresh = fresh(medium)?;
    // Numbers of their own: frames of a batch that failed may have the same ones as later frames.
    fresh.begin_at(scan.end().max(at_least));
    let (recovered, dead_letters) = take_over(&mut fresh, &scan, &mut damaged)?;
    let suffix = format!("{CORRUPT}{}", Utc::now().timestamp_micros());
    medium.rename(SPOOL, &suffix)?;
    medium.rename(FRESH, SPOOL)?;
    let salvage = Salvage { set_aside: medium.path(&suffix), recovered, missing: scan.missing(), dead_letters };
    tracing::error!(
        error = &**source as &(dyn std::error::Error + 'static),
        set_aside = %salvage.set_aside.display(),
        recovered,
        missing = salvage.missing,
        dead_letters,
        "a spool was damaged: what could be read of it is delivered, the file was set aside"
    );
    Ok((fresh, salvage))
}

/// Writes the frames of the scan into the new file; returns how many clicks and dead letters that were.
fn take_over(fresh: &mut SpoolFile, scan: &Scan, damaged: &mut Box<dyn ReadSeek>) -> FileResult<(u64, u64)> {
    let mut recovered = 0;
    let (mut change, mut bytes) = (Change::default(), 0);
    for (&(kind, first, _), &(offset, len)) in &scan.frames {
        let mut frame = vec![0; len];
        damaged.seek(SeekFrom::Start(offset))?;
        damaged.read_exact(&mut frame)?;
        match (kind, Frame::read(&frame)) {
            (Kind::Clicks, Some(read)) if read.head.end() > scan.settled => match read.clicks() {
                Some(clicks) => {
                    let settled = scan.settled.saturating_sub(first) as usize;
                    recovered += clicks[settled..].len() as u64;
                    change.drafts.append(&mut Draft::of(&clicks[settled..]));
                }
                None => fresh.keep_unreadable(first, &frame)?,
            },
            (Kind::DeadLetter, _) => change.dead.extend(read_dead_letter(&frame)),
            _ => {}
        }
        bytes += len;
        if bytes >= SALVAGED_AT_ONCE {
            fresh.commit(&mut std::mem::take(&mut change), Durability::Immediate)?;
            bytes = 0;
        }
    }
    fresh.commit(&mut change, Durability::Immediate)?;
    Ok((recovered, fresh.dead_letters))
}
