//! The spool's database: what stands in it, and what one commit changes.

use linkly_core::chrono::Utc;
use linkly_core::{Click, Uuid};
use redb::{
    Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
};

use super::error::{Fault, FileResult, guarded};
use super::frame::{Draft, Frame, Head, Kind};
use super::letters::dead_letter_draft;
use super::medium::Medium;
use super::overlay::Overlay;
use crate::DeadLetter;

/// Frames of clicks that may not be settled, by the number of their first.
const CLICKS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("clicks");
/// Frames of dead letters, by the click's id.
pub(super) const DEAD: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("dead_letters");
/// Frames that could not be read where they stood, by the number of their first click and their checksum.
const UNREADABLE: TableDefinition<'static, (u64, u64), &[u8]> = TableDefinition::new("unreadable");
/// A frame without clicks that says which are settled and which number is the next, written with every
/// commit: of a file that is damaged at its end it tells how much there was.
const PROGRESS: TableDefinition<'static, (), &[u8]> = TableDefinition::new("linkly_spool");

/// redb takes a gigabyte by default. Clicks are written once and read once: what is in it is the way to
/// the last leaf.
const CACHE_BYTES: usize = 16 << 20;

/// An open database.
#[derive(Debug)]
pub(super) struct SpoolFile {
    pub(super) database: Database,
    /// Number of the first click that is not settled, as the file has it.
    pub(super) settled: u64,
    /// Number of the next click.
    pub(super) next: u64,
    /// Bytes of all frames.
    pub(super) bytes: u64,
    pub(super) dead_letters: u64,
    /// Clicks in frames that cannot be read.
    pub(super) unreadable: u64,
}

/// What one commit changes.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// Clicks that are taken in.
    pub(super) drafts: Vec<Draft>,
    /// All clicks before this number are settled.
    pub(super) settled: u64,
    /// Some of those were refused for good.
    pub(super) dead: Vec<DeadLetter>,
    /// Dead letters that go.
    pub(super) gone: Vec<Uuid>,
    /// Frames that cannot be read, by their keys.
    pub(super) unreadable: Vec<u64>,
}

impl Change {
    pub(super) fn is_empty(&self, file: &SpoolFile) -> bool {
        let Self { drafts, settled, dead, gone, unreadable } = self;
        drafts.is_empty() && *settled <= file.settled && dead.is_empty() && gone.is_empty() && unreadable.is_empty()
    }
}

/// What was read of the clicks.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) first: u64,
    /// Milliseconds since 1970 when they were taken in.
    pub(super) at: u64,
    pub(super) clicks: Vec<Click>,
}

impl Chunk {
    /// The clicks of a frame from that number on; `None` when it cannot be read here.
    pub(super) fn read(frame: &Frame<'_>, from: u64) -> Option<Self> {
        let mut clicks = frame.clicks()?;
        let first = frame.head.first.max(from);
        clicks.drain(..clicks.len().min((first - frame.head.first) as usize));
        Some(Self { first, at: frame.head.at, clicks })
    }
}

/// Some chunks in order, and the keys of frames between them that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    pub(super) chunks: Vec<Chunk>,
    pub(super) unreadable: Vec<u64>,
    /// Number of the first click that was not looked at.
    pub(super) until: u64,
}

impl Chunks {
    /// The clicks of one frame.
    pub(super) fn of_one(frame: &Frame<'_>, from: u64) -> Option<Self> {
        let chunk = Chunk::read(frame, from)?;
        Some(Self { chunks: vec![chunk], unreadable: Vec::new(), until: frame.head.end() })
    }
}

impl SpoolFile {
    /// Opens the database, has redb look at every page of it, and makes a new one a spool.
    pub(super) fn open(medium: &dyn Medium, suffix: &str) -> FileResult<Self> {
        Self::open_with(|builder| medium.database(suffix, builder))
    }

    /// Opens a file that a commit failed on, to be read.
    pub(super) fn open_suspect(medium: &dyn Medium, suffix: &str) -> FileResult<Self> {
        let overlay = Overlay::over(medium.read(suffix)?)?;
        Self::open_with(|builder| builder.create_with_backend(overlay))
    }

