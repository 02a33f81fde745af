//! The shared cache over TLS.

#![cfg(feature = "redis-tls")]

mod support;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use linkly_cache::RedisCache;
use linkly_cache::redis::{Client, TlsCertificates};
use linkly_core::{CacheExt, Filled};
use linkly_testkit::Redis;
use support::{answered, code, fill, living, now, patient, target};

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output();
    let output = output.expect("openssl is needed: apt-get install openssl");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A root, and a certificate of it for 127.0.0.1.
fn make_certificates(folder: &Path) {
    let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(folder, &format!("{request} -keyout root.key -out root.crt -subj /CN=root"));
    let of_root = "-CA root.crt -CAkey root.key -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=CA:FALSE";
    openssl(folder, &format!("{request} -keyout server.key -out server.crt -subj /CN=server {of_root}"));
}

#[tokio::test]
async fn a_server_is_trusted_by_the_root_that_was_given_and_by_no_other() {
    let folder = tempfile::tempdir().unwrap();
    make_certificates(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let _redis = Redis::start_with(&[
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &file("server.crt"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("root.crt"),
        "--tls-auth-clients",
        "no",
    ]);
    let url = format!("rediss://127.0.0.1:{port}");

    let root_cert = Some(fs::read(folder.path().join("root.crt")).unwrap());
    let client = Client::build_with_tls(&*url, TlsCertificates { client_tls: None, root_cert }).unwrap();
    let cache = RedisCache::new_with(&client, patient("")).unwrap();
    assert_eq!(fill(&cache, &code("a"), living(1)).await, Filled::Filled);
    assert_eq!(answered(&cache, &code("a")).await, Some(target(1)));

    let cache = RedisCache::open_with(&url, patient("")).unwrap();
    let refused = cache.get_one(&code("a"), now()).await.unwrap_err();
    assert!(refused.to_string().starts_with("redis "), "{refused}");
}
