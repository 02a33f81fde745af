//! What the SQLite that libsql bundles makes of the statements.

use linkly_sql::plans;

use crate::{LibsqlConfig, LibsqlStore};

fn in_memory() -> LibsqlConfig {
    LibsqlConfig::new("file::memory:")
}

async fn store(config: LibsqlConfig) -> LibsqlStore {
    LibsqlStore::connect_with(config).await.unwrap()
}

#[tokio::test]
async fn no_statement_reads_a_table_through() {
    plans::no_statement_reads_a_table_through(&store(in_memory()).await.sql).await;
}

#[tokio::test]
async fn no_batch_reads_a_table_through() {
    plans::no_batch_reads_a_table_through(&store(in_memory()).await.sql).await;
}

#[tokio::test]
async fn every_page_of_links_comes_out_of_an_index() {
    plans::every_page_of_links_comes_out_of_an_index(&store(in_memory()).await.sql).await;
}

#[tokio::test]
async fn every_page_of_clicks_comes_out_of_an_index() {
    for config in [in_memory(), in_memory().with_clicks_by_code_index()] {
        plans::every_page_of_clicks_comes_out_of_an_index(&store(config).await.sql).await;
    }
}

#[tokio::test]
async fn the_most_clicked_of_some_hours_are_read_from_those_hours() {
    plans::the_most_clicked_of_some_hours_are_read_from_those_hours(&store(in_memory()).await.sql).await;
}
