//! How cost grows with the number of links and of clicks: on SQLite, on Postgres, and in the cache in memory.
//!
//! A store grows from size to size, with as many clicks of one link as it has links. `LINKLY_BENCH_SIZES` names the
//! sizes (100000,1000000); at each of them the median of an operation is taken. `cargo xtask bench growth` makes
//! tables of the lines that are written.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use linkly_benches::{Codes, Shape, page_of};
use linkly_cache::MemoryCache;
use linkly_core::chrono::{DateTime, TimeDelta, Utc};
use linkly_core::{
    Cache, CacheExt, Click, Clock, Code, Config, Cursor, Entry, Linkly, NewLink, Step, Store, SystemClock, Target,
    TargetParts, Tick, TimeRange, Uuid,
};
use linkly_store_postgres::PostgresStore;
use linkly_store_sqlite::SqliteStore;
use linkly_testkit::Postgres;

const HOT: &str = "hot";
const BATCH: usize = 1_000;
const AT_ONCE: usize = 64;

struct Run {
    sizes: Vec<usize>,
    /// How often each operation is done.
    times: usize,
}

impl Run {
    fn asked() -> Self {
        if std::env::args().any(|arg| arg == "--test") {
            return Self { sizes: vec![1_000, 2_000], times: 2 };
        }
        let sizes = std::env::var("LINKLY_BENCH_SIZES").unwrap_or_else(|_| "100000,1000000".to_owned());
        Self { sizes: sizes.split(',').map(|size| size.parse().expect("sizes are numbers")).collect(), times: 2_560 }
    }
}

/// A store that grows.
struct Growing {
    backend: &'static str,
    linkly: Linkly,
    links: usize,
    clicks: usize,
    made: usize,
    /// Behind the link that half of those of a size lie behind, and when that was made.
    middle: Option<(Cursor, DateTime<Utc>)>,
}

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

fn new(code: &str) -> NewLink {
    NewLink::new(format!("https://iii.dev/where/it/leads/{code}")).with_code(code)
}

/// A link and its clicks, one every half minute.
fn clicks(first: usize, count: usize) -> Vec<Click> {
    let code = Code::new(HOT).unwrap();
    (first..first + count).map(|i| Click::new(code.clone(), start() + TimeDelta::seconds(30 * i as i64))).collect()
}

impl Growing {
    async fn new(backend: &'static str, store: impl Store) -> Self {
        let config = Config::default().with_poll_changes(Duration::ZERO);
        let linkly = Linkly::builder(store).config(config).start().await.unwrap();
        linkly.create(new(HOT)).await.unwrap();
        Self { backend, linkly, links: 0, clicks: 0, made: 0, middle: None }
    }

    async fn bytes(&self) -> u64 {
        self.linkly.store().optimize().await.unwrap();
        self.linkly.store().size().await.unwrap().bytes
    }

    async fn grow(&mut self, size: usize) {
        let (before, links) = (self.bytes().await, self.links);
        self.middle = None;
        while self.links < size {
            let codes: Vec<String> = (self.links..size.min(self.links + BATCH)).map(Codes::nth).collect();
            for made in self.linkly.create_many(codes.iter().map(|code| new(code)).collect()).await.unwrap() {
                made.unwrap();
            }
            self.links += codes.len();
            if self.links >= size / 2 && self.middle.is_none() {
                let page = self.linkly.list(&page_of(1)).await.unwrap();
                self.middle = page.next.zip(page.items.first().map(|link| link.created_at));
            }
        }
        let (with_links, clicks_before) = (self.bytes().await, self.clicks);
        while self.clicks < size {
            let count = BATCH.min(size - self.clicks);
            self.linkly.store().record(&clicks(self.clicks, count)).await.unwrap();
            self.clicks += count;
        }
        let with_clicks = self.bytes().await;
        self.publish_bytes("bytes on disk for a link", size, with_links.saturating_sub(before), self.links - links);
        self.publish_bytes(
            "bytes on disk for a click",
            size,
            with_clicks.saturating_sub(with_links),
            self.clicks - clicks_before,
        );
    }

    /// Of what was added since the size before, if anything was.
    fn publish_bytes(&self, what: &str, size: usize, bytes: u64, added: usize) {
        if added > 0 {
            publish(self.backend, what, size, bytes as f64 / added as f64);
        }
    }

    async fn measure(&mut self, size: usize, times: usize) {
        let (linkly, store) = (&self.linkly, self.linkly.store());
        let codes = Codes::drawn(size, Shape::Uniform, 1);
        let (cursor, made_at) = self.middle.clone().expect("a store that has grown");
        let deep = page_of(50).with_after(Some(cursor));
        let of_a_time = page_of(50).with_created(None, Some(made_at + TimeDelta::milliseconds(1)));
        let days = TimeRange::new(start(), start() + TimeDelta::days(30));
        let made = self.made;
        self.made += times;

        // A process that has just begun has mapped nothing of the file yet, and the first look at each of its pages
        // costs as much as the whole miss does later.
        let resolve = async |i| assert!(linkly.resolve(codes.get(i)).await.is_ok());
        at_once(size / 10, resolve).await;
        publish(self.backend, "resolve, a miss alone", size, median(times, resolve).await);
        publish(self.backend, "resolve, 64 misses at once", size, at_once(times, resolve).await);
        let create = median(times, async |i| drop(linkly.create(new(&format!("n{}", made + i))).await.unwrap())).await;
        publish(self.backend, "create", size, create);
        let stats = at_once(times, async |_| assert!(linkly.stats(HOT).await.unwrap().clicks > 0)).await;
        publish(self.backend, "stats", size, stats);
        let series = async |_| assert!(!linkly.series(HOT, days, Step::Hour).await.unwrap().is_empty());
        publish(self.backend, "series of 30 days", size, at_once(times, series).await);
        for (what, query) in [("list, half way down", &deep), ("list, made before a time half way", &of_a_time)] {
            let list = async |_| assert!(!linkly.list(query).await.unwrap().items.is_empty());
            publish(self.backend, what, size, at_once(times, list).await);
        }
        let first = self.clicks;
        let batches: Vec<_> = (0..times.div_ceil(20)).map(|i| clicks(first + i * BATCH, BATCH)).collect();
        let record = median(batches.len(), async |i| store.record(&batches[i]).await.unwrap()).await;
        publish(self.backend, "record 1,000 clicks", size, record);
        self.clicks += batches.len() * BATCH;
    }
}

