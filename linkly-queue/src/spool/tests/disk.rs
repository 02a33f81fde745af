//! A disk in memory that keeps after a loss of power what was synced, and fails on request.

use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rand::RngExt;
use rand::rngs::StdRng;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::spool::medium::{Medium, ReadSeek};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Which file each name leads to.
    names: BTreeMap<String, usize>,
    files: Vec<File>,
    steps: u64,
    /// The power is lost at this step.
    cut_at: Option<u64>,
    fault: DiskFault,
}

/// What is wrong with the disk, until it is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DiskFault {
    #[default]
    None,
    /// The next sync fails, and what it would have synced never gets to the disk, though it is read back:
    /// as Linux does it. Then all is well.
    NextSyncFails,
    /// Every sync does.
    SyncsFail,
    /// Every write fails: there is no space.
    Full,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What is read back.
    seen: Vec<u8>,
    /// What is on the disk for sure.
    kept: Vec<u8>,
    /// What may be.
    unsynced: Vec<Write>,
    locked: bool,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Write {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bytes(offset, bytes) => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Length(len) => to.resize(*len, 0),
        }
    }

    /// The sectors it is made of.
    fn sectors(&self) -> Vec<Self> {
        match self {
            Self::Length(_) => vec![self.clone()],
            Self::Bytes(offset, bytes) => bytes
                .chunks(SECTOR)
                .enumerate()
                .map(|(at, bytes)| Self::Bytes(offset + at * SECTOR, bytes.to_vec()))
                .collect(),
        }
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The power is lost at that step.
    pub(super) fn cut_at(&self, step: u64) {
        self.lock().cut_at = Some(step);
    }

    pub(super) fn is_cut(&self) -> bool {
        let state = self.lock();
        state.cut_at.is_some_and(|at| state.steps >= at)
    }

    pub(super) fn set_fault(&self, fault: DiskFault) {
        self.lock().fault = fault;
    }

    /// The disk as the machine finds it when it has power again: of what was not synced, sectors by chance.
    pub(super) fn after_power_loss(&self, random: &mut StdRng) -> Self {
        let state = self.lock();
        let share = [0.0, 1.0, random.random_range(0.0..1.0)][random.random_range(0..3)];
        let files = state.files.iter().map(|file| {
            let mut kept = file.kept.clone();
            for write in file.unsynced.iter().flat_map(Write::sectors) {
                if random.random_bool(share) {
                    write.apply(&mut kept);
                }
            }
            File { seen: kept.clone(), kept, ..File::default() }
        });
        let files = files.collect();
        Self(Arc::new(Mutex::new(State { names: state.names.clone(), files, ..State::default() })))
    }

    /// The names that there are.
    pub(super) fn names(&self) -> Vec<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// Changes what stands in a file.
    pub(super) fn damage(&self, suffix: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.lock();
        let file = state.names[suffix];
        let file = &mut state.files[file];
        damage(&mut file.seen);
        file.kept.clone_from(&file.seen);
    }
}

impl State {
    /// Counts a step, which does not happen without power.
    fn step(&mut self) -> io::Result<()> {
        self.steps += 1;
        if self.cut_at.is_some_and(|at| self.steps >= at) { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    fn write(&mut self, file: usize, write: Write) -> io::Result<()> {
        let outcome = self.step();
        if outcome.is_ok() && self.fault == DiskFault::Full {
            return Err(ErrorKind::StorageFull.into());
        }
        let file = &mut self.files[file];
        // Also what was being written when the power was lost may have got there in part.
        if outcome.is_ok() || file.unsynced.len() < 10_000 {
            write.apply(&mut file.seen);
            file.unsynced.push(write);
        }
        outcome
    }
}

impl Medium for Disk {
    fn database(&self, suffix: &str, builder: &Builder) -> Result<Database, DatabaseError> {
        let file = {
            let mut state = self.lock();
            state.step()?;
            let file = match state.names.get(suffix) {
                Some(file) => *file,
                None => {
                    state.files.push(File::default());
                    let file = state.files.len() - 1;
                    state.names.insert(suffix.to_owned(), file);
                    file
                }
            };
            if std::mem::replace(&mut state.files[file].locked, true) {
                return Err(DatabaseError::DatabaseAlreadyOpen);
            }
            file
        };
        builder.create_with_backend(OpenFile { disk: self.clone(), file })
    }

    fn exists(&self, suffix: &str) -> io::Result<bool> {
        Ok(self.lock().names.contains_key(suffix))
    }

    fn read(&self, suffix: &str) -> io::Result<Box<dyn ReadSeek>> {
        let state = self.lock();
        let file = &state.files[*state.names.get(suffix).ok_or(ErrorKind::NotFound)?];
        if file.locked { Err(ErrorKind::WouldBlock.into()) } else { Ok(Box::new(Cursor::new(file.seen.clone()))) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let file = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, suffix: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        state.names.remove(suffix).map(|_| ()).ok_or(ErrorKind::NotFound.into())
    }

    fn path(&self, suffix: &str) -> PathBuf {
        format!("disk{suffix}").into()
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: Disk,
    file: usize,
}

impl StorageBackend for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().files[self.file].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.lock();
        let offset = offset as usize;
        let bytes = state.files[self.file].seen.get(offset..offset + out.len());
        out.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.lock().write(self.file, Write::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.step()?;
        let fault = state.fault;
        let file = &mut state.files[self.file];
        let unsynced = std::mem::take(&mut file.unsynced);
        if matches!(fault, DiskFault::NextSyncFails | DiskFault::SyncsFail) {
            if fault == DiskFault::NextSyncFails {
                state.fault = DiskFault::None;
            }
            return Err(io::Error::other("the disk is broken"));
        }
        for write in unsynced {
            write.apply(&mut file.kept);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.lock().write(self.file, Write::Bytes(offset as usize, data.to_vec()))
    }

    fn close(&self) -> io::Result<()> {
        self.disk.lock().files[self.file].locked = false;
        Ok(())
    }
}
