//! Copies of a whole database, and room on the disk.

use std::path::Path;

use linkly_core::Result;
use linkly_sql::{NewFile, during};
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
    /// [`Error::Refused`](linkly_core::Error::Refused) when there is a file already: nothing is ever written over. After any error no
    /// part of the copy is left.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the copy up. It never touches the database.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<()> {
        let copy = NewFile::create(crate::BACKEND, path.as_ref())?;
        let copied = self.copy_into(copy.path()).await;
        copied.map_err(|found| during(&format!("copying to {}", copy.path()), error::map(found)))?;
        copy.keep();
        Ok(())
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
