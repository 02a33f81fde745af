//! `cargo xtask bench http`: the examples under load, in turn with the bare framework and with the way it is written
//! by hand, and their rows counted.
//!
//! Rounds alternate, because these figures drift with the machine; what counts are the ratios of the rounds.

mod app;
mod contest;
mod wrk;

use std::fmt::Write as _;

use super::figures::Figure;
use super::suite::Size;
use crate::process::{Cmd, Failure, Result};
use contest::{Contest, Database, Round, Side};

/// What its floors are under.
pub(super) const BACKEND: &str = "http";

const CONTESTS: &[Contest] = &[
    Contest {
        name: "Axum on SQLite",
        database: Database::Sqlite,
        nodes: 1,
        bins: ["bare_axum", "by_hand_axum", "axum_sqlite"],
    },
    Contest {
        name: "Actix on Postgres",
        database: Database::Postgres,
        nodes: 1,
        bins: ["bare_actix", "by_hand_actix", "actix_postgres"],
    },
    // By hand as above: no node knows of the other.
    Contest {
        name: "Axum on Postgres and Redis, two nodes",
        database: Database::PostgresAndRedis,
        nodes: 2,
        bins: ["bare_axum", "by_hand_actix", "axum_postgres_redis"],
    },
];

/// How often each side has its turn, and for how many seconds.
fn turns(size: Size) -> (usize, u32) {
    match size {
        Size::Short => (3, 3),
        Size::Full => (5, 10),
    }
}

/// Measures all contests: the section of the report, and the ratios for the floors.
pub(super) fn measure(size: Size) -> Result<(String, Vec<Figure>)> {
    let features = ["--features", "sqlite,postgres,redis", "--bins"];
    Cmd::cargo("build").args(["--release", "-p", "linkly-examples"]).args(features).run()?;
    let (count, seconds) = turns(size);
    let (mut tables, mut figures) = (String::new(), Vec::new());
    for contest in CONTESTS {
        let rounds = rounds(contest, count, seconds)?;
        let ratios = ratios(contest.name, &rounds);
        let _ = write!(tables, "\n### {}\n\n{}{}", contest.name, table(&rounds), summary(&ratios));
        figures.extend(ratios);
    }
    let section = format!(
        "## Over HTTP\n\n\
         `wrk` with 64 connections, everything on the same machine, medians of {count} rounds of {seconds} s in turn. \
         Processor\ntime and memory are those of the apps. After each round the rows in `clicks` were counted against \
         the answers: none was\nmissing. Aimed at: 0.85 of the bare framework, and 6 times what is written by hand.\n\
         {tables}"
    );
    Ok((section, figures))
}

/// The rounds of each side.
fn rounds(contest: &Contest, count: usize, seconds: u32) -> Result<[Vec<Round>; 3]> {
    let mut rounds: [Vec<Round>; 3] = Default::default();
    for number in 1..=count {
        for side in Side::ALL {
            let round = contest
                .round(side, seconds)
                .map_err(|failure| Failure::new(format!("{}, {}: {failure}", contest.name, side.name())))?;
            println!("{}, round {number}, {}: {:.0}/s", contest.name, side.name(), round.seen.per_second);
            rounds[side as usize].push(round);
        }
    }
    Ok(rounds)
}

fn table(rounds: &[Vec<Round>; 3]) -> String {
    let mut table = "| | requests a second | of bare | p50 | p99 | CPU s a million | memory |\n\
                     |---|---|---|---|---|---|---|\n"
        .to_owned();
    let [bare, ..] = rounds;
    for side in Side::ALL {
        let own = &rounds[side as usize];
        let of = |value: fn(&Round) -> f64| median(own.iter().map(value));
        let ratio = median(own.iter().zip(bare).map(|(own, bare)| own.seen.per_second / bare.seen.per_second));
        let _ = writeln!(
            table,
            "| {} | {:.0} | {ratio:.2} | {:.2} ms | {:.2} ms | {:.1} | {:.0} MiB |",
            side.name(),
            of(|round| round.seen.per_second),
            of(|round| round.seen.p50_millis),
            of(|round| round.seen.p99_millis),
            of(|round| round.cpu_seconds),
            of(|round| round.memory)
        );
    }
    table
}

/// What a contest comes to: the medians over its rounds.
fn summary([bare, by_hand]: &[Figure; 2]) -> String {
    format!("\n{:.2} of the bare framework, {:.1} times what is written by hand.\n", bare.ratio, by_hand.ratio)
}

/// Ours beside the bare framework, and beside what is written by hand.
fn ratios(contest: &str, rounds: &[Vec<Round>; 3]) -> [Figure; 2] {
    let ours = &rounds[Side::Linkly as usize];
    [(Side::Bare, "of bare"), (Side::ByHand, "of by hand")].map(|(side, case)| {
        let raw = &rounds[side as usize];
        let nanos = |rounds: &[Round]| 1e9 / median(rounds.iter().map(|round| round.seen.per_second));
        Figure {
            backend: BACKEND.to_owned(),
            group: contest.to_owned(),
            case: case.to_owned(),
            raw: nanos(raw),
            ours: nanos(ours),
            ratio: median(ours.iter().zip(raw).map(|(ours, raw)| ours.seen.per_second / raw.seen.per_second)),
        }
    })
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::wrk::Seen;
    use super::*;

    fn round(per_second: f64) -> Round {
        let seen = Seen { requests: 10, per_second, p50_millis: 0.5, p99_millis: 1.25 };
        Round { seen, cpu_seconds: 9.87, memory: 12.3 }
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let rounds = [vec![100.0, 200.0, 300.0], vec![10.0, 20.0, 15.0], vec![90.0, 160.0, 300.0]]
            .map(|rates| rates.into_iter().map(round).collect());
        let ratios = ratios("Axum on SQLite", &rounds);
        assert_eq!(summary(&ratios), "\n0.90 of the bare framework, 9.0 times what is written by hand.\n");
        let [bare, by_hand] = ratios;
        assert_eq!((bare.name().as_str(), bare.ratio), ("Axum on SQLite/of bare", 0.9));
        assert_eq!((by_hand.name().as_str(), by_hand.ratio), ("Axum on SQLite/of by hand", 9.0));
        assert!(table(&rounds).contains("\n| linkly | 160 | 0.90 | 0.50 ms | 1.25 ms | 9.9 | 12 MiB |\n"));
    }
}
