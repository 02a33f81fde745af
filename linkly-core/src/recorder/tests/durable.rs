//! Acknowledged once written.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::sinks::{FakeSink, Fault};
use super::{capture, start};
use crate::{Acknowledge, Error, Overflow, RecorderConfig};

fn config() -> RecorderConfig {
    RecorderConfig::default().with_acknowledge(Acknowledge::Durable)
}

#[tokio::test(start_paused = true)]
async fn a_lone_click_is_written_without_waiting_for_others() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config());
    let started = Instant::now();
    recorder.record(capture("a", 0)).await.unwrap();
    assert_eq!((started.elapsed(), sink.codes().len()), (Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_group_is_in_flight_forms_the_next_group() {
    let sink = FakeSink::with_plan(|_, _| Fault::Takes(Duration::from_millis(5)));
    let recorder = start(&sink, config());
    let mut clicks = JoinSet::new();
    let record = |number| {
        let recorder = recorder.clone();
        async move { recorder.record(capture("a", number)).await }
    };
    clicks.spawn(record(0));
    sink.called(1).await;
    let started = Instant::now();
    for number in 1..=20 {
        clicks.spawn(record(number));
    }
    assert!(clicks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(sink.batches(), [1, 20]);
    assert!(started.elapsed() <= Duration::from_millis(12), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refused_click_is_its_callers_error_and_nobody_elses() {
    let sink = FakeSink::with_faults([Fault::unavailable()]);
    let recorder = start(&sink, config());
    let mut clicks = JoinSet::new();
    for number in 0..30 {
        let recorder = recorder.clone();
        let name = if number % 10 == 3 { "bad" } else { "a" };
        clicks.spawn(async move { (number, recorder.record(capture(name, number)).await) });
    }
    for (number, outcome) in clicks.join_all().await {
        match outcome {
            Ok(()) => assert!(number % 10 != 3 && sink.has(&format!("a{number}")), "{number}"),
            Err(Error::Refused { reason, .. }) => assert_eq!(reason, format!("bad{number}")),
            Err(other) => panic!("{number}: {other}"),
        }
    }
    assert_eq!((recorder.metrics().written, recorder.metrics().dead), (27, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_acknowledged_click_is_in_the_sink_at_that_moment() {
    let sink = FakeSink::with_plan(|call, _| match call % 5 {
        1 => Fault::unavailable(),
        2 => Fault::FailsAfterWriting,
        3 => Fault::Panics,
        _ => Fault::None,
    });
    let brief = Duration::from_micros(50);
    let recorder = start(&sink, RecorderConfig { first_backoff: brief, most_backoff: brief, ..config() });
    let mut tasks = JoinSet::new();
    for task in 0..32 {
        let (recorder, sink) = (recorder.clone(), Arc::clone(&sink));
        tasks.spawn(async move {
            for number in 0..40 {
                recorder.record(capture("a", task * 1_000 + number)).await.unwrap();
                assert!(sink.has(&format!("a{}", task * 1_000 + number)));
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(sink.codes().len(), 32 * 40);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_leaves_its_click() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(5))]);
    let recorder = start(&sink, config());
    for number in 0..4 {
        timeout(Duration::from_secs(1), recorder.record(capture("a", number))).await.unwrap_err();
    }
    recorder.flush().await.unwrap();
    assert_eq!(sink.codes(), ["a0", "a1", "a2", "a3"]);
}

#[tokio::test(start_paused = true)]
async fn a_click_is_never_dropped_silently() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(1))]);
    let recorder = start(&sink, config().with_capacity(2).with_overflow(Overflow::DropNewest));
    let mut clicks = JoinSet::new();
    for number in 0..10 {
        let recorder = recorder.clone();
        clicks.spawn(async move { recorder.record(capture("a", number)).await });
    }
    let outcomes = clicks.join_all().await;
    let dropped = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(dropped.clone().all(Error::is_transient));
    assert_eq!(recorder.metrics().dropped, dropped.count() as u64);
    assert_eq!(recorder.metrics().dropped + sink.codes().len() as u64, 10);
    assert!(recorder.metrics().dropped > 0);
}
