//! Bringing a database to the schema of this release.
//!
//! The library's own version row says where a database stands. The schema is made in one transaction under an
//! advisory lock that first looks at that row again, so any number of processes may start at once. The lock is the
//! transaction's, so it holds through a pooler too.

use deadpool_postgres::{GenericClient, Transaction};
use linkly_core::{Folding, Result};
use tokio::time::timeout;
use tokio_postgres::types::Type;

use crate::call::{Busy, Param, acquire};
use crate::config::{Partitions, PostgresConfig};
use crate::error;
use crate::store::PostgresStore;

/// The schema version of this release.
pub const SCHEMA_VERSION: u32 = 1;

/// One version of the schema.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Migration {
    /// The version that a database has after it.
    pub version: u32,
    /// Its texts, in order: a name, and SQL that runs as it is. The comment `/*schema.*/` stands where the
    /// configured schema goes, and `/*partition by*/` where `PARTITION BY RANGE (event_id)` does.
    pub files: &'static [(&'static str, &'static str)],
}

/// Every version of the schema, for reading and for other programs.
///
/// [`PostgresStore::migrate`] also makes the schema, checks what was there before, and writes the rows of
/// `linkly_meta`.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    files: &[
        ("0001_tables.sql", include_str!("migrations/0001_tables.sql")),
        ("0001_indexes.sql", include_str!("migrations/0001_indexes.sql")),
        ("0001_triggers.sql", include_str!("migrations/0001_triggers.sql")),
        ("0001_batches.sql", include_str!("migrations/0001_batches.sql")),
        ("0001_partitions.sql", include_str!("migrations/0001_partitions.sql")),
    ],
}];

const CLICKS_BY_CODE: &str = "CREATE INDEX IF NOT EXISTS clicks_by_code ON /*schema.*/clicks (code, event_id)";

/// What a database knows of itself.
#[derive(Default)]
pub(crate) struct State {
    version: u32,
    pub(crate) folding: Folding,
    pub(crate) partitions: Option<Partitions>,
    pub(crate) has_clicks_by_code: bool,
}

impl State {
    /// Whether this release and configuration fit it.
    pub(crate) fn check(&self, config: &PostgresConfig) -> Result<()> {
        let schema = &config.schema;
        if self.version > SCHEMA_VERSION {
            return Err(error::schema(format!(
                "schema {schema:?} is at version {}, this release knows version {SCHEMA_VERSION}: \
                 use the release that migrated it, or a newer one",
                self.version
            )));
        }
        if let Some(asked) = config.folding.filter(|asked| *asked != self.folding) {
            return Err(error::schema(format!(
                "schema {schema:?} was made with folding {:?}, {:?} was asked for: leave the folding out, or move the \
                 links to a new schema",
                self.folding.as_str(),
                asked.as_str()
            )));
        }
        if let Some(asked) = config.partitions.filter(|asked| Some(*asked) != self.partitions) {
            return Err(error::schema(format!(
                "schema {schema:?} was made with clicks by {}, {} was asked for: leave the partitions out, or move the \
                 clicks to a new schema",
                self.partitions.map_or("no partitions", Partitions::as_str),
                asked.as_str()
            )));
        }
        Ok(())
    }

    fn is_whole(&self, config: &PostgresConfig) -> bool {
        self.version == SCHEMA_VERSION && (self.has_clicks_by_code || !config.clicks_by_code_index)
    }
}

const EXISTS: &str = "
    SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'linkly_meta'),
    EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relname = 'clicks_by_code')";

const STATE: &str = "SELECT key, value FROM /*schema.*/linkly_meta";

/// What the database knows of itself; `None` before the first migration.
pub(crate) async fn read_state(store: &PostgresStore) -> Result<Option<State>> {
    let config = store.config();
    let mut client = Busy::new(acquire(store.pool(), config.acquire_timeout()).await?);
    let read = async {
        let transaction = client.transaction().await.map_err(error::map)?;
        state_of(store, &transaction).await
    };
    let state = timeout(config.statement_timeout(), read).await.map_err(|_| error::no_answer())?;
    if state.is_ok() {
        client.give_back();
    }
    state
}

async fn state_of(store: &PostgresStore, transaction: &Transaction<'_>) -> Result<Option<State>> {
    let schema: Param<'_> = (&store.config().schema, Type::TEXT);
    let found = transaction.query_typed_one(EXISTS, &[schema]).await.map_err(error::map)?;
    let read = || Ok((found.try_get(0)?, found.try_get(1)?));
    let (exists, has_clicks_by_code): (bool, bool) = read().map_err(error::map)?;
    if !exists {
        return Ok(None);
    }
    let mut state = State { has_clicks_by_code, ..State::default() };
    for row in transaction.query_typed(&store.sql(STATE), &[]).await.map_err(error::map)? {
        let read = || Ok((row.try_get(0)?, row.try_get(1)?));
        let (key, value): (&str, &str) = read().map_err(error::map)?;
        match key {
            "schema_version" => state.version = value.parse().unwrap_or(0),
            "folding" => state.folding = Folding::from_name(value).unwrap_or_default(),
            "partitions" => {
                state.partitions =
                    [Partitions::Day, Partitions::Week, Partitions::Month].into_iter().find(|by| by.as_str() == value);
            }
            _ => {}
        }
    }
    Ok(Some(state))
}

