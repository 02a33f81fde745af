//! Postgres, beside tokio-postgres with one connection and its statements prepared once.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use linkly_benches::{RawStore, Suite};
use linkly_core::chrono::{DateTime, Utc};
use linkly_core::{Click, Link, Linkly, Uuid, url_hash};
use linkly_store_postgres::PostgresStore;
use linkly_store_postgres::deadpool_postgres::tokio_postgres::{self, Client, NoTls, Row, Statement, connect};
use linkly_testkit::Postgres;
use tokio_postgres::types::ToSql;

const TARGETS: &str = "SELECT code, id, url, redirect, forward_query, max_clicks, active_from, expires_at, tags \
                       FROM links WHERE code = ANY ($1) AND retired_at IS NULL";
const LINK: &str = "SELECT code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, \
                    consumed, redirect, forward_query, title, tags, metadata::text \
                    FROM links WHERE code = $1 AND retired_at IS NULL";
/// One code that is taken is not to lose all others.
const INSERT: &str = "INSERT INTO links (code, url, created_at, id, updated_at, version, redirect, forward_query, \
                      active_from, expires_at, max_clicks, consumed, title, tags, metadata, url_hash) \
                      SELECT code, url, at, id, at, 1, 302, false, NULL, NULL, NULL, 0, NULL, '{}', NULL, hash \
                      FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::uuid[], $5::bigint[]) \
                      AS n (code, url, at, id, hash) ON CONFLICT (code) DO NOTHING";
const UPDATE: &str = "UPDATE links SET url = $2, updated_at = $3, version = version + 1, active_from = NULL, \
                      expires_at = NULL, max_clicks = NULL, redirect = 302, forward_query = false, title = NULL, \
                      tags = '{}', metadata = NULL, url_hash = $4 \
                      WHERE code = $1 AND version = $5 AND retired_at IS NULL";
const LIST: &str = "SELECT code, url, created_at, id, updated_at, version, active_from, expires_at, max_clicks, \
                    consumed, redirect, forward_query, title, tags, metadata::text \
                    FROM links WHERE domain = '' AND retired_at IS NULL AND id < $1 ORDER BY id DESC LIMIT $2";
const TOTALS: &str = "SELECT clicks, bots, last_clicked_at FROM link_stats WHERE code = $1";
const SERIES: &str = "SELECT hour, clicks, bots FROM click_hours WHERE code = $1 AND hour >= $2 AND hour < $3";
/// The store's own.
const RECORD: &str = "SELECT linkly_record($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

/// The driver alone.
struct Driver {
    client: Client,
    targets: Statement,
    link: Statement,
    insert: Statement,
    update: Statement,
    list: Statement,
    totals: Statement,
    series: Statement,
    record: Statement,
}

impl Driver {
    async fn connect(url: &str) -> Self {
        let (client, connection) = connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        let prepare = async |sql: &str| client.prepare(sql).await.unwrap();
        Self {
            targets: prepare(TARGETS).await,
            link: prepare(LINK).await,
            insert: prepare(INSERT).await,
            update: prepare(UPDATE).await,
            list: prepare(LIST).await,
            totals: prepare(TOTALS).await,
            series: prepare(SERIES).await,
            record: prepare(RECORD).await,
            client,
        }
    }

    async fn rows(&self, statement: &Statement, params: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.client.query(statement, params).await.unwrap()
    }
}

fn read_target(row: &Row) {
    let texts: (&str, Uuid, &str) = (row.get(0), row.get(1), row.get(2));
    let options: (i16, bool, Option<i64>) = (row.get(3), row.get(4), row.get(5));
    let times: (Option<DateTime<Utc>>, Option<DateTime<Utc>>) = (row.get(6), row.get(7));
    black_box((texts, options, times, row.get::<_, Vec<String>>(8)));
}

/// Answers with the version.
fn read_link(row: &Row) -> i64 {
    let texts: (String, String, Option<String>) = (row.get(0), row.get(1), row.get(12));
    let id: (Uuid, i64, i64) = (row.get(3), row.get(5), row.get(9));
    let times: [Option<DateTime<Utc>>; 4] = [2, 4, 6, 7].map(|column| row.get(column));
    let options: (Option<i64>, i16, bool) = (row.get(8), row.get(10), row.get(11));
    black_box((texts, times, options, row.get::<_, Vec<String>>(13), row.get::<_, Option<String>>(14)));
    id.1
}

