//! Tokens: one that is wrong or expired is an error that says so, and none is ever shown.
#![cfg(feature = "remote")]

mod fixture;

use fixture::{code, link};
use linkly_core::{Error, LinkStoreExt};
use linkly_store_libsql::{LibsqlConfig, LibsqlStore};
use linkly_testkit::Sqld;

fn shows_no(token: &str, shown: &str) {
    assert!(!shown.contains(token), "{shown}");
}

#[tokio::test]
async fn a_valid_token_is_taken_from_the_url_or_the_configuration() {
    let sqld = Sqld::start_with_jwt();
    let address = sqld.address();
    let store = LibsqlStore::connect(&format!("libsql://{address}?tls=0&authToken={}", sqld.token())).await.unwrap();
    store.insert_one(&link("a")).await.unwrap();
    shows_no(sqld.token(), &format!("{store:?}"));
    let config = LibsqlConfig::new(sqld.url()).with_auth_token(sqld.token());
    shows_no(sqld.token(), &format!("{config:?}"));
    let store = LibsqlStore::connect_with(config).await.unwrap();
    assert!(store.target(&code("a")).await.unwrap().is_some());
}

#[tokio::test]
async fn another_token_is_an_error_that_says_so() {
    let [sqld, other] = [Sqld::start_with_jwt(), Sqld::start_with_jwt()];
    for (token, wanted) in
        [(sqld.expired_token(), "expired"), (other.token(), "invalid"), ("nonsense", "invalid"), ("", "")]
    {
        let config = LibsqlConfig::new(sqld.url()).with_auth_token(token);
        let error = LibsqlStore::connect_with(config).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Backend { .. }) && !error.is_transient(), "{error:?}");
        assert!(text.contains("refuses the token") && text.contains(wanted), "{text}");
        if !token.is_empty() {
            shows_no(token, &format!("{error:?} {error}"));
        }
    }
}

#[tokio::test]
async fn an_error_of_a_server_that_is_not_there_shows_no_token() {
    let sqld = Sqld::start_with_jwt();
    sqld.kill();
    let error = LibsqlStore::connect(&format!("{}?authToken={}", sqld.url(), sqld.token())).await.unwrap_err();
    shows_no(sqld.token(), &format!("{error:?} {error}"));
}
