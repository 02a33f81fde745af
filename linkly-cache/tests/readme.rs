//! What the README says of how old an answer can be is what the code does by default, and the tests it names are there.

#![cfg(feature = "redis")]

use std::path::Path;
use std::time::Duration;

use linkly_cache::{RedisChannelConfig, RedisConfig};
use linkly_core::Config;

/// The part about how old an answer can be.
fn bounds() -> &'static str {
    let (_, rest) = include_str!("../README.md").split_once("## How old an answer can be").expect("the heading");
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn the_times_are_the_defaults() {
    let (engine, cache, channel) = (Config::default(), RedisConfig::default(), RedisChannelConfig::default());
    let seconds = |time: Duration| format!("{} s", time.as_secs());
    for said in [
        format!("(`poll_changes`, {})", seconds(engine.poll_changes)),
        format!("{} s more while Redis hangs (`timeout_ms`)", cache.timeout_ms as f64 / 1_000.0),
        format!("(`heartbeat_ms`, {} s)", channel.heartbeat_ms / 1_000),
        format!("`fresh` and `stale`, {} and {} min", seconds(engine.fresh), engine.stale.as_secs() / 60),
    ] {
        assert!(bounds().contains(&said), "{said}");
    }
}

#[test]
fn the_tests_it_names_are_there() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut file, mut named) = (String::new(), 0);
    let list = bounds().split("where nothing else is said:").nth(1).expect("the list");
    // By turns a file and a test of it.
    for text in list.split('`').skip(1).step_by(2).take_while(|text| !text.contains("::")) {
        if text.ends_with(".rs") {
            let path = if text.contains('/') { here.join("..").join(text) } else { here.join("tests").join(text) };
            file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            named += 1;
            assert!(file.contains(&format!("async fn {text}()")), "{text}");
        }
    }
    let last = list.lines().filter_map(|line| line.split_once(". `")?.0.parse().ok()).max();
    assert_eq!(Some(named), last);
}
