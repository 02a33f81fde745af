//! Bringing a database to the schema of this release.
//!
//! The library's own version row says where a database stands. Each version is one transaction whose first
//! statement fails in all but one of the processes that start at once: it is the second look that others take
//! inside a transaction, which over libSQL's HTTP are not to be held open. The others then find the version
//! there.
//!
//! What needs more than SQL, in a database that had rows before, comes after that transaction: hashes of
//! URLs and the report of unfit rows. Its row in `linkly_meta` is missing until it is done, so a crash in
//! between is made up for by whoever migrates next, and nothing that reads waits for it: a link without hash
//! is found by its URL all the same.

use std::time::{Duration, Instant};

use linkly_core::{Error, Folding, Result, Uuid};

use crate::driver::{Driver, Row, Sql, Statement};
use crate::error;
use crate::store::SqlStore;
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
/// [`SqlStore::migrate`] also checks what was in the tables before, and writes the version row.
pub const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    files: &[
        ("0001_tables.sql", include_str!("migrations/0001_tables.sql")),
        ("0001_rows.sql", include_str!("migrations/0001_rows.sql")),
        ("0001_indexes.sql", include_str!("migrations/0001_indexes.sql")),
        ("0001_triggers.sql", include_str!("migrations/0001_triggers.sql")),
        ("0001_adopt.sql", include_str!("migrations/0001_adopt.sql")),
        ("0001_record.sql", include_str!("migrations/0001_record.sql")),
        ("0001_batches.sql", include_str!("migrations/0001_batches.sql")),
    ],
}];

/// How long one process waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it looks.
const PACE: Duration = Duration::from_millis(20);
const CLICKS_BY_CODE: &str = "CREATE INDEX IF NOT EXISTS /*prefix*/clicks_by_code ON /*prefix*/clicks (code, event_id)";
const NAMED: &str = "SELECT name FROM sqlite_master WHERE name IN (?1, ?2)";
const META: &str = "SELECT key, CAST(value AS BLOB) FROM /*prefix*/linkly_meta";
const REPORT: &str = "
    INSERT INTO /*prefix*/linkly_meta (key, value) VALUES ('migration_report', ?1) ON CONFLICT (key) DO NOTHING";

/// What a database knows of itself.
#[derive(Default)]
pub(crate) struct State {
    version: u32,
    pub(crate) folding: Option<Folding>,
    /// The highest numbers of the links and the clicks that were there before.
    rows_before: (i64, i64),
    /// `None` until the rows that were there before have been looked at.
    report: Option<MigrationReport>,
    pub(crate) has_clicks_by_code: bool,
}

