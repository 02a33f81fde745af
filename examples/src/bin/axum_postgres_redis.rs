//! An Axum app in several nodes, on one Postgres and one Redis. All but where links, copies and clicks are kept is
//! as in `axum_sqlite`.
//!
//! ```sh
//! export DATABASE_URL=postgres://localhost/linkly REDIS_URL=redis://127.0.0.1
//! LINKLY_ADDR=127.0.0.1:3111 cargo run --release -p linkly-examples --features redis --bin axum_postgres_redis &
//! LINKLY_ADDR=127.0.0.1:3112 cargo run --release -p linkly-examples --features redis --bin axum_postgres_redis
//! ```
//!
//! `LINKLY_SPOOL` names a file in which this node keeps its clicks until Postgres has them, also while it is down;
//! each node has its own. Without it clicks wait in memory. `RUST_LOG` (warn) says how much is logged.

#[path = "../axum_app/mod.rs"]
mod axum_app;

use std::sync::Arc;

use linkly_cache::{MemoryCache, RedisCache, RedisChannel, Tiered};
use linkly_core::Linkly;
use linkly_queue::{Spool, SpoolConfig};
use linkly_store_postgres::PostgresStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    axum_app::log()?;
    let store = PostgresStore::connect(&axum_app::setting("DATABASE_URL", "postgres://localhost/linkly")).await?;
    let redis = axum_app::setting("REDIS_URL", "redis://127.0.0.1");
    let cache = Tiered::new(MemoryCache::new(), RedisCache::open(&redis)?);
    let builder = Linkly::builder(store.clone()).cache(cache).channel(RedisChannel::open(&redis)?);
    match std::env::var("LINKLY_SPOOL") {
        Err(_) => axum_app::run(builder.start().await?).await,
        Ok(file) => {
            let spool = Spool::open(file, Arc::new(store), SpoolConfig::default()).await?;
            axum_app::run(builder.clicks(spool.clone()).start().await?).await?;
            let report = spool.shutdown(axum_app::GRACE).await;
            println!("spool: {} clicks delivered, {} wait in the file", report.delivered, report.waiting);
            Ok(())
        }
    }
}
