//! `cargo xtask soak`: an app under load is killed at random moments, again and again; afterwards rows, totals
//! and series are compared with what its callers were told.
//!
//! [`mod@app`] is what is killed, [`subject`] says how it is put together, [`kills`] kills it, [`manifest`] is
//! kept outside of it, and [`audit`] compares.
//!
//! `linkly-soak nodes --seconds N` is about caches: [`mod@nodes`] kills and pauses several of [`mod@node`] and their
//! Redis, and [`history`] says what they saw that they must not.

mod app;
mod audit;
mod history;
mod kills;
mod manifest;
mod node;
mod nodes;
mod subject;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use kills::Tally;
use subject::{Place, SUBJECTS, Subject};

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const USAGE: &str = "\
linkly-soak [--minutes N] [--kills N] [--subject NAME]...
linkly-soak nodes --seconds N

  --minutes    how long; each subject has one round at least
  --kills      how many kills make up a round, after which everything is compared; 10 by default
  --subject    which subjects, by default all";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("app") => app(&args[1..]).await,
        Some("node") => node(&args[1..]).await,
        Some("nodes") => nodes(&args[1..]).await,
        _ => soak(&args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("linkly-soak: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The app, until it is killed.
async fn app(args: &[String]) -> Result<()> {
    let [subject, folder, database, redis, run] = args else { return Err(USAGE.into()) };
    app::run(Subject::named(subject)?, &Place::new(folder, database, redis), run.parse()?).await
}

/// One node of several, until it is killed.
async fn node(args: &[String]) -> Result<()> {
    let [node, database, redis, codes] = args else { return Err(USAGE.into()) };
    node::run(node.parse()?, database, redis, codes.parse()?).await
}

async fn nodes(args: &[String]) -> Result<()> {
    let [flag, seconds] = args else { return Err(USAGE.into()) };
    if flag != "--seconds" {
        return Err(USAGE.into());
    }
    nodes::run(Duration::from_secs(seconds.parse()?)).await
}

async fn soak(args: &[String]) -> Result<()> {
    let (mut minutes, mut kills, mut subjects) = (0.0, 10, Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let value = args.next().ok_or(USAGE)?;
        match arg.as_str() {
            "--minutes" => minutes = value.parse()?,
            "--kills" => kills = value.parse()?,
            "--subject" => subjects.push(Subject::named(value)?),
            _ => return Err(USAGE.into()),
        }
    }
    if subjects.is_empty() {
        subjects.extend(SUBJECTS);
    }
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let mut tallies = vec![Tally::default(); subjects.len()];
    loop {
        for (subject, tally) in subjects.iter().zip(&mut tallies) {
            tally.add(kills::round(*subject, kills).await.map_err(|error| format!("{}: {error}", subject.name))?);
            println!("{:<18} {tally}", subject.name);
        }
        if Instant::now() >= end {
            return Ok(());
        }
    }
}
