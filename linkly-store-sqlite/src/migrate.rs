//! Bringing a database to the schema of this release.
//!
//! The library's own version row says where a database stands. Each version is one transaction under
//! `BEGIN IMMEDIATE` that first looks at that row again, so any number of processes may start at once.

use std::time::{Duration, Instant};

use linkly_core::{Folding, Result};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::error;
use crate::store::SqliteStore;
use crate::unfit::{MigrationReport, look_at_rows};

/// The schema version of this release.
pub const SCHEMA_VERSION: u32 = 1;

/// One version of the schema.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Migration {
    /// The version that a database has after it.
    pub version: u32,
    /// Its texts, in order: a name, and SQL that runs as it is. The comment `/*prefix*/` stands where
    /// a configured prefix goes.
    pub files: &'static [(&'static str, &'static str)],
}

/// Every version of the schema, for reading and for other programs.
///
/// [`SqliteStore::migrate`] also checks what was in the tables before, and writes the version row.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    files: &[
        ("0001_tables.sql", include_str!("migrations/0001_tables.sql")),
        ("0001_rows.sql", include_str!("migrations/0001_rows.sql")),
        ("0001_indexes.sql", include_str!("migrations/0001_indexes.sql")),
        ("0001_triggers.sql", include_str!("migrations/0001_triggers.sql")),
        ("0001_batches.sql", include_str!("migrations/0001_batches.sql")),
        ("0001_record.sql", include_str!("migrations/0001_record.sql")),
    ],
}];

/// How long one process waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(60);
const CLICKS_BY_CODE: &str = "CREATE INDEX IF NOT EXISTS /*prefix*/clicks_by_code ON /*prefix*/clicks (code, event_id)";

/// What a database knows of itself.
#[derive(Default)]
pub(crate) struct State {
    version: u32,
    pub(crate) folding: Option<Folding>,
    report: MigrationReport,
    pub(crate) has_clicks_by_code: bool,
}

impl State {
    pub(crate) fn check_version(&self) -> Result<()> {
        if self.version <= SCHEMA_VERSION {
            return Ok(());
        }
        Err(error::schema(format!(
            "the database is at version {}, this release knows version {SCHEMA_VERSION}: \
             use the release that migrated it, or a newer one",
            self.version
        )))
    }

    pub(crate) fn check_folding(&self, asked: Option<Folding>) -> Result<()> {
        match (self.folding, asked) {
            (Some(found), Some(asked)) if found != asked => Err(error::schema(format!(
                "the database was made with folding {:?}, {:?} was asked for: leave the folding out, or move the \
                 links to a new database",
                found.as_str(),
                asked.as_str()
            ))),
            _ => Ok(()),
        }
    }
}

/// What the database knows of itself; `None` before the first migration.
pub(crate) async fn read_state(store: &SqliteStore) -> Result<Option<State>> {
    let mut connection = store.writer().acquire().await.map_err(error::map)?;
    state_of(store, &mut connection).await.map_err(error::map)
}

async fn state_of(store: &SqliteStore, connection: &mut SqliteConnection) -> sqlx::Result<Option<State>> {
    let named = "SELECT count(*) FROM sqlite_master WHERE name = ?1";
    let exists =
        sqlx::query_scalar::<_, i64>(named).bind(store.name("linkly_meta")).fetch_one(&mut *connection).await?;
    if exists == 0 {
        return Ok(None);
    }
    let mut state = State::default();
    let rows = store.sql("SELECT key, CAST(value AS TEXT) FROM /*prefix*/linkly_meta");
    for row in sqlx::query(rows).fetch_all(&mut *connection).await? {
        let (key, value): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        match key.as_str() {
            "schema_version" => state.version = value.parse().unwrap_or(0),
            "folding" => state.folding = Folding::from_name(&value),
            "migration_report" => state.report = serde_json::from_str(&value).unwrap_or_default(),
            _ => {}
        }
    }
    let index = sqlx::query_scalar::<_, i64>(named).bind(store.name("clicks_by_code"));
    state.has_clicks_by_code = index.fetch_one(connection).await? > 0;
    Ok(Some(state))
}

