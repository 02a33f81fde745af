//! Copies of a whole database, and room on the disk.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use linkly_core::{Error, Result};
use sqlx::ConnectOptions;
use sqlx::Connection;

use crate::error;
use crate::store::SqliteStore;

impl SqliteStore {
    /// Writes a copy of the database, as it is at one moment, to a new file. Reads and writes go on
    /// meanwhile; the copy has no room to spare and is synced like the database.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] when there is a file already: nothing is ever written over. After any error no
    /// part of the copy is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a part of the copy behind. It never touches the database.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = path.to_str().ok_or_else(|| Error::invalid("path", "it is not UTF-8"))?;
        // An empty file is what SQLite copies into, and by making it this call knows that it is its own.
        File::create_new(path).map_err(|found| match found.kind() {
            ErrorKind::AlreadyExists => {
                error::refused(format!("{} is there already: choose another name", path.display()))
            }
            _ => Error::Backend {
                backend: crate::BACKEND,
                reason: format!(
                    "copying to {}: the file cannot be created: choose a path that this process may write",
                    path.display()
                ),
                source: Some(Arc::new(found)),
            },
        })?;
        let copied = self.copy_into(text).await;
        copied.map_err(|found| {
            for end in ["", "-journal"] {
                let _ = std::fs::remove_file(format!("{text}{end}"));
            }
            error::copying(path, found)
        })
    }

    async fn copy_into(&self, path: &str) -> sqlx::Result<()> {
        let copy = "VACUUM INTO ?1";
        if self.connections().in_memory {
            // No other connection can see it.
            return sqlx::query(copy).bind(path).execute(self.writer()).await.map(|_| ());
        }
        // Neither the writer nor a reader, which would be missing for as long as it takes.
        let options = (*self.writer().connect_options()).clone().create_if_missing(false);
        let mut connection = options.connect().await?;
        let copied = sqlx::query(copy).bind(path).execute(&mut connection).await;
        let _ = connection.close().await;
        copied.map(|_| ())
    }

    /// Rewrites the database without the room that deleted rows left. Writes wait for as long as it
    /// takes, and the disk needs room for a second copy.
    ///
    /// # Errors
    ///
    /// Those of any write.
    pub async fn vacuum(&self) -> Result<()> {
        sqlx::query("VACUUM").execute(self.writer()).await.map(|_| ()).map_err(error::map)
    }
}
