//! What the SQLite that libsql bundles makes of the statements.

use linkly_sql::plans::{self, Statistics};

use crate::{LibsqlConfig, LibsqlStore, PoolConfig};

fn in_memory() -> LibsqlConfig {
    LibsqlConfig::new("file::memory:")
}

async fn store(config: LibsqlConfig) -> LibsqlStore {
    LibsqlStore::connect_with(config).await.unwrap()
}

#[tokio::test]
async fn no_statement_reads_a_table_through() {
    for statistics in Statistics::ALL {
        plans::no_statement_reads_a_table_through(&store(in_memory()).await.sql, statistics).await;
    }
}

#[tokio::test]
async fn no_batch_reads_a_table_through() {
    for statistics in Statistics::ALL {
        plans::no_batch_reads_a_table_through(&store(in_memory()).await.sql, statistics).await;
    }
}

#[tokio::test]
async fn every_page_of_links_comes_out_of_an_index() {
    for statistics in Statistics::ALL {
        plans::every_page_of_links_comes_out_of_an_index(&store(in_memory()).await.sql, statistics).await;
    }
}

#[tokio::test]
async fn every_page_of_clicks_comes_out_of_an_index() {
    for config in [in_memory(), in_memory().with_clicks_by_code_index()] {
        for statistics in Statistics::ALL {
            plans::every_page_of_clicks_comes_out_of_an_index(&store(config.clone()).await.sql, statistics).await;
        }
    }
}

#[tokio::test]
async fn the_most_clicked_of_some_hours_are_read_from_those_hours() {
    for statistics in Statistics::ALL {
        plans::the_most_clicked_of_some_hours_are_read_from_those_hours(&store(in_memory()).await.sql, statistics)
            .await;
    }
}

#[tokio::test]
async fn readers_forget_statistics_of_small_tables() {
    let folder = tempfile::tempdir().unwrap();
    let config = LibsqlConfig::new(format!("file:{}", folder.path().join("linkly.db").display()))
        .with_pool(PoolConfig::default().with_max(1));
    let first = store(config.clone()).await;
    plans::gather_statistics_of_one_row(&first.sql).await;
    first.close().await;
    plans::readers_forget_statistics_of_small_tables(&store(config).await.sql).await;
}
