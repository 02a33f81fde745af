//! What the tests of this crate share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Code, Link, MAX_PAGE};
use linkly_store_sqlite::{SqliteConfig, SqliteStore, sqlx};
use tempfile::TempDir;

pub fn code(text: &str) -> Code {
    Code::new(text).unwrap()
}

pub fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub fn link(name: &str) -> Link {
    Link::new(code(name), format!("https://iii.dev/{name}"), at("2026-01-11T10:00:00Z"))
}

pub fn links(count: usize) -> Vec<Link> {
    (0..count).map(|number| link(&format!("c{number}"))).collect()
}

pub fn clicks(name: &str, count: usize) -> Vec<Click> {
    (0..count).map(|_| Click::new(code(name), at("2026-01-11T10:20:30.456Z"))).collect()
}

/// A file in a folder of its own.
pub struct File {
    pub folder: TempDir,
}

impl File {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn config(&self) -> SqliteConfig {
        SqliteConfig::new(format!("sqlite:{}", self.path().display()))
    }

    pub fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("linkly.db")
    }

    pub async fn open(&self) -> SqliteStore {
        SqliteStore::connect_with(self.config()).await.unwrap()
    }
}

pub async fn count(store: &SqliteStore, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(store.pool()).await.unwrap()
}

/// That totals, hours and rows of clicks say the same, and how many clicks that is.
pub async fn counted(store: &SqliteStore) -> i64 {
    let rows = count(store, "SELECT count(*) FROM clicks").await;
    assert_eq!(rows, count(store, "SELECT coalesce(sum(clicks), 0) FROM link_stats").await);
    assert_eq!(rows, count(store, "SELECT coalesce(sum(clicks), 0) FROM click_hours").await);
    rows
}

/// More codes than a page holds.
pub const MANY: usize = MAX_PAGE as usize * 2;
