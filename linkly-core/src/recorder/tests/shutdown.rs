//! The end of a recorder, wanted or not.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::sinks::{FakeSink, Fault};
use super::{capture, start};
use crate::{Acknowledge, ClickSink, Error, Recorder, RecorderConfig};

const DEADLINE: Duration = Duration::from_secs(3);

fn config() -> RecorderConfig {
    RecorderConfig::default().with_batch(10)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_writes_what_waits_and_does_not_wait_for_the_flush_interval() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_flush_interval(Duration::from_secs(3_600)));
    for number in 0..25 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    let started = Instant::now();
    let report = recorder.shutdown(DEADLINE).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!((report.written, report.not_written, report.dead, report.dropped), (25, 0, 0, 0));
    assert_eq!(sink.codes().len(), 25);
    assert!(matches!(recorder.record(capture("a", 99)).await, Err(Error::Closed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_does_not_hold_up_a_shutdown_and_its_clicks_come_back() {
    let sink = FakeSink::with_plan(|call, _| if call == 0 { Fault::None } else { Fault::Hangs });
    let recorder = start(&sink, config());
    for number in 0..25 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(2).await;
    let started = Instant::now();
    let report = recorder.shutdown(DEADLINE).await;
    assert_eq!(started.elapsed().as_secs(), DEADLINE.as_secs());
    assert_eq!((report.written, report.not_written), (10, 15));
    let codes: Vec<_> = report.unwritten.iter().map(|click| click.code.to_string()).collect();
    assert_eq!(codes, (10..25).map(|number| format!("a{number}")).collect::<Vec<_>>());
    let again: Vec<_> = report.unwritten[..10].iter().map(|click| click.id).collect();
    assert_eq!(again, sink.rows().calls[1], "the clicks in flight keep their ids");
    assert_eq!(recorder.shutdown(DEADLINE).await, report);
    assert_eq!(recorder.metrics().in_flight + recorder.metrics().queued, 0);
    assert!(matches!(recorder.flush().await, Err(Error::Unavailable { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_was_written_without_an_answer_may_be_recorded_again() {
    let sink = FakeSink::with_plan(|call, _| if call < 200 { Fault::FailsAfterWriting } else { Fault::None });
    let recorder = start(&sink, config());
    for number in 0..7 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    let report = recorder.shutdown(DEADLINE).await;
    assert_eq!((report.written, report.not_written, sink.codes().len()), (0, 7, 7));
    while sink.record(&report.unwritten).await.is_err() {}
    assert_eq!(sink.codes().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_cuts_a_pause_short_and_tries_on_until_its_deadline() {
    let sink = FakeSink::with_plan(|call, _| if call < 12 { Fault::unavailable() } else { Fault::None });
    let long = Duration::from_secs(3_600);
    let recorder = start(&sink, RecorderConfig { first_backoff: long, most_backoff: long, ..config() });
    recorder.record(capture("a", 0)).await.unwrap();
    sink.called(1).await;
    let report = recorder.shutdown(DEADLINE).await;
    assert_eq!((report.written, report.not_written), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_an_unwritten_click_are_told() {
    let sink =
        FakeSink::with_plan(|_, clicks| if clicks[0].code.as_str() == "a0" { Fault::None } else { Fault::Hangs });
    let recorder = start(&sink, config().with_acknowledge(Acknowledge::Durable));
    recorder.record(capture("a", 0)).await.unwrap();
    let mut clicks = JoinSet::new();
    for number in 1..30 {
        let recorder = recorder.clone();
        clicks.spawn(async move { recorder.record(capture("a", number)).await });
    }
    sink.called(2).await;
    let report = recorder.shutdown(DEADLINE).await;
    let outcomes = clicks.join_all().await;
    let told = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Unavailable { .. }))).count();
    assert_eq!((told, report.written, report.not_written), (29, 1, 29));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_click_that_was_taken_in_is_in_the_report() {
    for round in 0..20_u64 {
        let sink = FakeSink::with_plan(move |call, _| {
            if call % 3 == 1 { Fault::FailsAfterWriting } else { Fault::Takes(Duration::from_millis(round % 3)) }
        });
        let recorder = start(&sink, config().with_capacity(64).with_flush_interval(Duration::from_millis(1)));
        let mut tasks = JoinSet::new();
        for task in 0..8 {
            let recorder = recorder.clone();
            tasks.spawn(async move {
                let mut taken = 0_u64;
                while taken < 100_000 && recorder.record(capture("a", task * 100_000)).await.is_ok() {
                    taken += 1;
                }
                taken
            });
        }
        sink.called(5).await;
        let report = recorder.shutdown(Duration::from_millis(round)).await;
        let taken: u64 = tasks.join_all().await.iter().sum();
        assert_eq!(report.written + report.not_written, taken, "{report:?}");
        assert_eq!(report.unwritten.len() as u64, report.not_written);
        assert!(sink.codes().len() as u64 >= report.written);
        // Whatever was in flight: recording it again makes the sink exact.
        if !report.unwritten.is_empty() {
            while sink.record(&report.unwritten).await.is_err() {}
        }
        assert_eq!(sink.codes().len() as u64, taken);
    }
}

#[tokio::test]
async fn a_sink_that_blocks_its_thread_does_not_hold_up_a_shutdown() {
    let (release, blocked) = mpsc::channel();
    let sink = FakeSink::with_faults([Fault::Blocks(Arc::new(Mutex::new(blocked)))]);
    // A runtime that has one thread, which the sink blocks.
    let other = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let recorder = Recorder::start(sink.clone(), config(), other.handle()).unwrap();
    for number in 0..25 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(1).await;
    let report = recorder.shutdown(Duration::from_millis(20)).await;
    assert_eq!((report.written, report.not_written), (0, 25));
    drop(release);
    // Joins the runtime's thread, and with it whatever the task still did.
    tokio::task::spawn_blocking(move || drop(other)).await.unwrap();
    assert_eq!((recorder.metrics().written, sink.batches()), (0, vec![10]));
}

#[tokio::test(start_paused = true)]
async fn the_shutdown_goes_on_when_its_caller_goes_away() {
    let sink = FakeSink::with_plan(|_, _| Fault::Hangs);
    let recorder = start(&sink, config());
    recorder.record(capture("a", 0)).await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(1), recorder.shutdown(DEADLINE)).await;
    asked.unwrap_err();
    let started = Instant::now();
    let report = recorder.shutdown(Duration::MAX).await;
    assert_eq!(report.not_written, 1);
    assert!(started.elapsed() <= DEADLINE, "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn without_handles_the_task_writes_what_it_has_and_ends() {
    let sink = FakeSink::with_faults([Fault::unavailable()]);
    let recorder = start(&sink, config().with_flush_interval(Duration::from_secs(3_600)));
    let other = recorder.clone();
    drop(recorder);
    for number in 0..3 {
        other.record(capture("a", number)).await.unwrap();
    }
    drop(other);
    sink.called(2).await;
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(sink.codes().len(), 3);
    assert_eq!(Arc::strong_count(&sink), 1, "the task and its sink are gone");
}

#[tokio::test(start_paused = true)]
async fn without_handles_and_without_a_sink_the_task_ends_after_the_drain_timeout() {
    let sink = FakeSink::with_plan(|_, _| Fault::Hangs);
    let recorder = start(&sink, config());
    recorder.record(capture("a", 0)).await.unwrap();
    let started = Instant::now();
    drop(recorder);
    while Arc::strong_count(&sink) > 1 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let lived = started.elapsed().as_secs();
    assert!((30..=31).contains(&lived), "{lived}");
}

#[test]
fn a_runtime_that_ends_ends_the_recorder() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let sink = FakeSink::with_plan(|_, _| Fault::Hangs);
    let durable = config().with_acknowledge(Acknowledge::Durable);
    let recorder = Recorder::start(sink.clone(), durable, runtime.handle()).unwrap();
    let waiting = std::thread::spawn({
        let recorder = recorder.clone();
        move || {
            let here = Builder::new_current_thread().enable_time().build().unwrap();
            here.block_on(recorder.record(capture("a", 0)))
        }
    });
    runtime.block_on(sink.called(1));
    drop(runtime);
    assert!(matches!(waiting.join().unwrap(), Err(Error::Unavailable { .. })));
    let here = Builder::new_current_thread().enable_time().build().unwrap();
    assert!(matches!(here.block_on(recorder.record(capture("a", 1))), Err(Error::Closed { .. })));
    assert_eq!(here.block_on(recorder.shutdown(DEADLINE)).not_written, 1);
    drop(recorder);
}

#[test]
fn a_runtime_without_time_is_refused_at_the_start() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let started = std::panic::catch_unwind(|| Recorder::start(FakeSink::new(), config(), runtime.handle()));
    started.unwrap_err();
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_at_the_start() {
    let error = Recorder::start(FakeSink::new(), config().with_batch(0), &Handle::current()).unwrap_err();
    assert!(error.is_invalid_input(), "{error}");
}
