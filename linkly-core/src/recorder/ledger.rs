//! What became of each click: every one that was taken in is settled once.

use std::sync::Arc;

use tokio::time::Instant;

use super::capture::Chunk;
use super::enrich::Enricher;
use super::group::Outcome;
use super::queue::{Batch, InFlight, Shared, State};
use super::{RecorderMetrics, RecorderReport};
use crate::{Click, DeadLetter, Error, Result};

/// The counts that are not the queue's.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ledger {
    pub(super) written: u64,
    pub(super) spilled: u64,
    pub(super) batches: u64,
    pub(super) retried: u64,
    pub(super) dropped: u64,
    pub(super) dead: u64,
}

/// The recorder has come to its end, and nothing that its task still does counts.
#[derive(Debug)]
pub(super) struct Ended;

impl InFlight {
    fn len(&self) -> usize {
        match &self.batch {
            Batch::Raw(chunk) => chunk.len(),
            Batch::Clicks(clicks) => clicks.len(),
        }
    }
}

impl Shared {
    /// The batch in flight has become clicks. If the recorder has ended before, these must not be
    /// written: the report has the same captures under other ids.
    pub(super) fn enriched(&self, clicks: &Arc<Vec<Click>>, chunk: Arc<Chunk>) -> Result<(), Ended> {
        self.lock().in_flight.as_mut().ok_or(Ended)?.batch = Batch::Clicks(Arc::clone(clicks));
        if let Some(chunk) = Arc::into_inner(chunk) {
            self.reuse(chunk);
        }
        Ok(())
    }

    /// The next `count` clicks of the batch in flight were written.
    pub(super) fn written(&self, count: usize) -> Result<(), Ended> {
        self.settle(count, |state| {
            state.ledger.written += count as u64;
            state.ledger.batches += 1;
        })
    }

    /// The next `count` clicks of the batch in flight went to the second sink.
    pub(super) fn spilled(&self, count: usize) -> Result<(), Ended> {
        self.settle(count, |state| {
            state.ledger.spilled += count as u64;
            state.ledger.batches += 1;
        })
    }

    /// The next click of the batch in flight was refused for good.
    pub(super) fn dead(&self, letter: DeadLetter) -> Result<(), Ended> {
        self.settle(1, |state| {
            state.ledger.dead += 1;
            if let Some(in_flight) = &mut state.in_flight {
                in_flight.dead.push((in_flight.settled, letter.error.clone()));
            }
            state.dead_letters.push(letter);
        })
    }

    fn settle(&self, count: usize, enter: impl FnOnce(&mut State)) -> Result<(), Ended> {
        let mut state = self.lock();
        if state.ending {
            return Err(Ended);
        }
        enter(&mut state);
        let done = state.in_flight.take_if(|batch| {
            batch.settled += count;
            batch.settled >= batch.len()
        });
        drop(state);
        if let Some(InFlight { settled, dead, group: Some(group), .. }) = done {
            group.resolve(Outcome { settled, dead });
        }
        self.progress.notify_waiters();
        Ok(())
    }

    /// A call of the sink failed and will be made again.
    pub(super) fn retried(&self) {
        self.lock().ledger.retried += 1;
    }

    /// Waits until the first `enqueued` captures that were taken in are settled.
    pub(super) async fn settled(&self, enqueued: u64) -> Result<()> {
        loop {
            // Made before the look at the state: it misses no notification from here on.
            let progress = self.progress.notified();
            {
                let state = self.lock();
                if state.ledger.written + state.ledger.spilled + state.ledger.dead >= enqueued {
                    return Ok(());
                }
                if state.ending {
                    return Err(Error::unavailable(super::NAME, "it ended before all clicks were known to be written"));
                }
            }
            progress.await;
        }
    }

    /// Waits for the end, and returns the report.
    pub(super) async fn ended(&self) -> Arc<RecorderReport> {
        loop {
            // Made before the look at the state: it misses no notification from here on.
            let progress = self.progress.notified();
            if let Some(report) = &self.lock().report {
                return Arc::clone(report);
            }
            progress.await;
        }
    }

    /// Ends the recorder as it is: what is not settled by now is reported as not written. Whoever comes
    /// first does it.
    pub(super) fn end(&self) {
        let (in_flight, chunks, ledger) = {
            let mut state = self.lock();
            if std::mem::replace(&mut state.ending, true) {
                return;
            }
            state.closed = true;
            state.queued = 0;
            let mut chunks: Vec<_> = state.full.drain(..).collect();
            chunks.push(std::mem::replace(&mut state.filling, Chunk::new()));
            (state.in_flight.take(), chunks, state.ledger)
        };
        // The task's own may be in use, on another thread.
        let mut enricher = Enricher::new(self.config.visitor_hash.clone());
        let mut unwritten = Vec::new();
        let mut groups = Vec::new();
        if let Some(InFlight { batch, settled, dead, group, .. }) = in_flight {
            match batch {
                Batch::Clicks(clicks) => unwritten.extend_from_slice(&clicks[settled..]),
                Batch::Raw(chunk) => unwritten.append(&mut enricher.clicks(&chunk)),
            }
            groups.extend(group.map(|group| (group, Outcome { settled, dead })));
        }
        for mut chunk in chunks {
            unwritten.append(&mut enricher.clicks(&chunk));
            groups.extend(chunk.take_group().map(|group| (group, Outcome { settled: 0, dead: Vec::new() })));
        }
        let not_written = unwritten.len() as u64;
        if not_written > 0 {
            tracing::error!(
                clicks = not_written,
                "the click recorder ended with clicks that are not known to be written"
            );
        }
        let Ledger { written, spilled, dropped, dead, .. } = ledger;
        let report = RecorderReport { written, spilled, not_written, dropped, dead, unwritten };
        self.lock().report = Some(Arc::new(report));
        for (group, outcome) in groups {
            group.resolve(outcome);
        }
        self.room.notify_waiters();
        self.progress.notify_waiters();
    }

    pub(super) fn metrics(&self) -> RecorderMetrics {
        let state = self.lock();
        let waiting = state.full.front().or((state.filling.len() > 0).then_some(&state.filling));
        let oldest = state.in_flight.as_ref().map(|batch| batch.since).or(waiting.map(|chunk| chunk.since));
        RecorderMetrics {
            queued: state.queued,
            in_flight: state.in_flight.as_ref().map_or(0, |batch| batch.len() - batch.settled),
            lag: oldest.map(|since| Instant::now().duration_since(since)).unwrap_or_default(),
            blocked: self.blocked(),
            enqueued: state.enqueued,
            written: state.ledger.written,
            spilled: state.ledger.spilled,
            batches: state.ledger.batches,
            retried: state.ledger.retried,
            dropped: state.ledger.dropped,
            dead: state.ledger.dead,
            dead_forgotten: state.dead_letters.forgotten,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, Code, RecorderConfig};

    #[tokio::test(start_paused = true)]
    async fn captures_that_became_clicks_after_the_end_are_not_written() {
        let shared = Shared::new(RecorderConfig::default());
        shared.push(Capture::new(Code::new("a").unwrap(), chrono::Utc::now()));
        let chunk = shared.next().await.unwrap();
        let clicks = Arc::new(Enricher::new(None).clicks(&chunk));
        shared.end();
        // The report has this capture under another id: written too, it would count twice.
        assert!(shared.enriched(&clicks, chunk).is_err());
        assert_eq!(shared.ended().await.not_written, 1);
    }
}
