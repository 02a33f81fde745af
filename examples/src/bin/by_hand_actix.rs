//! Short links as they are written by hand on Actix and Postgres: a look-up in a map, or the database behind it, and
//! the click inserted before the answer. What the examples are measured against (`cargo xtask bench http`).

use std::collections::HashMap;
use std::error::Error;
use std::sync::RwLock;

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, get};
use actix_web::{App, HttpResponse, HttpServer};
use deadpool_postgres::tokio_postgres::NoTls;
use deadpool_postgres::{Manager, Pool, PoolError, Runtime};
use linkly_core::chrono::Utc;

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS links (code text PRIMARY KEY, url text NOT NULL, created_at timestamptz NOT NULL);
    CREATE TABLE IF NOT EXISTS clicks (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, code text NOT NULL,
        clicked_at timestamptz NOT NULL);
    INSERT INTO links VALUES ('iii', 'https://iii.dev', now()) ON CONFLICT DO NOTHING;";

struct Links {
    pool: Pool,
    urls: RwLock<HashMap<String, String>>,
}

impl Links {
    async fn url(&self, code: &str) -> Result<Option<String>, PoolError> {
        let known = self.urls.read().map_or(None, |urls| urls.get(code).cloned());
        if known.is_some() {
            return Ok(known);
        }
        let client = self.pool.get().await?;
        let select = client.prepare_cached("SELECT url FROM links WHERE code = $1").await?;
        let found: Option<String> = client.query_opt(&select, &[&code]).await?.map(|row| row.get(0));
        if let (Some(url), Ok(mut urls)) = (&found, self.urls.write()) {
            urls.insert(code.to_owned(), url.clone());
        }
        Ok(found)
    }

    async fn follow(&self, code: &str) -> Result<Option<String>, PoolError> {
        let Some(url) = self.url(code).await? else {
            return Ok(None);
        };
        let client = self.pool.get().await?;
        let insert = client.prepare_cached("INSERT INTO clicks (code, clicked_at) VALUES ($1, $2)").await?;
        client.execute(&insert, &[&code, &Utc::now()]).await?;
        Ok(Some(url))
    }
}

async fn follow(links: Data<Links>, code: Path<String>) -> HttpResponse {
    match links.follow(&code).await {
        Ok(Some(url)) => HttpResponse::Found().insert_header((LOCATION, url)).finish(),
        Ok(None) => HttpResponse::NotFound().finish(),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let manager = Manager::new(setting("DATABASE_URL", "postgres://localhost/linkly").parse()?, NoTls);
    let pool = Pool::builder(manager).runtime(Runtime::Tokio1).max_size(10).build()?;
    pool.get().await?.batch_execute(TABLES).await?;
    let links = Data::new(Links { pool, urls: RwLock::default() });
    let app = move || App::new().app_data(links.clone()).route("/s/{code}", get().to(follow));
    let server = HttpServer::new(app).bind(setting("LINKLY_ADDR", "127.0.0.1:3111"))?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await?;
    Ok(())
}
