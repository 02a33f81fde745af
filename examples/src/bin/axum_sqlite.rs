//! An Axum app with short links in a SQLite file: create, follow, count.
//!
//! ```sh
//! cargo run --release -p linkly-examples --bin axum_sqlite
//! ```
//!
//! `LINKLY_ADDR` (127.0.0.1:3111) and `DATABASE_URL` (sqlite:./data/linkly.db) say where, `RUST_LOG` (warn)
//! how much is logged: `debug` shows each link that is created and resolved.

#[path = "../axum_app/mod.rs"]
mod axum_app;

use linkly_cache::MemoryCache;
use linkly_core::Linkly;
use linkly_store_sqlite::SqliteStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    axum_app::log()?;
    let store = SqliteStore::connect(&axum_app::setting("DATABASE_URL", "sqlite:./data/linkly.db")).await?;
    let linkly = Linkly::builder(store).cache(MemoryCache::new()).start().await?;
    axum_app::run(linkly).await
}
