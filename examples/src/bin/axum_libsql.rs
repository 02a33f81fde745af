//! An Axum app with short links in libSQL: a file, or a server such as Turso. All but the store is as in
//! `axum_sqlite`, and each opens the other's file.
//!
//! ```sh
//! cargo run --release -p linkly-examples --features libsql --bin axum_libsql
//! LIBSQL_URL='libsql://….turso.io?authToken=…' cargo run --release -p linkly-examples --features libsql --bin axum_libsql
//! ```
//!
//! `LINKLY_ADDR` (127.0.0.1:3111) and `LIBSQL_URL` (file:./data/linkly.db) say where, `RUST_LOG` (warn) how much
//! is logged.

#[path = "../axum_app/mod.rs"]
mod axum_app;

use linkly_cache::MemoryCache;
use linkly_core::Linkly;
use linkly_store_libsql::LibsqlStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    axum_app::log()?;
    let store = LibsqlStore::connect(&axum_app::setting("LIBSQL_URL", "file:./data/linkly.db")).await?;
    let linkly = Linkly::builder(store).cache(MemoryCache::new()).start().await?;
    axum_app::run(linkly).await
}
