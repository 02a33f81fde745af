//! Batches, retries and dead letters.

use std::time::Duration;

use tokio::time::{Instant, advance};

use super::sinks::{FakeSink, Fault};
use super::{capture, start};
use crate::{Error, RecorderConfig};

/// Every capture waits for others.
fn config() -> RecorderConfig {
    RecorderConfig::default().with_at_once(0)
}

#[tokio::test(start_paused = true)]
async fn clicks_that_come_alone_are_written_at_once_until_there_are_many() {
    let sink = FakeSink::new();
    let recorder = start(&sink, RecorderConfig::default().with_at_once(3));
    let started = Instant::now();
    for number in 0..3 {
        recorder.record(capture("a", number)).await.unwrap();
        sink.called(number + 1).await;
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    for number in 3..9 {
        recorder.record(capture("a", number)).await.unwrap();
        tokio::task::yield_now().await;
    }
    sink.called(4).await;
    assert_eq!(sink.batches(), [1, 1, 1, 6]);
    assert!(started.elapsed() > Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_written_when_its_first_capture_has_waited_for_the_flush_interval() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config());
    let started = Instant::now();
    recorder.record(capture("a", 0)).await.unwrap();
    advance(Duration::from_millis(60)).await;
    recorder.record(capture("a", 1)).await.unwrap();
    assert_eq!(recorder.metrics().lag, Duration::from_millis(60));
    sink.called(1).await;
    assert_eq!(sink.batches(), [2]);
    let waited = started.elapsed();
    assert!((100..=102).contains(&waited.as_millis()), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_is_written_at_once() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_batch(3));
    let started = Instant::now();
    for number in 0..7 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(2).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    sink.called(3).await;
    assert_eq!(sink.batches(), [3, 3, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_fills_while_it_gathers_is_written_at_once() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_batch(3));
    let started = Instant::now();
    recorder.record(capture("a", 0)).await.unwrap();
    advance(Duration::from_millis(10)).await;
    recorder.record(capture("a", 1)).await.unwrap();
    recorder.record(capture("a", 2)).await.unwrap();
    sink.called(1).await;
    assert_eq!((started.elapsed().as_millis(), sink.batches()), (10, vec![3]));
}

#[tokio::test(start_paused = true)]
async fn a_queue_smaller_than_a_batch_does_not_wait_for_a_full_one() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_capacity(2).with_flush_interval(Duration::from_secs(3_600)));
    let started = Instant::now();
    for number in 0..6 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(2).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn clicks_are_written_in_order() {
    let sink = FakeSink::with_faults([Fault::unavailable(), Fault::None, Fault::unavailable()]);
    let recorder = start(&sink, config().with_batch(10));
    for number in 0..95 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!(sink.codes(), (0..95).map(|number| format!("a{number}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_retried_batch_is_the_same_clicks_with_the_same_ids() {
    let sink = FakeSink::with_faults([Fault::unavailable(), Fault::FailsAfterWriting, Fault::Hangs, Fault::Panics]);
    let recorder = start(&sink, config());
    for number in 0..3 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    let calls = sink.rows().calls.clone();
    assert_eq!(calls.len(), 5);
    assert!(calls.iter().all(|call| *call == calls[0]), "{calls:?}");
    assert_eq!(sink.codes(), ["a0", "a1", "a2"]);
    let metrics = recorder.metrics();
    assert_eq!((metrics.written, metrics.batches, metrics.retried, metrics.dead), (3, 1, 4, 0));
}

#[tokio::test(start_paused = true)]
async fn retries_pause_longer_and_longer_and_never_longer_than_the_limit() {
    let sink = FakeSink::with_plan(|call, _| if call < 40 { Fault::unavailable() } else { Fault::None });
    let recorder = start(&sink, config());
    recorder.record(capture("a", 0)).await.unwrap();
    sink.called(1).await;
    let mut pauses = Vec::new();
    for call in 2..=41 {
        let before = Instant::now();
        sink.called(call).await;
        pauses.push(before.elapsed());
    }
    assert!(pauses[0] <= Duration::from_millis(52), "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(5_002)), "{pauses:?}");
    assert!(pauses[10..].iter().max() > Some(&Duration::from_secs(3)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_given_up_after_the_write_timeout() {
    let sink = FakeSink::with_faults([Fault::Hangs]);
    let recorder = start(&sink, config().with_write_timeout(Duration::from_secs(2)));
    recorder.record(capture("a", 0)).await.unwrap();
    sink.called(1).await;
    let called = Instant::now();
    recorder.flush().await.unwrap();
    assert!(called.elapsed() >= Duration::from_secs(2) && called.elapsed() < Duration::from_millis(2_100));
    assert_eq!(sink.codes(), ["a0"]);
}

#[tokio::test(start_paused = true)]
async fn refused_clicks_become_dead_letters_and_all_others_are_written() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_batch(50));
    let is_bad = |number: &usize| [0, 7, 8, 49, 60].contains(number);
    for number in 0..100 {
        recorder.record(capture(if is_bad(&number) { "bad" } else { "a" }, number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    let good = (0..100).filter(|number| !is_bad(number));
    assert_eq!(sink.codes(), good.map(|number| format!("a{number}")).collect::<Vec<_>>());
    let letters = recorder.dead_letters();
    let codes: Vec<_> = letters.iter().map(|letter| letter.click.code.to_string()).collect();
    assert_eq!(codes, ["bad0", "bad7", "bad8", "bad49", "bad60"]);
    assert!(matches!(&letters[1].error, Error::Refused { reason, .. } if reason == "bad7"), "{:?}", letters[1]);
    assert!((6..=8).contains(&letters[1].tries), "{}", letters[1].tries);
    assert_eq!(recorder.take_dead_letters().len(), 5);
    assert!(recorder.dead_letters().is_empty());
    assert_eq!(recorder.metrics().dead, 5);
}

#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_halved_through_transient_errors() {
    let sink = FakeSink::with_plan(|call, _| if call % 3 == 1 { Fault::unavailable() } else { Fault::None });
    let recorder = start(&sink, config());
    for number in 0..64 {
        recorder.record(capture(if number == 40 { "bad" } else { "a" }, number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!((sink.codes().len(), recorder.metrics().dead), (63, 1));
    assert!(recorder.metrics().retried > 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_backend_gives_up_no_click() {
    let broken = [
        Fault::Fails(Error::Backend { backend: "fake", reason: "disk full".into(), source: None }),
        Fault::Fails(Error::Schema { backend: "fake", reason: "no table".into() }),
        Fault::Fails(Error::Closed { what: "fake" }),
        Fault::Panics,
    ];
    let sink = FakeSink::with_plan(move |call, _| if call < 40 { broken[call % 4].clone() } else { Fault::None });
    let recorder = start(&sink, config());
    for number in 0..10 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!((sink.codes().len(), recorder.metrics().dead, recorder.metrics().retried), (10, 0, 40));
}

#[tokio::test(start_paused = true)]
async fn the_oldest_dead_letters_give_way_and_are_counted() {
    let sink = FakeSink::new();
    let recorder = start(&sink, RecorderConfig { dead_letters: 2, ..config() });
    for number in 0..5 {
        recorder.record(capture("bad", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    let kept: Vec<_> = recorder.dead_letters().iter().map(|letter| letter.click.code.to_string()).collect();
    assert_eq!(kept, ["bad3", "bad4"]);
    assert_eq!((recorder.metrics().dead, recorder.metrics().dead_forgotten), (5, 3));
}

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_wait_for_the_flush_interval() {
    let sink = FakeSink::new();
    let recorder = start(&sink, config().with_flush_interval(Duration::from_secs(3_600)));
    recorder.flush().await.unwrap();
    for number in 0..3 {
        recorder.record(capture("a", number)).await.unwrap();
        let started = Instant::now();
        recorder.flush().await.unwrap();
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(sink.codes().len(), number + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_tell_what_waits_and_for_how_long() {
    let sink = FakeSink::with_faults([Fault::Hangs]);
    let recorder = start(&sink, config().with_batch(4));
    for number in 0..10 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    sink.called(1).await;
    advance(Duration::from_secs(3)).await;
    let metrics = recorder.metrics();
    assert_eq!((metrics.queued, metrics.in_flight, metrics.enqueued), (6, 4, 10));
    assert_eq!(metrics.lag, Duration::from_secs(3));
    recorder.flush().await.unwrap();
    let metrics = recorder.metrics();
    assert_eq!((metrics.queued, metrics.in_flight, metrics.lag), (0, 0, Duration::ZERO));
}