impl State {
    /// Whether this release, as it is configured, can work with the database.
    pub(crate) fn check<D: Driver>(&self, store: &SqlStore<D>) -> Result<()> {
        let backend = store.driver().backend();
        if self.version > SCHEMA_VERSION {
            return Err(error::schema(
                backend,
                format!(
                    "the database is at version {}, this release knows version {SCHEMA_VERSION}: \
                     use the release that migrated it, or a newer one",
                    self.version
                ),
            ));
        }
        match (self.folding, store.schema().folding) {
            (Some(found), Some(asked)) if found != asked => Err(error::schema(
                backend,
                format!(
                    "the database was made with folding {:?}, {:?} was asked for: leave the folding out, or move \
                     the links to a new database",
                    found.as_str(),
                    asked.as_str()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// The statements that are missing, to run as one transaction; `None` when there are none.
    fn missing<D: Driver>(&self, store: &SqlStore<D>) -> Option<Sql> {
        let mut texts = Vec::new();
        for migration in MIGRATIONS.iter().filter(|migration| migration.version > self.version) {
            for (place, (_, text)) in migration.files.iter().enumerate() {
                texts.push((*text).to_owned());
                if place == 0 {
                    texts.push(meta_rows(store.schema().folding.unwrap_or_default()));
                }
            }
        }
        if store.schema().clicks_by_code_index && !self.has_clicks_by_code {
            texts.push(format!("{CLICKS_BY_CODE};\n"));
        }
        (!texts.is_empty()).then(|| store.with_prefix(&texts.join("\n")))
    }
}

/// The rows of a new version 1. As text, because a transaction over HTTP takes no parameters.
fn meta_rows(folding: Folding) -> String {
    // Tells the change cursors of this database from those of another at the same path.
    let database: Uuid = linkly_core::new_id(linkly_core::chrono::Utc::now());
    format!(
        "INSERT INTO /*prefix*/linkly_meta (key, value) VALUES \
         ('schema_version', '1'), ('folding', '{}'), ('database', '{}');\n",
        folding.as_str(),
        database.simple()
    )
}

/// What the database knows of itself; `None` before the first migration.
pub(crate) async fn read_state<D: Driver>(store: &SqlStore<D>) -> Result<Option<State>> {
    let (meta, index) = (store.name("linkly_meta"), store.name("clicks_by_code"));
    let named = Statement::new(Sql::Static(NAMED)).bind(meta.as_str()).bind(index.as_str());
    let named = store.driver().write_returning(named).await?;
    let has = |name: &str| named.iter().any(|row| row.text(0).as_deref() == Some(name));
    if !has(&meta) {
        return Ok(None);
    }
    let mut state = State { has_clicks_by_code: has(&index), ..State::default() };
    for row in store.driver().write_returning(store.statement(META)).await? {
        let (Some(key), Some(value)) = (row.text(0), row.text(1)) else {
            continue;
        };
        match &*key {
            "schema_version" => state.version = value.parse().unwrap_or(0),
            "folding" => state.folding = Folding::from_name(&value),
            "rows_before" => state.rows_before = serde_json::from_str(&value).unwrap_or_default(),
            "migration_report" => state.report = Some(serde_json::from_str(&value).unwrap_or_default()),
            _ => {}
        }
    }
    Ok(Some(state))
}

pub(crate) async fn run<D: Driver>(store: &SqlStore<D>) -> Result<MigrationReport> {
    let state = bring_up_to_date(store).await?;
    if let Some(report) = state.report {
        return Ok(report);
    }
    let report = look_at_rows(store, state.folding.unwrap_or_default(), state.rows_before).await?;
    store.write(REPORT, vec![serde_json::to_string(&report).unwrap_or_default().into()]).await?;
    // Of several processes that looked at the rows, the first one's report is kept.
    let state = read_state(store).await?.unwrap_or_default();
    Ok(state.report.unwrap_or(report))
}

/// The transaction, unless another process has done it.
async fn bring_up_to_date<D: Driver>(store: &SqlStore<D>) -> Result<State> {
    let deadline = Instant::now() + PATIENCE;
    let mut failed: Option<Error> = None;
    loop {
        let state = match read_state(store).await {
            Ok(state) => state.unwrap_or_default(),
            // What went wrong before says more.
            Err(error) => return Err(failed.unwrap_or(error)),
        };
        state.check(store)?;
        let Some(script) = state.missing(store) else {
            return Ok(state);
        };
        if let Some(error) = failed {
            if !error.is_transient() || store.driver().is_closed() || Instant::now() >= deadline {
                return Err(error);
            }
            tracing::info!(%error, "another process migrates the database: waiting for it");
            tokio::time::sleep(PACE).await;
        }
        if state.version < 1 {
            check_sqlite(store).await?;
            check_table(store, "links", &["code", "url", "created_at"]).await?;
            check_table(store, "clicks", &["id", "code", "clicked_at"]).await?;
        }
        failed = store.driver().transaction(script).await.err();
    }
}

async fn check_sqlite<D: Driver>(store: &SqlStore<D>) -> Result<()> {
    let rows = store.driver().write_returning(Statement::new(Sql::Static("SELECT sqlite_version()"))).await?;
    let version = rows.into_iter().next().map(Row::into_text).unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= (3, 42) {
        return Ok(());
    }
    Err(store.failed(format!("its SQLite is {version}, 3.42 or newer is needed: use the one that the driver bundles")))
}

/// Whether a table is missing, or is ours to extend.
async fn check_table<D: Driver>(store: &SqlStore<D>, table: &str, first: &[&str]) -> Result<()> {
    let name = store.name(table);
    let columns = Statement::new(Sql::Static("SELECT CAST(name AS BLOB) FROM pragma_table_info(?1)"));
    let rows = store.driver().write_returning(columns.bind(name.as_str())).await?;
    let columns: Vec<String> = rows.into_iter().map(Row::into_text).collect();
    if columns.is_empty() || first.iter().all(|wanted| columns.iter().any(|column| column == wanted)) {
        return Ok(());
    }
    Err(error::schema(
        store.driver().backend(),
        format!(
            "there is a table {name:?} with the columns {}, and not {}: it belongs to something else, so choose a \
             prefix",
            columns.join(", "),
            first.join(", ")
        ),
    ))
}
