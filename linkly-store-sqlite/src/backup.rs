//! Copies of a whole database, and room on the disk.

use std::path::Path;

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
    /// [`Error::Refused`] when there is a file already: nothing is ever written over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a part of the copy behind. It never touches the database.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.try_exists().unwrap_or(true) {
            return Err(error::refused(format!("{} is there already: choose another name", path.display())));
        }
        let text = path.to_str().ok_or_else(|| Error::invalid("path", "it is not UTF-8"))?;
        let copy = "VACUUM INTO ?1";
        if self.is_in_memory() {
            // No other connection can see it.
            return sqlx::query(copy).bind(text).execute(self.writer()).await.map(|_| ()).map_err(error::map);
        }
        // Neither the writer nor a reader, which would be missing for as long as it takes.
        let options = (*self.writer().connect_options()).clone().create_if_missing(false);
        let mut connection = options.connect().await.map_err(error::map)?;
        let copied = sqlx::query(copy).bind(text).execute(&mut connection).await;
        let _ = connection.close().await;
        copied.map(|_| ()).map_err(|found| error::opening(path, found))
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
