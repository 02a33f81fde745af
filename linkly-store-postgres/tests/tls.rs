//! TLS to a server with a certificate of its own.
#![cfg(feature = "tls")]

mod fixture;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use fixture::{code, link};
use linkly_core::{Error, LinkStoreExt};
use linkly_store_postgres::{PostgresConfig, PostgresStore};
use linkly_testkit::Postgres;

const CERTIFICATE: &str = "
[req]
distinguished_name = name
x509_extensions = extensions
[name]
[extensions]
basicConstraints = CA:FALSE
subjectAltName = IP:127.0.0.1
";

/// A server that offers TLS, and the certificate that it shows.
fn server() -> (Postgres, PathBuf) {
    let server = Postgres::start();
    let data = server.folder().join("data");
    fs::write(data.join("openssl.cnf"), CERTIFICATE).unwrap();
    let made = Command::new("openssl")
        .current_dir(&data)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-config", "openssl.cnf", "-subj", "/CN=linkly", "-keyout", "server.key", "-out", "server.crt"])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // The server takes a key that nobody else can read.
    let owner = fs::metadata(&data).unwrap();
    for file in ["server.key", "server.crt"] {
        chown(data.join(file), Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    server.sql("ALTER SYSTEM SET ssl = on");
    server.restart();
    (server, data.join("server.crt"))
}

async fn is_encrypted(store: &PostgresStore) -> bool {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    fixture::client(store).await.query_one_scalar(sql, &[]).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_certificate_encrypts_and_another_is_refused() {
    let (server, certificate) = tokio::task::block_in_place(server);
    let url = server.new_database();
    for (mode, encrypts) in [("?sslmode=require", true), ("", true), ("?sslmode=disable", false)] {
        let config = PostgresConfig::new(format!("{url}{mode}")).with_tls_root_certificate(&certificate);
        let store = PostgresStore::connect_with(config).await.unwrap();
        assert_eq!(is_encrypted(&store).await, encrypts, "{mode}");
        store.insert_one(&link(&format!("a{encrypts}"))).await.unwrap();
        assert!(store.target(&code(&format!("a{encrypts}"))).await.unwrap().is_some());
    }
    // Neither is it one of the public roots', nor is it for another name.
    let unknown = PostgresStore::connect(&format!("{url}?sslmode=require")).await.unwrap_err();
    let elsewhere = PostgresConfig::new(format!("{}?sslmode=require", url.replace("127.0.0.1", "localhost")));
    let misnamed = PostgresStore::connect_with(elsewhere.with_tls_root_certificate(&certificate)).await.unwrap_err();
    for error in [unknown, misnamed] {
        assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains("certificate"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_where_it_is_required() {
    let url = Postgres::shared().new_database();
    PostgresStore::connect(&url).await.unwrap();
    let error = PostgresStore::connect(&format!("{url}?sslmode=require")).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }) && error.to_string().contains("sslmode"), "{error:?}");
}
