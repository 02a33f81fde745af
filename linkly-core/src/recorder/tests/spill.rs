//! A second sink for what the first has no time for.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};

use super::capture;
use super::sinks::{FakeSink, Fault};
use crate::{Acknowledge, Overflow, Recorder, RecorderConfig};

fn config() -> RecorderConfig {
    RecorderConfig::default().with_capacity(8).with_batch(4).with_overflow(Overflow::Spill)
}

fn start(sink: &Arc<FakeSink>, spill: &Arc<FakeSink>, config: RecorderConfig) -> Recorder {
    Recorder::start_with_spill(sink.clone(), spill.clone(), config, &Handle::current()).unwrap()
}

/// The codes that came to either sink.
fn codes(sinks: [&FakeSink; 2]) -> HashSet<String> {
    sinks.into_iter().flat_map(FakeSink::codes).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_well_gets_everything() {
    let (sink, spill) = (FakeSink::new(), FakeSink::new());
    let recorder = start(&sink, &spill, config());
    for number in 0..100 {
        recorder.record(capture("a", number)).await.unwrap();
        if number % 3 == 0 {
            recorder.flush().await.unwrap();
        }
    }
    recorder.flush().await.unwrap();
    assert_eq!((sink.codes().len(), recorder.metrics().spilled), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn callers_do_not_wait_for_a_sink_that_hangs_or_is_away() {
    for fault in [Fault::Hangs, Fault::unavailable()] {
        let sink = FakeSink::with_plan(move |_, _| fault.clone());
        let spill = FakeSink::new();
        let recorder = start(&sink, &spill, config());
        let started = Instant::now();
        for number in 0..1_000 {
            recorder.record(capture("a", number)).await.unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
        let report = recorder.shutdown(Duration::from_secs(1)).await;
        assert_eq!((report.written, report.spilled, report.not_written), (0, 1_000, 0));
        assert_eq!(spill.codes().len(), 1_000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_click_of_a_call_that_was_dropped_keeps_its_id() {
    let sink = FakeSink::with_plan(|_, _| Fault::Hangs);
    let spill = FakeSink::new();
    let recorder = start(&sink, &spill, config());
    for number in 0..12 {
        recorder.record(capture("a", number)).await.unwrap();
        sink.called(1).await;
    }
    recorder.shutdown(Duration::from_secs(1)).await;
    let spilled: HashSet<_> = spill.rows().calls.concat().into_iter().collect();
    assert_eq!(spilled.len(), 12);
    assert!(sink.rows().calls.concat().iter().all(|id| spilled.contains(id)));
}

#[tokio::test(start_paused = true)]
async fn with_room_again_the_first_sink_gets_the_clicks() {
    let sink = FakeSink::with_faults(vec![Fault::unavailable(); 3]);
    let spill = FakeSink::new();
    let recorder = start(&sink, &spill, config());
    for number in 0..200 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    let before = sink.codes().len();
    recorder.record(capture("b", 0)).await.unwrap();
    recorder.flush().await.unwrap();
    assert!(sink.has("b0") && sink.codes().len() == before + 1);
    assert_eq!(codes([&sink, &spill]).len(), 201);
}

#[tokio::test(start_paused = true)]
async fn while_neither_sink_is_well_callers_wait_and_nothing_is_lost() {
    let sink = FakeSink::with_faults(vec![Fault::unavailable(); 40]);
    let spill = FakeSink::with_faults(vec![Fault::unavailable(); 40]);
    let recorder = start(&sink, &spill, config());
    for number in 0..100 {
        recorder.record(capture("a", number)).await.unwrap();
    }
    recorder.flush().await.unwrap();
    assert_eq!(codes([&sink, &spill]).len(), 100);
    let metrics = recorder.metrics();
    assert_eq!((metrics.written + metrics.spilled, metrics.dropped), (100, 0));
}

#[tokio::test(start_paused = true)]
async fn a_durable_click_is_acknowledged_by_the_second_sink_and_refused_ones_are_dead_letters() {
    let (sink, spill) = (FakeSink::with_faults(vec![Fault::Hangs; 2]), FakeSink::new());
    let config = config().with_capacity(2).with_acknowledge(Acknowledge::Durable);
    let recorder = start(&sink, &spill, config);
    let clicks = (0..8).map(|number| {
        let recorder = recorder.clone();
        let name = if number == 5 { "bad" } else { "a" };
        tokio::spawn(async move { recorder.record(capture(name, number)).await })
    });
    let clicks: Vec<_> = clicks.collect();
    for (number, click) in clicks.into_iter().enumerate() {
        let outcome = timeout(Duration::from_secs(60), click).await.unwrap().unwrap();
        assert_eq!(outcome.is_err(), number == 5, "{number}: {outcome:?}");
    }
    assert_eq!(recorder.dead_letters().len(), 1);
    assert_eq!(codes([&sink, &spill]).len(), 7);
    assert!(recorder.metrics().spilled > 0);
}

#[tokio::test]
async fn a_spill_needs_somewhere_to_spill_to() {
    let (sink, runtime) = (FakeSink::new(), Handle::current());
    let missing = Recorder::start(sink.clone(), config(), &runtime).unwrap_err();
    let unused = Recorder::start_with_spill(sink.clone(), sink, RecorderConfig::default(), &runtime).unwrap_err();
    for error in [missing, unused] {
        assert!(error.is_invalid_input() && error.to_string().contains("overflow"), "{error}");
    }
}
