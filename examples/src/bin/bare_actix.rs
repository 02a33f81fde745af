//! Actix that answers every short link with one constant redirect: what the example is measured against
//! (`cargo xtask bench http`).

use actix_web::http::header::LOCATION;
use actix_web::web::get;
use actix_web::{App, HttpResponse, HttpServer};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let follow = async || HttpResponse::Found().insert_header((LOCATION, "https://iii.dev")).finish();
    let address = std::env::var("LINKLY_ADDR").unwrap_or_else(|_| "127.0.0.1:3111".to_owned());
    let server = HttpServer::new(move || App::new().route("/s/{code}", get().to(follow))).bind(address)?;
    println!("listening on http://{}", server.addrs()[0]);
    server.run().await
}
