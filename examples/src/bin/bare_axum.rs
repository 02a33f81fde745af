//! Axum that answers every short link with one constant redirect: what the examples are measured
//! against (`cargo xtask bench http`).

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = Router::new().route("/s/{code}", get(async || (StatusCode::FOUND, [(LOCATION, "https://iii.dev")])));
    let address = std::env::var("LINKLY_ADDR").unwrap_or_else(|_| "127.0.0.1:3111".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}
