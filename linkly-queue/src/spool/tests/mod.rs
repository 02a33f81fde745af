//! The spool on disks and in front of stores that fail.

mod dead_letters;
mod delivery;
mod disk;
mod disk_faults;
mod limit;
mod power_loss;
mod salvage;
mod shutdown;
mod sinks;

use std::sync::Arc;
use std::time::Duration;

use linkly_core::chrono::Utc;
use linkly_core::{Click, ClickSink, Code, Result};

use super::queue::Shared;
use super::{Spool, SpoolConfig};
use disk::Disk;

/// A fault put in on purpose: the tests must notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sabotage {
    #[default]
    None,
    /// Callers are told before the commit.
    AcknowledgeBeforeCommit,
    /// Commits are not synced.
    WeakDurability,
    /// Clicks leave the file when they are read, before the store has answered.
    DeleteBeforeAnswer,
    /// After a failed sync the file is written on.
    TrustAfterFailedSync,
}

/// Nothing waits longer than a millisecond.
fn hasty() -> SpoolConfig {
    let brief = Duration::from_millis(1);
    SpoolConfig::default().with_interval(Duration::ZERO).with_backoff(brief, brief)
}

async fn open(disk: &Disk, sink: Arc<dyn ClickSink>, config: SpoolConfig) -> Result<Spool> {
    open_with(disk, sink, config, Sabotage::None).await
}

async fn open_with(disk: &Disk, sink: Arc<dyn ClickSink>, config: SpoolConfig, sabotage: Sabotage) -> Result<Spool> {
    Spool::start(Box::new(disk.clone()), sink, Shared::new(config, sabotage)).await
}

/// A click of the code `{name}{number}`.
fn click(name: &str, number: usize) -> Click {
    Click::new(Code::new(&format!("{name}{number}")).unwrap(), Utc::now())
}

fn clicks(name: &str, numbers: std::ops::Range<usize>) -> Vec<Click> {
    numbers.map(|number| click(name, number)).collect()
}
