//! The schema: what makes it, what refuses to.

mod fixture;

use fixture::{Database, code, count, link, run};
use linkly_core::{Error, Folding, LinkStore, LinkStoreExt};
use linkly_store_postgres::{MIGRATIONS, Partitions, PostgresConfig, PostgresStore, SCHEMA_VERSION};

#[tokio::test]
async fn the_published_sql_runs_as_it_is() {
    let (own, database) = (Database::new().open().await, Database::new());
    let store = database.open().await;
    run(&store, "CREATE SCHEMA bare").await;
    for migration in MIGRATIONS {
        for (_, text) in migration.files {
            run(&store, &format!("SET search_path = bare; {text}; RESET search_path")).await;
        }
    }
    let names = |schema: &str| {
        format!(
            "SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE nspname = '{schema}'"
        )
    };
    assert_eq!(count(&store, &names("bare")).await, count(&own, &names("public")).await);
    assert_eq!(MIGRATIONS.last().unwrap().version, SCHEMA_VERSION);
}

#[tokio::test]
async fn a_newer_database_is_refused_with_both_versions() {
    let database = Database::new();
    let store = database.open().await;
    run(&store, "UPDATE linkly_meta SET value = '7' WHERE key = 'schema_version'").await;
    let error = PostgresStore::connect_with(database.config()).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Schema { .. }) && text.contains("version 7") && text.contains("version 1"),
        "{text}"
    );
}

#[tokio::test]
async fn another_folding_than_the_databases_is_refused() {
    let database = Database::new();
    PostgresStore::connect_with(database.config().with_folding(Folding::Lower)).await.unwrap();
    let error = PostgresStore::connect_with(database.config().with_folding(Folding::Sensitive)).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("lower"), "{error}");
    assert_eq!(database.open().await.folding(), Folding::Lower);
}

#[tokio::test]
async fn other_partitions_than_the_databases_are_refused() {
    let database = Database::new();
    PostgresStore::connect_with(database.config().with_partitions(Partitions::Week)).await.unwrap();
    let error = PostgresStore::connect_with(database.config().with_partitions(Partitions::Day)).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("by week"), "{error}");
    database.open().await;
    let plain = Database::new();
    plain.open().await;
    let error = PostgresStore::connect_with(plain.config().with_partitions(Partitions::Day)).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("no partitions"), "{error}");
}

#[tokio::test]
async fn tables_of_something_else_are_left_alone() {
    for (table, named) in [
        ("CREATE TABLE links (id bigint PRIMARY KEY, href text)", "href"),
        ("CREATE TABLE clicks (x integer)", "clicks"),
        ("CREATE VIEW link_tags AS SELECT 1 AS link", "link_tags"),
        ("CREATE TABLE other (x integer); CREATE INDEX links_id ON other (x)", "links_id"),
        (
            "CREATE FUNCTION linkly_new_id(at timestamptz) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'",
            "linkly_new_id",
        ),
    ] {
        let database = Database::new();
        let other = PostgresStore::connect_with(database.config().with_schema("other")).await.unwrap();
        run(&other, table).await;
        let error = PostgresStore::connect_with(database.config()).await.unwrap_err();
        assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains(named), "{error:?}");
        assert!(error.to_string().contains("choose a schema"), "{error}");
        // Nothing of the attempt is left, and a schema helps.
        let left =
            "SELECT count(*) FROM pg_class WHERE relname = 'linkly_meta' AND relnamespace = 'public'::regnamespace";
        assert_eq!(count(&other, left).await, 0);
        let own = PostgresStore::connect_with(database.config().with_schema("own")).await.unwrap();
        own.insert_one(&link("a")).await.unwrap();
        assert!(other.get_one(&code("a")).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_call_before_the_migration_says_what_to_do() {
    let database = Database::new();
    let pool = database.open().await.pool().clone();
    let config = PostgresConfig::new("").with_schema("new");
    let store = PostgresStore::new_with(pool, config).await.unwrap();
    let error = store.insert_one(&link("a")).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("migrate()"), "{error}");
    store.migrate().await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
}

#[tokio::test]
async fn the_index_over_the_clicks_of_each_code_can_be_made_later() {
    let database = Database::new();
    database.open().await;
    let named = "SELECT count(*) FROM pg_class WHERE relname = 'clicks_by_code'";
    let store = PostgresStore::connect_with(database.config().with_clicks_by_code_index()).await.unwrap();
    assert_eq!(count(&store, named).await, 1);
    // Leaving the choice out does not drop it.
    assert_eq!(count(&database.open().await, named).await, 1);
}

#[tokio::test]
async fn a_user_who_may_not_create_is_told_what_to_grant() {
    let database = Database::new();
    let store = PostgresStore::connect_with(database.config().with_schema("other")).await.unwrap();
    let name = format!("weak_{}", database.url.rsplit('/').next().unwrap());
    run(&store, &format!("CREATE ROLE {name} LOGIN PASSWORD 'weak'")).await;
    let (_, host) = database.url.split_once('@').unwrap();
    let url = format!("postgres://{name}:weak@{host}");
    for config in [PostgresConfig::new(&url), PostgresConfig::new(&url).with_schema("new")] {
        let error = PostgresStore::connect_with(config).await.unwrap_err();
        assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains("grant it"), "{error:?}");
    }
}

#[tokio::test]
async fn a_database_in_another_encoding_is_refused() {
    let database = Database::new();
    let (place, name) = database.url.rsplit_once('/').unwrap();
    let sql =
        format!("CREATE DATABASE {name}_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc");
    linkly_testkit::Postgres::shared().sql(&sql);
    let error = PostgresStore::connect(&format!("{place}/{name}_latin1")).await.unwrap_err();
    assert!(matches!(error, Error::Schema { .. }) && error.to_string().contains("LATIN1"), "{error}");
}
