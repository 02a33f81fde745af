//! Links inside the app's own transaction.

use linkly_core::{Insert, Link, Result};
use sqlx::sqlite::SqliteConnection;

use crate::driver::{query, row};
use crate::error;
use crate::store::SqliteStore;

impl SqliteStore {
    /// Inserts a link inside the app's own transaction: it is there when the app's rows are, or never
    /// was. The connection may be any one to the same database; begin with `BEGIN IMMEDIATE`, because a
    /// transaction that reads first and writes later may find that another wrote in between.
    ///
    /// The engine learns of the link by the change log: until then a known absence may be answered.
    ///
    /// ```
    /// use linkly_core::{Code, Link, chrono::Utc};
    /// use linkly_store_sqlite::{SqliteStore, sqlx::Connection};
    /// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
    /// # let store = SqliteStore::connect("sqlite::memory:").await?;
    /// let link = Link::new(Code::new("order-7")?, "https://iii.dev/orders/7", Utc::now());
    /// let mut connection = store.writer().acquire().await?;
    /// let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    /// // ... the app's own rows ...
    /// store.insert_in(&mut transaction, &link).await?;
    /// transaction.commit().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Of [`LinkStore::insert`](linkly_core::LinkStore::insert). After an error roll back.
    pub async fn insert_in(&self, connection: &mut SqliteConnection, link: &Link) -> Result<Insert> {
        let links = std::slice::from_ref(link);
        let insert = query(self.sql.insert_links(links)?);
        if insert.execute(&mut *connection).await.map_err(error::map)?.rows_affected() == 1 {
            return Ok(Insert::Inserted);
        }
        let ask = query(self.sql.ask_inserted(links));
        let found = ask.fetch_one(connection).await.map_err(error::map)?;
        Ok(self.sql.read_inserted(links, vec![row(&found)?])?.first().copied().unwrap_or(Insert::CodeTaken))
    }
}
