//! Memory stays flat: the resident size after five million visits beside that after half a million, with the clicks
//! going straight to SQLite, and by way of a spool.
//!
//! Each way is a process of its own, since what one has taken from the system stays with it.

use std::error::Error;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linkly_cache::MemoryCache;
use linkly_core::{Linkly, NewLink, VisitContext};
use linkly_queue::{Spool, SpoolConfig};
use linkly_store_sqlite::SqliteStore;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const WAYS: [&str; 2] = ["recorder", "spool"];
const FIRST: u64 = 500_000;
const ALL: u64 = 5_000_000;
const LINKS: u64 = 1_000;
const TASKS: u64 = 8;
/// How much more may be resident at the end.
const MOST: f64 = 1.1;

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1) {
        Some(way) => visit(&way).await,
        None => WAYS.into_iter().try_for_each(start),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(way: &str) -> Result<()> {
    match Command::new(std::env::current_exe()?).arg(way).status()?.success() {
        true => Ok(()),
        false => Err(format!("{way} failed").into()),
    }
}

async fn visit(way: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::connect(&format!("sqlite:{}/linkly.db", folder.path().display())).await?;
    let builder = Linkly::builder(store.clone()).cache(MemoryCache::new());
    let (linkly, spool) = match way {
        "recorder" => (builder.start().await?, None),
        "spool" => {
            let file = folder.path().join("clicks.spool");
            let spool = Spool::open(file, Arc::new(store.clone()), SpoolConfig::default()).await?;
            (builder.clicks(spool.clone()).start().await?, Some(spool))
        }
        _ => return Err(format!("no way {way:?}, there are {}", WAYS.join(", ")).into()),
    };
    for n in 0..LINKS {
        linkly.create(NewLink::new("https://iii.dev").with_code(format!("c{n}"))).await?;
    }
    let done = Arc::new(AtomicU64::new(0));
    visit_until(&linkly, &done, FIRST).await?;
    let first = resident_bytes()?;
    visit_until(&linkly, &done, ALL).await?;
    let last = resident_bytes()?;
    linkly.flush().await?;
    if let Some(spool) = spool {
        spool.flush().await?;
    }
    let mut clicks = 0;
    for n in 0..LINKS {
        clicks += linkly.stats(&format!("c{n}")).await?.clicks;
    }
    let ratio = last as f64 / first as f64;
    println!("{way}: {first} bytes resident after {FIRST} visits, {last} after {ALL}: {ratio:.3}; {clicks} clicks");
    if clicks != ALL {
        return Err(format!("{ALL} visits, but {clicks} clicks").into());
    }
    if ratio > MOST { Err(format!("more than {MOST} times as much is resident").into()) } else { Ok(()) }
}

/// Visits until so many visits were made in all, by browsers and from pages that are ever new.
async fn visit_until(linkly: &Linkly, done: &Arc<AtomicU64>, until: u64) -> Result<()> {
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| {
            let (linkly, done) = (linkly.clone(), done.clone());
            tokio::spawn(async move {
                loop {
                    let n = done.fetch_add(1, Ordering::Relaxed);
                    if n >= until {
                        done.fetch_sub(1, Ordering::Relaxed);
                        return Ok::<_, linkly_core::Error>(());
                    }
                    let referrer = format!("https://host{}.example/page/{n}", n % 10_000);
                    let agent = format!("Mozilla/5.0 (X11; Linux x86_64; rv:{n}.0) Gecko/20100101 Firefox/{n}.0");
                    let context = VisitContext::new().with_referrer(Some(&referrer)).with_user_agent(Some(&agent));
                    linkly.visit(&format!("c{}", n % LINKS), &context).await?;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// What this process has in memory, from `/proc`.
fn resident_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS in /proc/self/status")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes * 1_024)
}