pub(crate) async fn run(store: &SqliteStore) -> Result<MigrationReport> {
    let config = store.config();
    let found = read_state(store).await?;
    if let Some(state) = found {
        state.check_version()?;
        state.check_folding(config.folding)?;
        let is_whole = state.has_clicks_by_code || !config.clicks_by_code_index;
        if state.version == SCHEMA_VERSION && is_whole {
            return Ok(state.report);
        }
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        match try_run(store).await {
            Err(error) if error.is_transient() && !store.writer().is_closed() && Instant::now() < deadline => {
                tracing::info!(%error, "another process migrates the database: waiting for it");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            done => return done,
        }
    }
}

/// On one connection, which is closed on an error: when SQLite rolls a transaction back by itself, the
/// driver still counts it as open.
async fn try_run(store: &SqliteStore) -> Result<MigrationReport> {
    let mut connection = store.writer().acquire().await.map_err(error::map)?;
    let done = migrate(store, &mut connection).await;
    if done.is_err() && !store.is_in_memory() {
        connection.close_on_drop();
    }
    done
}

async fn migrate(store: &SqliteStore, connection: &mut SqliteConnection) -> Result<MigrationReport> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(error::map)?;
    let state = state_of(store, &mut transaction).await.map_err(error::map)?.unwrap_or_default();
    state.check_version()?;
    state.check_folding(store.config().folding)?;
    let mut report = state.report;
    if state.version < 1 {
        report = create(store, &mut transaction).await?;
    }
    if store.config().clicks_by_code_index {
        sqlx::query(store.sql(CLICKS_BY_CODE)).execute(&mut *transaction).await.map_err(error::map)?;
    }
    transaction.commit().await.map_err(error::map)?;
    Ok(report)
}

/// Version 1: a new database, or one with the first columns of the first two tables.
async fn create(store: &SqliteStore, connection: &mut SqliteConnection) -> Result<MigrationReport> {
    check_sqlite(connection).await?;
    check_table(store, connection, "links", &["code", "url", "created_at"]).await?;
    check_table(store, connection, "clicks", &["id", "code", "clicked_at"]).await?;
    let mut report = MigrationReport::default();
    for (name, text) in MIGRATIONS[0].files {
        if *name == "0001_indexes.sql" {
            report = look_at_rows(store, connection).await?;
        }
        sqlx::raw_sql(store.sql(text)).execute(&mut *connection).await.map_err(in_the_way)?;
    }
    let meta = store.sql("INSERT INTO /*prefix*/linkly_meta (key, value) VALUES (?1, ?2)");
    let folding = store.config().folding.unwrap_or_default();
    let rows = [
        ("schema_version", "1".to_owned()),
        ("folding", folding.as_str().to_owned()),
        ("migration_report", serde_json::to_string(&report).unwrap_or_default()),
        // Tells the change cursors of this database from those of another at the same path.
        ("database", linkly_core::new_id(linkly_core::chrono::Utc::now()).simple().to_string()),
    ];
    for (key, value) in rows {
        sqlx::query(meta.clone()).bind(key).bind(value).execute(&mut *connection).await.map_err(error::map)?;
    }
    Ok(report)
}

async fn check_sqlite(connection: &mut SqliteConnection) -> Result<()> {
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(connection).await.map_err(error::map)?;
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= (3, 42) {
        return Ok(());
    }
    Err(error::failed(format!("SQLite {version} is linked, 3.42 or newer is needed: use the one that sqlx bundles")))
}

/// Whether a table is missing, or is ours to extend.
async fn check_table(
    store: &SqliteStore,
    connection: &mut SqliteConnection,
    table: &str,
    first: &[&str],
) -> Result<()> {
    let name = store.name(table);
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?1)")
        .bind(&name)
        .fetch_all(connection)
        .await
        .map_err(error::map)?;
    if columns.is_empty() || first.iter().all(|wanted| columns.iter().any(|column| column == wanted)) {
        return Ok(());
    }
    Err(error::schema(format!(
        "there is a table {name:?} with the columns {}, and not {}: it belongs to something else, so choose a prefix",
        columns.join(", "),
        first.join(", ")
    )))
}

/// A name of ours that is taken by a table, column or index of the app.
fn in_the_way(found: sqlx::Error) -> linkly_core::Error {
    let message = found.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
    if message.contains("already exists") || message.contains("duplicate column") {
        return error::schema(format!("{message}, and belongs to something else: choose a prefix"));
    }
    error::map(found)
}