    fn open_with(open: impl FnOnce(&Builder) -> Result<Database, DatabaseError>) -> FileResult<Self> {
        guarded(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
            let database = open(&builder)?;
            prepare(&database)?;
            let mut file = Self { database, settled: 0, next: 0, bytes: 0, dead_letters: 0, unreadable: 0 };
            file.look()?;
            file.return_unreadable()?;
            Ok(file)
        })
    }

    /// Reads where everything stands.
    fn look(&mut self) -> FileResult<()> {
        (self.settled, self.next, self.bytes, self.dead_letters, self.unreadable) = (0, 0, 0, 0, 0);
        let read = self.database.begin_read()?;
        let progress = read.open_table(PROGRESS)?;
        if let Some(progress) = progress.get(())? {
            (self.settled, self.next) =
                Frame::read(progress.value()).map_or((0, 0), |frame| (frame.head.settled, frame.head.end()));
            self.bytes += progress.value().len() as u64;
        }
        for entry in read.open_table(CLICKS)?.iter()? {
            let (key, frame) = entry?;
            self.next = self.next.max(Head::read(frame.value()).map_or(key.value() + 1, |head| head.end()));
            self.bytes += frame.value().len() as u64;
        }
        for entry in read.open_table(DEAD)?.iter()? {
            self.bytes += entry?.1.value().len() as u64;
            self.dead_letters += 1;
        }
        for entry in read.open_table(UNREADABLE)?.iter()? {
            let frame = entry?.1;
            self.bytes += frame.value().len() as u64;
            self.unreadable += clicks_of(frame.value());
        }
        Ok(())
    }

    /// Frames that an older release could not read, and this one can, are taken in again.
    fn return_unreadable(&mut self) -> FileResult<()> {
        let mut change = Change { settled: self.settled, ..Change::default() };
        let mut keys = Vec::new();
        let read = self.database.begin_read()?;
        for entry in read.open_table(UNREADABLE)?.iter()? {
            let (key, frame) = entry?;
            if let Some(clicks) = Frame::read(frame.value()).and_then(|frame| frame.clicks()) {
                change.drafts.extend(Draft::of(&clicks));
                keys.push(key.value());
            }
        }
        drop(read);
        if keys.is_empty() {
            return Ok(());
        }
        let write = self.database.begin_write()?;
        for key in keys {
            if let Some(frame) = write.open_table(UNREADABLE)?.remove(key)? {
                self.bytes -= frame.value().len() as u64;
                self.unreadable -= clicks_of(frame.value());
            }
        }
        self.commit_in(write, &mut change)
    }

    /// Makes the change, on the disk when it returns. After an error the file may hold all of it or
    /// nothing, and must be [left](super::recovery).
    pub(super) fn commit(&mut self, change: &mut Change, durability: Durability) -> FileResult<()> {
        guarded(|| {
            let mut write = self.database.begin_write()?;
            write.set_durability(durability)?;
            self.commit_in(write, change)
        })
    }

    fn commit_in(&mut self, write: redb::WriteTransaction, change: &mut Change) -> FileResult<()> {
        let now = now();
        let settled = change.settled.max(self.settled);
        let (mut next, mut added, mut removed) = (self.next, 0, 0);
        let (mut dead_letters, mut unreadable) = (self.dead_letters, self.unreadable);
        if !change.drafts.is_empty() || settled > self.settled || !change.unreadable.is_empty() {
            let mut clicks = write.open_table(CLICKS)?;
            for key in &change.unreadable {
                if let Some(frame) = clicks.remove(key)? {
                    unreadable += clicks_of(frame.value());
                    write.open_table(UNREADABLE)?.insert(key_of(*key, frame.value()), frame.value())?;
                }
            }
            if settled > self.settled {
                clicks.retain_in(..settled, |_, frame| {
                    let keep = Head::read(frame).is_none_or(|head| head.end() > settled);
                    removed += if keep { 0 } else { frame.len() as u64 };
                    keep
                })?;
            }
            for draft in &mut change.drafts {
                let count = u64::from(draft.clicks);
                let frame = draft.seal(Kind::Clicks, next, settled, now);
                clicks.insert(next, frame)?;
                added += frame.len() as u64;
                next += count;
            }
        }
        if settled > self.settled || next > self.next {
            let mut progress = write.open_table(PROGRESS)?;
            progress.insert((), Draft::new().seal(Kind::Progress, next, settled, now))?;
        }
        if !change.dead.is_empty() || !change.gone.is_empty() {
            let mut dead = write.open_table(DEAD)?;
            for id in &change.gone {
                if let Some(frame) = dead.remove(id.as_u128())? {
                    removed += frame.value().len() as u64;
                    dead_letters -= 1;
                }
            }
            for letter in &change.dead {
                let mut draft = dead_letter_draft(letter);
                let frame = draft.seal(Kind::DeadLetter, 0, settled, now);
                added += frame.len() as u64;
                match dead.insert(letter.click.id.as_u128(), frame)? {
                    Some(before) => removed += before.value().len() as u64,
                    None => dead_letters += 1,
                }
            }
        }
        write.commit()?;
        (self.settled, self.next) = (settled, next);
        (self.dead_letters, self.unreadable) = (dead_letters, unreadable);
        self.bytes = self.bytes + added - removed;
        Ok(())
    }

    /// Reads whole frames from the one with that click on, until there are so many clicks.
    pub(super) fn read(&self, from: u64, enough: usize) -> FileResult<Chunks> {
        guarded(|| {
            let mut chunks = Chunks { until: from, ..Chunks::default() };
            let read = self.database.begin_read()?;
            let clicks = read.open_table(CLICKS)?;
            let before = clicks.range(..=from)?.next_back().transpose()?;
            let start = before.map_or(from, |(key, _)| key.value());
            let mut count = 0;
            for entry in clicks.range(start..)? {
                let (key, bytes) = entry?;
                let frame = Frame::read(bytes.value()).filter(|frame| frame.head.first == key.value());
                let read = frame.and_then(|frame| Some((frame.head.end(), Chunk::read(&frame, from)?)));
                let Some((end, chunk)) = read else {
                    chunks.unreadable.push(key.value());
                    continue;
                };
                if end <= from {
                    continue;
                }
                chunks.until = end;
                count += chunk.clicks.len();
                chunks.chunks.push(chunk);
                if count >= enough {
                    return Ok(chunks);
                }
            }
            chunks.until = chunks.until.max(self.next);
            Ok(chunks)
        })
    }

    /// Copies what another file has beyond what is settled by now, with its numbers. Those from `next` on are free
    /// in both: a number that was ever given out is not given out again.
    pub(super) fn copy_from(&mut self, other: &Self, settled: u64, next: u64) -> FileResult<()> {
        guarded(|| {
            let settled = settled.max(other.settled);
            let read = other.database.begin_read()?;
            let write = self.database.begin_write()?;
            {
                let mut clicks = write.open_table(CLICKS)?;
                for entry in read.open_table(CLICKS)?.iter()? {
                    let (key, frame) = entry?;
                    if Head::read(frame.value()).is_none_or(|head| head.end() > settled) {
                        clicks.insert(key.value(), frame.value())?;
                    }
                }
                let mut dead = write.open_table(DEAD)?;
                for entry in read.open_table(DEAD)?.iter()? {
                    let (key, frame) = entry?;
                    dead.insert(key.value(), frame.value())?;
                }
                let mut unreadable = write.open_table(UNREADABLE)?;
                for entry in read.open_table(UNREADABLE)?.iter()? {
                    let (key, frame) = entry?;
                    unreadable.insert(key.value(), frame.value())?;
                }
                let next = next.max(other.next).max(settled);
                let mut progress = write.open_table(PROGRESS)?;
                progress.insert((), Draft::new().seal(Kind::Progress, next, settled, now()))?;
            }
            write.commit()?;
            self.look()
        })
    }

    /// Begins with that number, in a file in which nothing stands yet.
    pub(super) fn begin_at(&mut self, number: u64) {
        (self.settled, self.next) = (number, number);
    }

    /// Keeps a frame that cannot be read by this release, in a file that is being built.
    pub(super) fn keep_unreadable(&mut self, number: u64, frame: &[u8]) -> FileResult<()> {
        guarded(|| {
            let write = self.database.begin_write()?;
            write.open_table(UNREADABLE)?.insert(key_of(number, frame), frame)?;
            write.commit()?;
            self.bytes += frame.len() as u64;
            self.unreadable += clicks_of(frame);
            Ok(())
        })
    }

    /// Closes the database.
    pub(super) fn close(self) -> FileResult<()> {
        guarded(|| Ok(self.database.close()?))
    }
}

/// Makes a new database a spool; leaves one alone that is something else.
fn prepare(database: &Database) -> FileResult<()> {
    let tables: Vec<_> = database.begin_read()?.list_tables()?.map(|table| table.name().to_owned()).collect();
    if tables.iter().any(|name| name == PROGRESS.name()) {
        return Ok(());
    }
    if !tables.is_empty() {
        return Err(Fault::Foreign(format!(
            "is a redb database of something else, it has the tables {}: give the spool a path of its own",
            tables.join(", ")
        )));
    }
    let write = database.begin_write()?;
    write.open_table(CLICKS)?;
    write.open_table(DEAD)?;
    write.open_table(UNREADABLE)?;
    write.open_table(PROGRESS)?;
    write.commit()?;
    Ok(())
}

fn now() -> u64 {
    u64::try_from(Utc::now().timestamp_millis()).unwrap_or_default()
}

/// How many clicks a frame says that it has.
fn clicks_of(frame: &[u8]) -> u64 {
    Head::read(frame).map_or(1, |head| u64::from(head.clicks))
}

fn key_of(number: u64, unreadable: &[u8]) -> (u64, u64) {
    (number, Head::read(unreadable).map_or(0, |head| head.sum))
}
