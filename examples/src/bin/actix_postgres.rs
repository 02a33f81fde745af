//! An Actix app with a pool of its own: Linkly takes the pool, and a link is inserted in the transaction that
//! inserts the app's own row.
//!
//! ```sh
//! DATABASE_URL=postgres://localhost/shop cargo run --release -p linkly-examples --features postgres --bin actix_postgres
//! ```
//!
//! `LINKLY_ADDR` (127.0.0.1:3111) says where, `RUST_LOG` (warn) how much is logged.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use actix_web::http::header::{LOCATION, REFERER, USER_AGENT};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Json, JsonConfig, Path, get, post, resource};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};
use deadpool_postgres::tokio_postgres::{self, NoTls};
use deadpool_postgres::{Manager, Pool, PoolError, Runtime};
use linkly_cache::MemoryCache;
use linkly_core::{Error, Insert, Linkly, NewLink, Visit, VisitContext};
use linkly_store_postgres::PostgresStore;
use serde::Deserialize;
use serde_json::json;
use tracing_subscriber::filter::LevelFilter;

/// How long open requests may take after a signal, and how long queued clicks may after them.
const GRACE: Duration = Duration::from_secs(10);

/// How long a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

const ORDERS: &str = "CREATE TABLE IF NOT EXISTS orders (code text PRIMARY KEY, item text NOT NULL CHECK (item <> ''))";

/// What every handler has.
struct Shop {
    pool: Pool,
    store: PostgresStore,
    linkly: Linkly,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let setting = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    let level: LevelFilter = setting("RUST_LOG", "warn").parse()?;
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();

    // The app's own pool and table.
    let database = setting("DATABASE_URL", "postgres://localhost/shop").parse()?;
    let manager = Manager::new(database, NoTls);
    let pool = Pool::builder(manager).runtime(Runtime::Tokio1).wait_timeout(Some(PATIENCE)).build()?;
    pool.get().await?.batch_execute(ORDERS).await?;

    let store = PostgresStore::new(pool.clone()).await?;
    store.migrate().await?;
    let linkly = Linkly::builder(store.clone()).cache(MemoryCache::new()).start().await?;

    let shop = Data::new(Shop { pool, store, linkly: linkly.clone() });
    let app = move || {
        App::new()
            .app_data(shop.clone())
            .app_data(
                JsonConfig::default().error_handler(|error, _| Failure(error.status_code(), error.to_string()).into()),
            )
            .route("/links", post().to(create))
            .route("/links/{code}/stats", get().to(stats))
            .route("/orders", post().to(order))
            .route("/orders/{code}", get().to(show_order))
            .service(resource("/s/{code}").get(follow).head(follow))
    };
    let server =
        HttpServer::new(app).shutdown_timeout(GRACE.as_secs()).bind(setting("LINKLY_ADDR", "127.0.0.1:3111"))?;
    println!("listening on http://{}", server.addrs()[0]);
    // Until Ctrl-C or SIGTERM.
    server.run().await?;

    let report = linkly.shutdown(GRACE).await;
    println!("stopped: {} clicks written, {} not", report.clicks.written, report.clicks.not_written);
    Ok(())
}

#[derive(Deserialize)]
struct NewOrder {
    item: String,
    link: NewLink,
}

/// `POST /orders {"item", "link"}` → 201: the order and its link, or neither.
async fn order(shop: Data<Shop>, new: Json<NewOrder>) -> Result<HttpResponse, Failure> {
    let NewOrder { item, link } = new.into_inner();
    let link = shop.linkly.draft(link)?;
    let mut client = shop.pool.get().await?;
    let transaction = client.transaction().await?;
    if shop.store.insert_in(&transaction, &link).await? != Insert::Inserted {
        return Err(Error::CodeTaken { code: link.code.to_string() }.into());
    }
    let insert = "INSERT INTO orders (code, item) VALUES ($1, $2)";
    transaction.execute(insert, &[&link.code.as_str(), &item]).await?;
    transaction.commit().await?;
    // Whoever asked for the code before is not told any more that there is none.
    shop.linkly.invalidate(link.code.as_str()).await?;
    Ok(HttpResponse::Created().json(json!({ "item": item, "link": link })))
}

/// `GET /orders/{code}` → the order, with the clicks of its link in the same query.
async fn show_order(shop: Data<Shop>, code: Path<String>) -> Result<HttpResponse, Failure> {
    let select = "SELECT item, coalesce(clicks, 0) FROM orders LEFT JOIN link_stats USING (code) WHERE code = $1";
    shop.linkly.flush().await?;
    let row = shop.pool.get().await?.query_opt(select, &[&*code]).await?;
    let row = row.ok_or(Failure(StatusCode::NOT_FOUND, "no such order".into()))?;
    let (item, clicks): (&str, i64) = (row.get(0), row.get(1));
    Ok(HttpResponse::Ok().json(json!({ "item": item, "clicks": clicks })))
}

/// `POST /links {"url", "code"?}` → 201 with the link.
async fn create(shop: Data<Shop>, new: Json<NewLink>) -> Result<HttpResponse, Failure> {
    Ok(HttpResponse::Created().json(shop.linkly.create(new.into_inner()).await?))
}

/// `GET /s/{code}` → the redirect, and one more click.
async fn follow(shop: Data<Shop>, code: Path<String>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let context = VisitContext::new()
        .with_head(request.method() == Method::HEAD)
        .with_query(request.uri().query())
        .with_referrer(text(REFERER))
        .with_user_agent(text(USER_AGENT));
    match shop.linkly.visit(&code, &context).await? {
        Visit::Redirect { status, location, .. } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FOUND);
            Ok(HttpResponse::build(status).insert_header((LOCATION, location.as_str())).finish())
        }
        Visit::Withheld => Ok(HttpResponse::Ok().finish()),
        Visit::Gone => Err(Failure(StatusCode::GONE, "link gone".into())),
        _ => Err(Failure(StatusCode::NOT_FOUND, "link not found".into())),
    }
}

/// `GET /links/{code}/stats` → the totals of a link, also of one that was deleted.
async fn stats(shop: Data<Shop>, code: Path<String>) -> Result<HttpResponse, Failure> {
    shop.linkly.flush().await?;
    let totals = shop.linkly.stats(&code).await?;
    if totals.clicks == 0 && shop.linkly.get(&code).await?.is_none() {
        return Err(Failure(StatusCode::NOT_FOUND, "link not found".into()));
    }
    Ok(HttpResponse::Ok().json(json!({ "code": *code, "clicks": totals.clicks, "bots": totals.bots })))
}

/// An error as this API answers it: a status and `{"error": …}`.
#[derive(Debug)]
struct Failure(StatusCode, String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.1)
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        self.0
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.0).json(json!({ "error": self.1 }))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match &error {
            error if error.is_invalid_input() => StatusCode::BAD_REQUEST,
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::CodeTaken { .. } | Error::Conflict { .. } => StatusCode::CONFLICT,
            // The store is down, or broken in a way that somebody has to mend.
            Error::Unavailable { .. } | Error::Closed { .. } | Error::Backend { .. } | Error::Schema { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(status, error.to_string())
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

/// Of the app's own statements: a rule of a table that was broken is the request's fault.
impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(found) if found.constraint().is_some() => Self(StatusCode::BAD_REQUEST, found.to_string()),
            _ => Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}
