//! When there is no room.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::sinks::{FakeSink, Fault};
use super::{capture, start};
use crate::{Error, Overflow, RecorderConfig};

fn config() -> RecorderConfig {
    RecorderConfig::default().with_capacity(4).with_batch(4)
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_callers_wait_until_there_is_room() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(1)), Fault::Takes(Duration::from_secs(1))]);
    let recorder = start(&sink, config());
    for number in 0..4 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(1).await;
    for number in 4..8 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    let mut waiting = Box::pin(recorder.record(capture("a", 8)));
    timeout(Duration::from_millis(500), &mut waiting).await.unwrap_err();
    assert_eq!((recorder.metrics().blocked, recorder.metrics().queued), (1, 4));
    waiting.await.unwrap();
    assert_eq!((sink.batches(), recorder.metrics().blocked), (vec![4, 4], 0));
    recorder.flush().await.unwrap();
    assert_eq!(sink.codes().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn as_many_callers_go_on_as_there_is_room_for() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(1)), Fault::Takes(Duration::from_secs(9))]);
    let recorder = start(&sink, config());
    let mut clicks = JoinSet::new();
    for number in 0..14 {
        let recorder = recorder.clone();
        clicks.spawn(async move { recorder.record(capture("a", number)).await });
    }
    // In flight 4, queued 4, and 6 wait; with the first batch written 4 of them get in.
    sink.called(2).await;
    for _ in 0..12 {
        timeout(Duration::from_secs(1), clicks.join_next()).await.unwrap();
    }
    assert_eq!((recorder.metrics().in_flight, recorder.metrics().queued, recorder.metrics().blocked), (4, 4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_waits_for_room_and_goes_away_has_recorded_nothing() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(60))]);
    let recorder = start(&sink, config());
    for number in 0..4 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(1).await;
    for number in 4..8 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    timeout(Duration::from_secs(1), recorder.record(capture("gone", 0))).await.unwrap_err();
    recorder.flush().await.unwrap();
    assert_eq!(sink.codes().len(), 8);
    assert!(!sink.has("gone0"));
    assert_eq!(recorder.metrics().blocked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_caller_waits_forever_for_room_in_a_tiny_queue() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_capacity(3).with_flush_interval(Duration::ZERO));
    let mut tasks = JoinSet::new();
    for task in 0..64 {
        let recorder = recorder.clone();
        tasks.spawn(async move {
            for number in 0..200 {
                let click = recorder.record(capture("a", task * 1_000 + number));
                if number % 7 == 3 {
                    // A caller may go away at any moment, also when it was just told that there is room.
                    _ = timeout(Duration::ZERO, click).await;
                } else {
                    click.await.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    recorder.flush().await.unwrap();
    let metrics = recorder.metrics();
    assert_eq!((metrics.queued, metrics.blocked, metrics.written), (0, 0, metrics.enqueued));
    assert_eq!(sink.codes().len() as u64, metrics.written);
}

#[tokio::test(start_paused = true)]
async fn dropped_clicks_are_counted() {
    let sink = FakeSink::with_faults([Fault::Takes(Duration::from_secs(1))]);
    let recorder = start(&sink, config().with_overflow(Overflow::DropNewest));
    for number in 0..4 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(1).await;
    for number in 4..20 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    let report = recorder.shutdown(Duration::from_secs(60)).await;
    assert_eq!((report.written, report.dropped, report.not_written), (8, 12, 0));
    assert_eq!(sink.codes().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_turns_away_those_who_wait_for_room() {
    let sink = FakeSink::with_plan(|_, _| Fault::Hangs);
    let recorder = start(&sink, config());
    let mut clicks = JoinSet::new();
    for number in 0..12 {
        let recorder = recorder.clone();
        clicks.spawn(async move { recorder.record(capture("a", number)).await });
    }
    sink.called(1).await;
    let ended = tokio::spawn({
        let recorder = recorder.clone();
        async move { recorder.shutdown(Duration::from_secs(1)).await }
    });
    let asked = Instant::now();
    let outcomes = clicks.join_all().await;
    assert_eq!(asked.elapsed(), Duration::ZERO, "they are turned away at once, not at the deadline");
    let report = ended.await.unwrap();
    let away = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::Closed { .. }))).count();
    assert_eq!(report.not_written as usize + away, 12);
    assert!(away >= 4, "{away}");
}
