//! Where the spool's files are: a folder; in tests, a disk that loses what was not synced.
//!
//! The spool's own file has the path that was given. Beside it stand, each by its suffix, the one that is
//! being built and those that were set aside.

use std::fmt::Debug;
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError};

/// The suffix of the spool's own file.
pub(super) const SPOOL: &str = "";
/// Of one that is being built and will take its place.
pub(super) const FRESH: &str = ".new";
/// Of one in which something could not be read; a number follows.
pub(super) const CORRUPT: &str = ".corrupt-";

pub(super) trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

/// Files by their suffixes.
pub(super) trait Medium: Debug + Send + 'static {
    /// Opens a database; creates it when there is none.
    fn database(&self, suffix: &str, builder: &Builder) -> Result<Database, DatabaseError>;

    fn exists(&self, suffix: &str) -> io::Result<bool>;

    /// Opens a file to be read beside redb, for this process alone; `WouldBlock` when another has it.
    fn read(&self, suffix: &str) -> io::Result<Box<dyn ReadSeek>>;

    /// Renames a file, over another if there is one; on the disk when it returns.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, suffix: &str) -> io::Result<()>;

    /// The path, for messages.
    fn path(&self, suffix: &str) -> PathBuf;
}

/// The file system.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// For the spool at that path. Creates the folder that it is in.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        if let Some(folder) = path.parent() {
            let made: Vec<_> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
            fs::create_dir_all(folder)?;
            // A folder is on the disk once the one that it is in is.
            made.into_iter().filter_map(Path::parent).try_for_each(sync_folder)?;
        }
        Ok(Self(path))
    }

    /// Brings the names of the files to the disk.
    fn sync(&self) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), sync_folder)
    }
}

/// On Windows folders cannot be synced and need not be.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Whether a file that is locked now still has its name: before the lock, another process may have put a new one in
/// its place, and what is written to this one is in no folder.
#[cfg(unix)]
fn is_still(opened: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|named| (named.dev(), named.ino()) == (opened.dev(), opened.ino()))
}

/// Elsewhere a file that is open cannot be replaced.
#[cfg(not(unix))]
fn is_still(_: &Metadata, _: &Path) -> bool {
    true
}

impl Medium for Folder {
    fn database(&self, suffix: &str, builder: &Builder) -> Result<Database, DatabaseError> {
        let path = self.path(suffix);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path)?;
        let opened = file.metadata()?;
        let database = builder.create_with_backend(FileBackend::new(file)?)?;
        if !is_still(&opened, &path) {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        // Also when it was there: who made it may have come to its end before this.
        self.sync()?;
        Ok(database)
    }

    fn exists(&self, suffix: &str) -> io::Result<bool> {
        fs::exists(self.path(suffix))
    }

    fn read(&self, suffix: &str) -> io::Result<Box<dyn ReadSeek>> {
        let path = self.path(suffix);
        let file = File::open(&path)?;
        match file.try_lock() {
            Ok(()) if !is_still(&file.metadata()?, &path) => Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            // A file system without locks: redb has let us open the file as well.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(Box::new(file)),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))?;
        self.sync()
    }

    fn remove(&self, suffix: &str) -> io::Result<()> {
        fs::remove_file(self.path(suffix))
    }

    fn path(&self, suffix: &str) -> PathBuf {
        let mut path = self.0.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_replaced_before_it_was_locked_is_told_from_the_one_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        let opened = File::create(&path).unwrap().metadata().unwrap();
        assert!(is_still(&opened, &path));
        File::create(&other).unwrap();
        fs::rename(&other, &path).unwrap();
        assert!(!is_still(&opened, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_still(&opened, &path));
    }
}
