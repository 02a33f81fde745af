//! What redb's errors mean, in this one place.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use linkly_core::{Error, Source};

use super::BACKEND;

/// What can be wrong with the file.
#[derive(Debug)]
pub(super) enum Fault {
    /// Another process has it.
    Busy,
    /// Something in it is not as redb wrote it.
    Corrupt(Source),
    /// It is not a spool, or one of a later release: it is left as it is.
    Foreign(String),
    /// The disk, the file system, the rights.
    Failed(Source),
}

pub(super) type FileResult<T> = Result<T, Fault>;

impl Fault {
    /// An error of a call that had to do with the file at that path.
    pub(super) fn into_error(self, path: &Path) -> Error {
        let path = path.display();
        let unavailable = |reason, source| Error::Unavailable { backend: BACKEND, reason, source: Some(source) };
        match self {
            Self::Busy => Error::unavailable(
                BACKEND,
                format!(
                    "{path} is open in another process, and one at a time has a spool: stop the other one, or give this one a path of its own"
                ),
            ),
            Self::Foreign(reason) => Error::Schema { backend: BACKEND, reason: format!("{path} {reason}") },
            Self::Corrupt(source) => unavailable(format!("{path} is damaged"), source),
            Self::Failed(source) => unavailable(format!("{path} cannot be read or written"), source),
        }
    }

    fn of(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Busy,
            redb::Error::Corrupted(_) => Self::Corrupt(Arc::new(error)),
            redb::Error::Io(error) => error.into(),
            redb::Error::UpgradeRequired(version) => {
                Self::Foreign(format!("is a redb file of version {version}, which no release of this crate wrote"))
            }
            error => Self::Failed(Arc::new(error)),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock => Self::Busy,
            // redb's word for a file that does not begin as its files do, and a file that was cut short.
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::Corrupt(Arc::new(error)),
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

macro_rules! from_redb {
    ($($error:ident)*) => {$(
        impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::of(error.into())
            }
        }
    )*};
}

from_redb!(CommitError DatabaseError SetDurabilityError StorageError TableError TransactionError);

/// Runs what reads or writes a database. redb answers some damage with a panic.
pub(super) fn guarded<T>(run: impl FnOnce() -> FileResult<T>) -> FileResult<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
        let message = format!("redb panicked: {}", message.unwrap_or("without a message"));
        Err(Fault::Corrupt(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(message))))
    })
}
