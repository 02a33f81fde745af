//! Links inside the app's own transaction.

use linkly_core::{Insert, Link, Result, Uuid};
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Row, Transaction};

use crate::call::Param;
use crate::error;
use crate::links::{HOLDERS, Holder, INSERT_ONE};
use crate::rows::LinkValues;
use crate::store::PostgresStore;

impl PostgresStore {
    /// Inserts a link inside the app's own transaction: it is there when the app's rows are, or never was. The
    /// transaction may be on any connection to the same database. Another insert of the same code waits until
    /// it ends.
    ///
    /// The engine learns of the link by the change log: until then a known absence may be answered.
    ///
    /// ```no_run
    /// use linkly_core::{Code, Link, chrono::Utc};
    /// use linkly_store_postgres::PostgresStore;
    /// # async fn example(store: PostgresStore) -> Result<(), Box<dyn std::error::Error>> {
    /// let link = Link::new(Code::new("order-7")?, "https://iii.dev/orders/7", Utc::now());
    /// let mut client = store.pool().get().await?;
    /// let transaction = client.transaction().await?;
    /// // ... the app's own rows ...
    /// store.insert_in(&transaction, &link).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Of [`LinkStore::insert`](linkly_core::LinkStore::insert), and none of them is sent again here. After an
    /// error roll back; after one that is transient drop the connection too.
    pub async fn insert_in(&self, transaction: &Transaction<'_>, link: &Link) -> Result<Insert> {
        link.check_new()?;
        let inserted = self.query_in(transaction, INSERT_ONE, &LinkValues::of(link).params()).await?;
        let count: i64 = inserted.first().map_or(Ok(0), |row| row.try_get(0)).map_err(error::map)?;
        if count == 1 {
            return Ok(Insert::Inserted);
        }
        let (codes, ids): ([&str; 1], [Uuid; 1]) = ([link.code.as_str()], [link.id]);
        let params: [Param<'_>; 2] = [(&&codes[..], Type::TEXT_ARRAY), (&&ids[..], Type::UUID_ARRAY)];
        let rows = self.query_in(transaction, HOLDERS, &params).await?;
        match rows.first() {
            Some(row) => Ok(Holder::of(row)?.inserted(link.id)),
            None => Ok(Insert::CodeTaken),
        }
    }

    async fn query_in(
        &self,
        transaction: &Transaction<'_>,
        text: &'static str,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>> {
        let sql = self.sql(text);
        match timeout(self.config().statement_timeout(), transaction.query_typed(&sql, params)).await {
            Ok(answer) => answer.map_err(error::map),
            Err(_) => Err(error::no_answer()),
        }
    }
}
