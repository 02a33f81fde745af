//! Bringing a database to the schema of this release.
//!
//! The library's own version row says where a database stands. Each version is one transaction under
//! `BEGIN IMMEDIATE` that first looks at that row again, so any number of processes may start at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use linkly_core::{Code, Folding, Result, Target, TargetParts, Uuid, url_hash};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::error;
use crate::rows::to_json;
use crate::store::SqliteStore;

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
    ],
}];

/// How long one process waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many rows that were there before are read at once.
const CHUNK: i64 = 1_000;
/// How many examples of unfit rows are kept.
const EXAMPLES: usize = 5;

const CLICKS_BY_CODE: &str = "CREATE INDEX IF NOT EXISTS /*prefix*/clicks_by_code ON /*prefix*/clicks (code, event_id)";

/// What a migration found in a database that had links and clicks before. Kept in the database, so that
/// every later [`SqliteStore::migrate`] returns it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MigrationReport {
    /// How many links were there before.
    pub links: u64,
    /// How many clicks were there before.
    pub clicks: u64,
    /// What no rule of this library would let in.
    pub unfit: Vec<Unfit>,
}

/// Rows that no rule of this library would let in. They stay in their tables as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unfit {
    /// The column.
    pub what: String,
    /// What comes of it.
    pub consequence: String,
    /// How many rows.
    pub rows: u64,
    /// What stands in the first of them.
    pub examples: Vec<String>,
}

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

/// Looks at the rows that were there before, a chunk at a time, and gives the links the hash of their URL.
async fn look_at_rows(store: &SqliteStore, connection: &mut SqliteConnection) -> Result<MigrationReport> {
    let mut findings = Findings { folding: store.config().folding.unwrap_or_default(), ..Findings::default() };
    look_at_links(store, connection, &mut findings).await.map_err(error::map)?;
    look_at_clicks(store, connection, &mut findings).await.map_err(error::map)?;
    let report = findings.into_report();
    if report.links + report.clicks > 0 {
        tracing::info!(links = report.links, clicks = report.clicks, "a database that was there before was upgraded");
    }
    for unfit in &report.unfit {
        tracing::warn!(what = unfit.what, rows = unfit.rows, examples = ?unfit.examples, "{}", unfit.consequence);
    }
    Ok(report)
}

async fn look_at_links(
    store: &SqliteStore,
    connection: &mut SqliteConnection,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let read = store.sql(
        "SELECT rowid, CAST(code AS BLOB), CAST(url AS BLOB), CAST(created_at AS BLOB), updated_at IS NOT NULL \
         FROM /*prefix*/links WHERE rowid > ?1 ORDER BY rowid LIMIT ?2",
    );
    let write = store.sql(
        "UPDATE /*prefix*/links AS l SET url_hash = j.value ->> 1 FROM json_each(?1) AS j WHERE l.rowid = j.value ->> 0",
    );
    let mut last = i64::MIN;
    loop {
        let rows = sqlx::query(read.clone()).bind(last).bind(CHUNK).fetch_all(&mut *connection).await?;
        let mut hashes = Vec::with_capacity(rows.len());
        for row in &rows {
            last = row.try_get(0)?;
            let text = |column: usize| -> sqlx::Result<Option<String>> {
                let bytes: Option<&[u8]> = row.try_get(column)?;
                Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
            };
            let url = text(2)?.unwrap_or_default();
            hashes.push((last, url_hash(&url)));
            findings.link(text(1)?.as_deref(), &url, &text(3)?.unwrap_or_default(), row.try_get(4)?);
        }
        if rows.is_empty() {
            return Ok(());
        }
        sqlx::query(write.clone()).bind(to_json(&hashes)).execute(&mut *connection).await?;
    }
}

