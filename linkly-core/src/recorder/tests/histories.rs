//! Random histories of faults, from seeds: no click is lost, and none counts twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::{JoinSet, yield_now};

use super::sinks::{FakeSink, Fault};
use super::{capture, start};
use crate::{Acknowledge, Click, Error, Overflow, RecorderConfig};

fn random_fault(random: &mut StdRng, reliability: f64) -> Fault {
    if random.random_bool(reliability) {
        return Fault::None;
    }
    match random.random_range(0..7) {
        0 => Fault::unavailable(),
        1 => Fault::FailsAfterWriting,
        2 => Fault::Hangs,
        3 => Fault::Panics,
        4 => Fault::Takes(Duration::from_millis(random.random_range(0..3_000))),
        5 => Fault::Fails(Error::Backend { backend: "fake", reason: "disk full".into(), source: None }),
        _ => Fault::Fails(Error::Schema { backend: "fake", reason: "no table".into() }),
    }
}

fn random_config(random: &mut StdRng) -> RecorderConfig {
    let acknowledge = if random.random_bool(0.5) { Acknowledge::Enqueued } else { Acknowledge::Durable };
    let overflow = if random.random_bool(0.5) { Overflow::Block } else { Overflow::DropNewest };
    RecorderConfig::default()
        .with_acknowledge(acknowledge)
        .with_overflow(overflow)
        .with_batch(random.random_range(1..200))
        .with_capacity(random.random_range(1..600))
        .with_flush_interval(Duration::from_millis(random.random_range(0..200)))
        .with_write_timeout(Duration::from_millis(random.random_range(1..2_000)))
}

/// What the sink keeps of each code, by a plan that never sees more than the call.
type Held = Arc<Mutex<HashMap<String, usize>>>;

async fn live_through(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let config = random_config(&mut random);
    let reliability = random.random_range(0.2..1.0);
    let mut faults = StdRng::seed_from_u64(seed ^ 0xFA);
    let held = Held::default();
    let seen = Arc::clone(&held);
    let sink = FakeSink::with_plan(move |_, clicks: &[Click]| {
        for click in clicks {
            *seen.lock().unwrap().entry(click.code.to_string()).or_default() += 1;
        }
        random_fault(&mut faults, reliability)
    });
    let recorder = start(&sink, config.clone());

    let (callers, each) = (16, random.random_range(1..150));
    let share_of_bad = random.random_range(0.0..0.2);
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (recorder, sink) = (recorder.clone(), Arc::clone(&sink));
        let mut random = StdRng::seed_from_u64(seed * 1_000 + caller as u64);
        tasks.spawn(async move {
            let mut counted = 0_u64;
            for number in caller * 1_000..caller * 1_000 + each {
                let name = if random.random_bool(share_of_bad) { "bad" } else { "a" };
                let outcome = recorder.record(capture(name, number)).await;
                match &outcome {
                    Err(Error::Closed { .. }) => return counted,
                    Ok(()) if config.acknowledge == Acknowledge::Durable => {
                        assert!(sink.has(&format!("{name}{number}")), "seed {seed}: acknowledged, not written");
                    }
                    Ok(()) | Err(Error::Unavailable { .. } | Error::Refused { .. }) => {}
                    Err(other) => panic!("seed {seed}: {other}"),
                }
                counted += 1;
                match random.random_range(0..20) {
                    0 => tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await,
                    1..5 => yield_now().await,
                    _ => {}
                }
            }
            counted
        });
    }
    let all_settled = random.random_bool(0.5);
    let counted: u64;
    if all_settled {
        counted = tasks.join_all().await.iter().sum();
        recorder.flush().await.unwrap();
    } else {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..5_000))).await;
        recorder.shutdown(Duration::from_millis(random.random_range(0..3_000))).await;
        counted = tasks.join_all().await.iter().sum();
    }
    let report = recorder.shutdown(Duration::from_secs(1)).await;

    assert_eq!(report.written + report.dead + report.dropped + report.not_written, counted, "seed {seed}: {report:?}");
    assert_eq!(report.unwritten.len() as u64, report.not_written, "seed {seed}");
    let metrics = recorder.metrics();
    assert_eq!(metrics.enqueued, report.written + report.dead + report.not_written, "seed {seed}: {metrics:?}");
    assert_eq!(recorder.dead_letters().len() as u64 + metrics.dead_forgotten, report.dead, "seed {seed}");
    assert!(recorder.dead_letters().iter().all(|letter| letter.click.code.as_str().starts_with("bad")), "seed {seed}");

    // Every written click once; those whose answer was lost are among the unwritten as well.
    let written = sink.codes();
    let different: std::collections::HashSet<_> = written.iter().collect();
    assert_eq!(different.len(), written.len(), "seed {seed}: a click counts twice");
    let maybe = report.unwritten.iter().filter(|click| different.contains(&click.code.to_string())).count();
    assert_eq!(written.len() as u64, report.written + maybe as u64, "seed {seed}: {report:?}");
    if all_settled {
        assert_eq!((report.not_written, maybe), (0, 0), "seed {seed}");
    }
    assert!(held.lock().unwrap().len() as u64 <= metrics.enqueued, "seed {seed}: the sink got what nobody recorded");
}

#[tokio::test(start_paused = true)]
async fn over_random_faults_every_click_is_written_once_or_accounted_for() {
    for seed in 0..300 {
        live_through(seed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_task_never_sleeps_through_a_capture() {
    for round in 0..50 {
        let sink = FakeSink::new();
        let config = RecorderConfig::default()
            .with_batch(7)
            // Only a wake can have these written: no timer comes to the rescue.
            .with_flush_interval(if round % 2 == 0 { Duration::ZERO } else { Duration::from_secs(3_600) });
        let recorder = start(&sink, config);
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let recorder = recorder.clone();
            tasks.spawn(async move {
                for number in 0..100 {
                    recorder.record(capture("a", task * 1_000 + number)).await.unwrap();
                    if number % 9 == task {
                        recorder.flush().await.unwrap();
                    }
                    if number % 4 == 0 {
                        yield_now().await;
                    }
                }
            });
        }
        tasks.join_all().await;
        recorder.flush().await.unwrap();
        assert_eq!(sink.codes().len(), 800);
        if round % 2 == 0 {
            // Nobody asks for these, and they come all the same.
            let calls = sink.batches().len();
            recorder.record(capture("last", 0)).await.unwrap();
            sink.called(calls + 1).await;
        }
    }
}