pub(crate) async fn run(store: &PostgresStore) -> Result<()> {
    let config = store.config();
    if let Some(state) = read_state(store).await? {
        state.check(config)?;
        if state.is_whole(config) {
            return Ok(());
        }
    }
    let mut client = Busy::new(acquire(store.pool(), config.acquire_timeout()).await?);
    let migrating = async {
        let transaction = client.transaction().await.map_err(error::map)?;
        migrate(store, &transaction).await?;
        transaction.commit().await.map_err(error::map)
    };
    timeout(config.maintenance_timeout(), migrating).await.map_err(|_| error::no_answer())??;
    client.give_back();
    Ok(())
}

async fn migrate(store: &PostgresStore, transaction: &Transaction<'_>) -> Result<()> {
    let config = store.config();
    let timeout = format!("SET LOCAL statement_timeout = {}", config.maintenance_timeout_ms);
    transaction.batch_execute(&timeout).await.map_err(error::map)?;
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('linkly migrate ' || $1, 0))";
    transaction.query_typed(lock, &[(&config.schema, Type::TEXT)]).await.map_err(error::map)?;
    let state = state_of(store, transaction).await?;
    match state {
        Some(state) => state.check(config)?,
        None => create(store, transaction).await?,
    }
    if config.clicks_by_code_index {
        transaction.batch_execute(&store.sql(CLICKS_BY_CODE)).await.map_err(error::map)?;
    }
    Ok(())
}

/// Version 1, in a schema without tables of ours.
async fn create(store: &PostgresStore, transaction: &Transaction<'_>) -> Result<()> {
    let config = store.config();
    check_server(transaction).await?;
    // Not IF NOT EXISTS, which needs the right to create schemas also where it is there.
    let exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    let exists = transaction.query_typed_one(exists, &[(&config.schema, Type::TEXT)]).await.map_err(error::map)?;
    if !exists.try_get::<_, bool>(0).map_err(error::map)? {
        let create = format!("CREATE SCHEMA \"{}\"", config.schema);
        transaction.batch_execute(&create).await.map_err(error::map)?;
    }
    check_tables(store, transaction).await?;
    let by = if config.partitions.is_some() { "PARTITION BY RANGE (event_id)" } else { "" };
    for (_, text) in MIGRATIONS[0].files {
        let text = store.built_sql(text).replace("/*partition by*/", by);
        transaction.batch_execute(&text).await.map_err(in_the_way)?;
    }
    let meta = store.built_sql("INSERT INTO /*schema.*/linkly_meta (key, value) VALUES ($1, $2)");
    let rows = [
        ("schema_version", SCHEMA_VERSION.to_string()),
        ("folding", config.folding.unwrap_or_default().as_str().to_owned()),
        ("partitions", config.partitions.map_or("none", Partitions::as_str).to_owned()),
        // Tells the change cursors of this database from those of another at the same place.
        ("database", linkly_core::new_id(linkly_core::chrono::Utc::now()).simple().to_string()),
    ];
    for (key, value) in rows {
        let params: [Param<'_>; 2] = [(&key, Type::TEXT), (&value, Type::TEXT)];
        transaction.query_typed(&meta, &params).await.map_err(error::map)?;
    }
    if let Some(by) = config.partitions {
        let make = format!(
            "CREATE TABLE /*schema.*/clicks_default PARTITION OF /*schema.*/clicks DEFAULT; \
             SELECT /*schema.*/linkly_make_partitions('{}', now(), {});",
            by.as_str(),
            by.ahead()
        );
        transaction.batch_execute(&store.built_sql(&make)).await.map_err(in_the_way)?;
    }
    Ok(())
}

async fn check_server(transaction: &Transaction<'_>) -> Result<()> {
    let asked = "SELECT current_setting('server_version'), current_setting('server_version_num')::integer, \
                 current_setting('server_encoding')";
    let row = transaction.query_typed_one(asked, &[]).await.map_err(error::map)?;
    let read = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    let (version, number, encoding): (&str, i32, &str) = read().map_err(error::map)?;
    if number < 140_000 {
        return Err(error::schema(format!("the server is Postgres {version}, 14 or newer is needed")));
    }
    if encoding != "UTF8" {
        return Err(error::schema(format!(
            "the database is in {encoding}, not in UTF8: create one with ENCODING 'UTF8'"
        )));
    }
    Ok(())
}

/// Whether the names of our tables are free.
async fn check_tables(store: &PostgresStore, transaction: &Transaction<'_>) -> Result<()> {
    const COLUMNS: &str = "
        SELECT c.relname::text, string_agg(a.attname, ', ' ORDER BY a.attnum)
        FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE n.nspname = $1 AND c.relname = ANY ($2) GROUP BY 1 ORDER BY 1 LIMIT 1";
    let schema = &store.config().schema;
    let params: [Param<'_>; 2] = [(schema, Type::TEXT), (&&crate::maintenance::TABLES[..], Type::TEXT_ARRAY)];
    let Some(row) = transaction.query_typed_opt(COLUMNS, &params).await.map_err(error::map)? else {
        return Ok(());
    };
    let read = || Ok((row.try_get(0)?, row.try_get::<_, Option<&str>>(1)?));
    let (table, columns): (&str, _) = read().map_err(error::map)?;
    Err(error::schema(format!(
        "there is a table {table:?} in schema {schema:?} with the columns {}: it belongs to something else, so choose \
         a schema",
        columns.unwrap_or("of nothing")
    )))
}

/// A name of ours that is taken by something else of the app.
fn in_the_way(found: tokio_postgres::Error) -> linkly_core::Error {
    if let Some(error) = found.as_db_error().filter(|error| matches!(error.code().code(), "42P07" | "42723" | "42710"))
    {
        return error::schema(format!("{}, and belongs to something else: choose a schema", error.message()));
    }
    error::map(found)
}
