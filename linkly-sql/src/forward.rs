//! The four store traits for a type that holds a [`SqlStore`](crate::SqlStore).

/// Implements the four store traits for a type with a field that is a [`SqlStore`](crate::SqlStore), or
/// another store.
///
/// ```
/// # use linkly_sql::{Driver, SqlStore};
/// # use linkly_core::Store;
/// # #[derive(Debug)] struct MyDriver;
/// # impl Driver for MyDriver {
/// #     fn backend(&self) -> &'static str { "my" }
/// #     fn is_closed(&self) -> bool { false }
/// #     async fn read(&self, _: linkly_sql::Statement) -> linkly_core::Result<Vec<linkly_sql::Row>> { todo!() }
/// #     async fn write(&self, _: linkly_sql::Statement) -> linkly_core::Result<u64> { todo!() }
/// #     async fn write_returning(&self, _: linkly_sql::Statement) -> linkly_core::Result<Vec<linkly_sql::Row>> { todo!() }
/// #     async fn transaction(&self, _: linkly_sql::Sql) -> linkly_core::Result<()> { todo!() }
/// # }
/// #[derive(Clone, Debug)]
/// pub struct MyStore {
///     sql: SqlStore<MyDriver>,
/// }
///
/// linkly_sql::forward_store!(MyStore, sql);
/// # fn is_a_store<S: Store>() {}
/// # is_a_store::<MyStore>();
/// ```
#[macro_export]
macro_rules! forward_store {
    ($store:ty, $field:ident) => {
        // A default method of a trait must never silently replace what is inside.
        #[deny(clippy::missing_trait_methods)]
        const _: () = {
            use $crate::__private::*;

            #[async_trait]
            impl LinkStore for $store {
                fn folding(&self) -> Folding {
                    self.$field.folding()
                }
                async fn insert(&self, links: &[Link]) -> Result<Vec<Insert>> {
                    self.$field.insert(links).await
                }
                async fn targets(&self, codes: &[Code]) -> Result<Vec<Option<Target>>> {
                    self.$field.targets(codes).await
                }
                async fn get(&self, codes: &[Code]) -> Result<Vec<Option<Link>>> {
                    self.$field.get(codes).await
                }
                async fn update(&self, links: &[Link]) -> Result<Vec<Update>> {
                    self.$field.update(links).await
                }
                async fn delete(&self, links: &[Delete]) -> Result<Vec<Deleted>> {
                    self.$field.delete(links).await
                }
                async fn consume(&self, uses: &[Use]) -> Result<Vec<u32>> {
                    self.$field.consume(uses).await
                }
                async fn list(&self, query: &ListLinks) -> Result<Page<Link>> {
                    self.$field.list(query).await
                }
            }

            #[async_trait]
            impl ClickSink for $store {
                async fn record(&self, clicks: &[Click]) -> Result<()> {
                    self.$field.record(clicks).await
                }
            }

            #[async_trait]
            impl ClickStats for $store {
                async fn totals(&self, codes: &[Code]) -> Result<Vec<Totals>> {
                    self.$field.totals(codes).await
                }
                async fn series(&self, query: &Series) -> Result<Vec<Bucket>> {
                    self.$field.series(query).await
                }
                async fn clicks(&self, query: &ListClicks) -> Result<Page<Click>> {
                    self.$field.clicks(query).await
                }
                async fn top(&self, query: &Top) -> Result<Vec<TopLink>> {
                    self.$field.top(query).await
                }
            }

            #[async_trait]
            impl Maintenance for $store {
                async fn changes(&self, after: Option<&ChangeCursor>) -> Result<Changes> {
                    self.$field.changes(after).await
                }
                async fn purge_clicks(&self, before: DateTime<Utc>, limit: u32) -> Result<PurgedClicks> {
                    self.$field.purge_clicks(before, limit).await
                }
                async fn purge_expired(&self, query: &PurgeExpired) -> Result<PurgedLinks> {
                    self.$field.purge_expired(query).await
                }
                async fn reconcile(&self, range: TimeRange) -> Result<Reconciled> {
                    self.$field.reconcile(range).await
                }
                async fn optimize(&self) -> Result<()> {
                    self.$field.optimize().await
                }
                async fn size(&self) -> Result<Size> {
                    self.$field.size().await
                }
                async fn ping(&self) -> Result<()> {
                    self.$field.ping().await
                }
            }
        };
    };
}