async fn look_at_clicks(
    store: &SqliteStore,
    connection: &mut SqliteConnection,
    findings: &mut Findings,
) -> sqlx::Result<()> {
    let count = store.sql("SELECT count(*), count(event_id) FROM /*prefix*/clicks");
    let (all, read): (i64, i64) = sqlx::query_as(count).fetch_one(&mut *connection).await?;
    findings.report.clicks = all.cast_unsigned();
    if all > read {
        let examples =
            store.sql("SELECT CAST(clicked_at AS BLOB) FROM /*prefix*/clicks WHERE event_id IS NULL LIMIT 5");
        let examples: Vec<Vec<u8>> = sqlx::query_scalar(examples).fetch_all(&mut *connection).await?;
        findings.unread_clicks.rows = (all - read).cast_unsigned();
        findings.unread_clicks.examples =
            examples.iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect();
    }
    let codes = store.sql(
        "SELECT CAST(code AS BLOB), clicks, code FROM /*prefix*/link_stats WHERE code > ?1 ORDER BY code LIMIT ?2",
    );
    let mut last: Vec<u8> = Vec::new();
    let first = store.sql("SELECT CAST(code AS BLOB), clicks FROM /*prefix*/link_stats ORDER BY code LIMIT ?2");
    let mut query = sqlx::query(first).bind(0).bind(CHUNK).fetch_all(&mut *connection).await?;
    while !query.is_empty() {
        for row in &query {
            last = row.try_get(0)?;
            findings.clicked_code(&String::from_utf8_lossy(&last), row.try_get(1)?);
        }
        let Ok(after) = String::from_utf8(last.clone()) else {
            return Ok(());
        };
        query = sqlx::query(codes.clone()).bind(after).bind(CHUNK).fetch_all(&mut *connection).await?;
    }
    Ok(())
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    folding: Folding,
    report: MigrationReport,
    codes: Found,
    unfolded: Found,
    urls: Found,
    times: Found,
    unread_clicks: Found,
    clicked_codes: Found,
}

#[derive(Default)]
struct Found {
    rows: u64,
    examples: BTreeSet<String>,
}

impl Found {
    fn add(&mut self, rows: u64, example: &str) {
        self.rows += rows;
        if self.examples.len() < EXAMPLES {
            self.examples.insert(example.chars().take(200).collect());
        }
    }
}

impl Findings {
    fn link(&mut self, code: Option<&str>, url: &str, created_at: &str, has_time: bool) {
        self.report.links += 1;
        match Code::from_key(code.unwrap_or_default()) {
            Err(_) => self.codes.add(1, code.unwrap_or("NULL")),
            Ok(code)
                if self.folding == Folding::Lower && code.as_str().bytes().any(|byte| byte.is_ascii_uppercase()) =>
            {
                self.unfolded.add(1, code.as_str());
            }
            Ok(_) => {}
        }
        if Target::new(TargetParts::new(Uuid::nil(), url)).check().is_err() {
            self.urls.add(1, url);
        }
        if !has_time {
            self.times.add(1, created_at);
        }
    }

    fn clicked_code(&mut self, code: &str, clicks: i64) {
        if Code::from_key(code).is_err() {
            self.clicked_codes.add(clicks.cast_unsigned(), code);
        }
    }

    fn into_report(self) -> MigrationReport {
        let found = [
            ("links.code", "no redirect reaches these links and no list shows them", self.codes),
            ("links.code", "codes are folded to lower case, so no redirect reaches these links", self.unfolded),
            ("links.url", "these links answer with an error instead of a redirect", self.urls),
            ("links.created_at", "these links count as made in 1970", self.times),
            ("clicks.clicked_at", "these clicks are in no total and no list", self.unread_clicks),
            ("clicks.code", "these clicks are in totals that no code can ask for, and in no list", self.clicked_codes),
        ];
        let found = found.into_iter().filter(|(_, _, found)| found.rows > 0);
        let unfit = found.map(|(what, consequence, found)| Unfit {
            what: what.to_owned(),
            consequence: consequence.to_owned(),
            rows: found.rows,
            examples: found.examples.into_iter().collect(),
        });
        MigrationReport { unfit: unfit.collect(), ..self.report }
    }
}