impl RawStore for Driver {
    async fn look_up(&self, codes: &[&str]) -> usize {
        let mut found = 0;
        for code in codes {
            found += self.look_up_many(&[code]).await;
        }
        found
    }

    async fn look_up_many(&self, codes: &[&str]) -> usize {
        let rows = self.rows(&self.targets, &[&codes]).await;
        rows.iter().for_each(read_target);
        rows.len()
    }

    async fn insert(&self, links: &[Link]) {
        let codes: Vec<&str> = links.iter().map(|link| link.code.as_str()).collect();
        let urls: Vec<&str> = links.iter().map(|link| link.url.as_str()).collect();
        let times: Vec<DateTime<Utc>> = links.iter().map(|link| link.created_at).collect();
        let ids: Vec<Uuid> = links.iter().map(|link| link.id).collect();
        let hashes: Vec<i64> = links.iter().map(|link| url_hash(&link.url)).collect();
        let inserted = self.client.execute(&self.insert, &[&codes, &urls, &times, &ids, &hashes]).await.unwrap();
        assert_eq!(inserted, links.len() as u64);
    }

    async fn update(&self, code: &str, url: &str) {
        let version = read_link(&self.rows(&self.link, &[&code]).await[0]);
        let params: [&(dyn ToSql + Sync); 5] = [&code, &url, &Utc::now(), &url_hash(url), &version];
        assert_eq!(self.client.execute(&self.update, &params).await.unwrap(), 1);
    }

    async fn list(&self, before: Uuid, limit: u32) -> usize {
        let rows = self.rows(&self.list, &[&before, &i64::from(limit)]).await;
        rows.iter().map(read_link).count()
    }

    async fn totals(&self, code: &str) {
        let row = &self.rows(&self.totals, &[&code]).await[0];
        black_box((row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, Option<DateTime<Utc>>>(2)));
    }

    async fn series(&self, code: &str, range: Range<DateTime<Utc>>) -> usize {
        let rows = self.rows(&self.series, &[&code, &range.start, &range.end]).await;
        let hour = |row: &Row| (row.get::<_, DateTime<Utc>>(0), row.get::<_, i64>(1), row.get::<_, i64>(2));
        black_box(rows.iter().map(hour).collect::<Vec<_>>()).len()
    }

    async fn record(&self, clicks: &[Click]) -> Duration {
        let ids: Vec<Uuid> = clicks.iter().map(|click| click.id).collect();
        let codes: Vec<&str> = clicks.iter().map(|click| click.code.as_str()).collect();
        let times: Vec<DateTime<Utc>> = clicks.iter().map(|click| click.clicked_at).collect();
        let links: Vec<Option<Uuid>> = clicks.iter().map(|click| click.link_id).collect();
        let (bots, visitors) = (vec![false; clicks.len()], vec![None::<i64>; clicks.len()]);
        let referrers: Vec<Option<&str>> = clicks.iter().map(|click| click.referrer.as_deref()).collect();
        let browsers: Vec<Option<&str>> = clicks.iter().map(|click| click.browser.as_deref()).collect();
        let systems: Vec<Option<&str>> = clicks.iter().map(|click| click.os.as_deref()).collect();
        let devices: Vec<Option<&str>> = clicks.iter().map(|click| click.device.as_deref()).collect();
        let countries = vec![None::<&str>; clicks.len()];
        let oldest = times.iter().min().unwrap();
        let params: [&(dyn ToSql + Sync); 12] = [
            &ids, &codes, &times, &links, &bots, &visitors, &referrers, &browsers, &systems, &devices, &countries,
            oldest,
        ];
        let start = Instant::now();
        self.client.query(&self.record, &params).await.unwrap();
        start.elapsed()
    }
}

fn main() {
    let mut suite = Suite::of_store("postgres");
    let server = Postgres::start();
    let url = server.new_database();
    let (store, linkly) = suite.block_on(async {
        let store = PostgresStore::connect(&url).await.unwrap();
        (store.clone(), Linkly::builder(store).start().await.unwrap())
    });
    suite.seed(&linkly);
    let driver = suite.block_on(async {
        // Not while it is measured.
        store.pool().get().await.unwrap().batch_execute("VACUUM ANALYZE").await.unwrap();
        Driver::connect(&url).await
    });
    suite.store(store, &driver);
}