/// The median time of an operation, in nanoseconds, after as many to warm up.
async fn median(times: usize, operation: impl AsyncFn(usize)) -> f64 {
    let mut all = Vec::new();
    for i in 0..times {
        let start = Instant::now();
        operation(i).await;
        all.push(start.elapsed());
    }
    // The first half is what brings the database's pages in.
    let warm = &mut all[times / 2..];
    warm.sort_unstable();
    warm[warm.len() / 2].as_nanos() as f64
}

/// The median time that a read takes of those that are made at once, in nanoseconds: of one alone, most is how long a
/// thread or a server takes to wake.
async fn at_once(times: usize, read: impl AsyncFn(usize)) -> f64 {
    let rounds = times.div_ceil(AT_ONCE);
    let round = async |round| {
        let reads = (0..AT_ONCE).map(|i| read(round * AT_ONCE + i));
        join_all(reads).await;
    };
    median(rounds, round).await / AT_ONCE as f64
}

/// Writes a line for `cargo xtask bench growth`.
fn publish(backend: &str, what: &str, size: usize, value: f64) {
    println!("{backend}, {what}, at {size}: {value:.0}");
    if let Some(path) = std::env::var_os("LINKLY_BENCH_FIGURES") {
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{backend}\t{what}\t{size}\t{value:.1}").unwrap();
    }
}

/// Bytes of memory that this process has.
fn resident() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")).unwrap();
    kib.parse::<f64>().unwrap() * 1_024.0
}

/// What a cached link takes beyond the text of its code and URL.
async fn cached(links: usize) -> f64 {
    let before = resident();
    let (cache, now, mut text) = (MemoryCache::builder().capacity(links).build(), SystemClock.tick(), 0);
    for i in 0..links {
        let code = Codes::nth(i);
        let url = format!("https://iii.dev/where/it/leads/{code}");
        text += code.len() + url.len();
        let target = Target::new(TargetParts::new(Uuid::nil(), url));
        let lease = cache.get_one(&Code::new(&code).unwrap(), now).await.unwrap().lease.unwrap();
        cache.fill_one(lease, Entry::new(Some(target), Tick::MAX, Tick::MAX), now).await.unwrap();
    }
    let held = (0..links).filter(|i| cache.peek(&Codes::nth(*i), now).is_some()).count();
    (resident() - before - text as f64 * held as f64 / links as f64) / held as f64
}

/// What SQLite itself takes for a row of a table of that size: rusqlite, one look-up after the other.
fn look_up(file: &Path, size: usize, times: usize) -> f64 {
    let connection = rusqlite::Connection::open(file).unwrap();
    connection.pragma_update(None, "mmap_size", i64::from(i32::MAX)).unwrap();
    let mut row = connection.prepare("SELECT id, url FROM links WHERE code = ?1 AND retired_at IS NULL").unwrap();
    let codes = Codes::drawn(size, Shape::Uniform, 1);
    let mut look_up = |from: usize, count: usize| {
        let start = Instant::now();
        for i in from..from + count {
            let url = row.query_row([codes.get(i)], |row| row.get::<_, String>(1)).unwrap();
            assert!(!url.is_empty());
        }
        start.elapsed().as_nanos() as f64 / count as f64
    };
    look_up(0, size / 10);
    look_up(0, times)
}

fn main() {
    let run = Run::asked();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // First, while the allocator has nothing to give again.
    let links = run.sizes.iter().copied().max().unwrap_or(1_000).clamp(1_000, 1_000_000);
    publish("memory", "bytes for a cached link beyond its text", links, runtime.block_on(cached(links)));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linkly.db");
    let url = format!("sqlite:{}", file.display());
    runtime.block_on(async {
        let mut growing = Growing::new("sqlite", SqliteStore::connect(&url).await.unwrap()).await;
        for size in &run.sizes {
            growing.grow(*size).await;
            growing.measure(*size, run.times).await;
            publish("sqlite", "raw: a look-up by rusqlite, out of many", *size, look_up(&file, *size, run.times));
        }
    });
    drop(folder);

    let server = Postgres::start();
    runtime.block_on(async {
        let store = PostgresStore::connect(&server.new_database()).await.unwrap();
        let mut growing = Growing::new("postgres", store.clone()).await;
        for size in &run.sizes {
            growing.grow(*size).await;
            store.pool().get().await.unwrap().batch_execute("VACUUM ANALYZE").await.unwrap();
            growing.measure(*size, run.times).await;
        }
    });
}
