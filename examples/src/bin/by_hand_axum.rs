//! Short links as they are written by hand on Axum and SQLite: a look-up in a map, or the database behind it, and the
//! click inserted before the answer. What the example is measured against (`cargo xtask bench http`).

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use linkly_core::chrono::Utc;
use linkly_store_sqlite::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use linkly_store_sqlite::sqlx::{self, SqlitePool};
use tokio::net::TcpListener;

const TABLES: [&str; 3] = [
    "CREATE TABLE links (code TEXT PRIMARY KEY, url TEXT NOT NULL, created_at TEXT NOT NULL)",
    "CREATE TABLE clicks (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL, clicked_at TEXT NOT NULL)",
    "INSERT INTO links VALUES ('iii', 'https://iii.dev', '2026-01-01T00:00:00.000Z')",
];

struct App {
    pool: SqlitePool,
    urls: RwLock<HashMap<String, String>>,
}

impl App {
    async fn url(&self, code: &str) -> Result<Option<String>, sqlx::Error> {
        let known = self.urls.read().map_or(None, |urls| urls.get(code).cloned());
        if known.is_some() {
            return Ok(known);
        }
        let select = sqlx::query_scalar("SELECT url FROM links WHERE code = ?").bind(code);
        let found: Option<String> = select.fetch_optional(&self.pool).await?;
        if let (Some(url), Ok(mut urls)) = (&found, self.urls.write()) {
            urls.insert(code.to_owned(), url.clone());
        }
        Ok(found)
    }

    async fn follow(&self, code: &str) -> Result<Option<String>, sqlx::Error> {
        let Some(url) = self.url(code).await? else {
            return Ok(None);
        };
        let insert = sqlx::query("INSERT INTO clicks (code, clicked_at) VALUES (?, ?)").bind(code);
        insert.bind(Utc::now().to_rfc3339()).execute(&self.pool).await?;
        Ok(Some(url))
    }
}

async fn follow(State(app): State<Arc<App>>, Path(code): Path<String>) -> Response {
    match app.follow(&code).await {
        Ok(Some(url)) => (StatusCode::FOUND, [(LOCATION, url)]).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all("data")?;
    // As fast as it goes: the last clicks may be lost with the machine.
    let options = SqliteConnectOptions::new()
        .filename("data/linkly.db")
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let pool = SqlitePoolOptions::new().max_connections(10).connect_with(options).await?;
    for statement in TABLES {
        sqlx::query(statement).execute(&pool).await?;
    }
    let app = Arc::new(App { pool, urls: RwLock::default() });
    let listener =
        TcpListener::bind(std::env::var("LINKLY_ADDR").unwrap_or_else(|_| "127.0.0.1:3111".to_owned())).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().route("/s/{code}", get(follow)).with_state(app)).await?;
    Ok(())
}
