//! The recorder against sinks that fail in every way a sink can.

mod delivery;
mod durable;
mod full_queue;
mod histories;
mod shutdown;
mod sinks;
mod spill;

use std::sync::Arc;

use chrono::DateTime;
use tokio::runtime::Handle;

use super::{Capture, Recorder, RecorderConfig};
use crate::Code;
use sinks::FakeSink;

fn start(sink: &Arc<FakeSink>, config: RecorderConfig) -> Recorder {
    Recorder::start(sink.clone(), config, &Handle::current()).unwrap()
}

/// A capture of the code `{name}{number}`; codes that begin with `bad` are refused by the sinks here.
fn capture(name: &str, number: usize) -> Capture<'static> {
    let at = DateTime::from_timestamp_millis(1_767_225_600_000).unwrap();
    Capture::new(Code::new(&format!("{name}{number}")).unwrap(), at)
}
