//! The task that brings the clicks to the store: one batch after the other, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use linkly_core::chrono::Utc;
use linkly_core::{Backoff, Click, ClickSink, Delivered, Delivery};
use tokio::time::{Instant, timeout, timeout_at};

use super::file::Chunks;
use super::queue::Shared;
use crate::DeadLetter;

/// Runs until the spool is closed and everything in it was delivered, or it is ended.
pub(super) fn run(shared: Arc<Shared>, sink: Arc<dyn ClickSink>) -> impl Future<Output = ()> + Send {
    // Also when the runtime is shut down under this task, or before it: nobody may wait for it then.
    let end = EndOnDrop(shared);
    async move {
        let shared = &*end.0;
        let from = shared.lock().settled;
        let mut feed = Feed { shared, waiting: VecDeque::new(), read: from, began: None };
        while let Some(batch) = feed.next().await {
            #[cfg(test)]
            if shared.sabotage == super::tests::Sabotage::DeleteBeforeAnswer {
                let end = batch.ends[batch.ends.len() - 1];
                shared.lock().settle(end, None);
                // The thread commits before it reads.
                _ = shared.read_file(end, 1).await;
            }
            deliver(shared, &*sink, &batch).await;
        }
    }
}

struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.lock().delivery_ended = true;
        self.0.progress.notify_waiters();
    }
}

/// Clicks that are settled together, and the numbers behind each of them.
struct Batch {
    clicks: Vec<Click>,
    ends: Vec<u64>,
}

/// Settles every click of a batch.
async fn deliver(shared: &Shared, sink: &dyn ClickSink, batch: &Batch) {
    let config = &shared.config;
    let mut backoff = Backoff::new(config.first_backoff, config.most_backoff);
    let mut delivery = Delivery::new(sink, &batch.clicks, config.write_timeout);
    let mut done = 0;
    while let Some(delivered) = delivery.next().await {
        match delivered {
            Delivered::Written(count) => {
                done += count;
                backoff.reset();
                let mut state = shared.lock();
                state.counts.delivered += count as u64;
                state.counts.batches += 1;
                state.settle(batch.ends[done - 1], None);
            }
            Delivered::Dead(letter) => {
                done += 1;
                let letter = DeadLetter::new(letter.click, letter.error.to_string(), letter.tries, Utc::now());
                let mut state = shared.lock();
                state.counts.dead += 1;
                state.settle(batch.ends[done - 1], Some(letter));
            }
            _ => {
                shared.lock().counts.retried += 1;
                pause(shared, &mut backoff).await;
                continue;
            }
        }
        shared.wake_thread();
        shared.progress.notify_waiters();
    }
}

/// Waits before a retry; a shutdown has less patience.
async fn pause(shared: &Shared, backoff: &mut Backoff) {
    let closed = shared.lock().closed;
    let limit = if closed { super::MOST_CLOSING_BACKOFF } else { std::time::Duration::MAX };
    let pause = backoff.pause_within(limit);
    let closing = shared.until(|state| (state.closed && !closed).then_some(()));
    // Elapsed, or the spool is to end and there may be no time to wait.
    _ = timeout(pause, closing).await;
}

/// Reads ahead of what is delivered.
struct Feed<'a> {
    shared: &'a Shared,
    /// Read and not delivered, each with the number behind it and when it was taken in.
    waiting: VecDeque<(Click, u64, u64)>,
    /// Number behind the last click that was read.
    read: u64,
    /// When the last batch began.
    began: Option<Instant>,
}

impl Feed<'_> {
    /// The next batch, which is not empty; `None` when there will be none any more.
    async fn next(&mut self) -> Option<Batch> {
        let batch = self.shared.config.batch;
        self.shared.lock().oldest_at = self.waiting.front().map(|(_, _, at)| *at);
        loop {
            self.gather().await?;
            self.fill().await?;
            // Again where none of what there was can be read.
            if !self.waiting.is_empty() {
                break;
            }
        }
        self.began = Some(Instant::now());
        let taken = self.waiting.drain(..batch.min(self.waiting.len()));
        let mut made = Batch { clicks: Vec::with_capacity(taken.len()), ends: Vec::with_capacity(taken.len()) };
        let mut oldest = None;
        for (click, end, at) in taken {
            oldest.get_or_insert(at);
            made.clicks.push(click);
            made.ends.push(end);
        }
        self.shared.lock().oldest_at = oldest;
        Some(made)
    }

    /// Reads until there is enough for a batch, or no more.
    async fn fill(&mut self) -> Option<()> {
        let batch = self.shared.config.batch;
        let mut backoff = Backoff::new(self.shared.config.first_backoff, self.shared.config.most_backoff);
        while self.waiting.len() < batch && self.read < self.shared.lock().next {
            match self.shared.read(self.read, batch - self.waiting.len()).await {
                Ok(chunks) => self.take(chunks),
                // The file failed; what was read of it before can go on.
                Err(_) if !self.waiting.is_empty() => break,
                Err(error) if self.shared.lock().file_closed => {
                    tracing::debug!(error = &error as &(dyn std::error::Error + 'static), "the spool was closed");
                    return None;
                }
                Err(error) => {
                    tracing::error!(
                        error = &error as &(dyn std::error::Error + 'static),
                        "cannot read clicks from the spool, will try again"
                    );
                    pause(self.shared, &mut backoff).await;
                }
            }
        }
        Some(())
    }

    /// Waits until there is enough for a batch, or it is time for what there is.
    async fn gather(&self) -> Option<()> {
        let config = &self.shared.config;
        loop {
            let wait_until = {
                let state = self.shared.lock();
                let behind = state.next.saturating_sub(self.read) as usize + self.waiting.len();
                if behind == 0 {
                    if state.is_drained(self.read) || state.file_closed {
                        return None;
                    }
                    None
                } else {
                    let due = self.began.map(|began| began + config.interval);
                    let due = due.filter(|due| *due > Instant::now());
                    if behind >= config.batch || state.closed || state.settled < state.hurry || due.is_none() {
                        return Some(());
                    }
                    due
                }
            };
            match wait_until {
                None => self.shared.arrived.notified().await,
                // Elapsed or woken, the state tells what to do.
                Some(until) => _ = timeout_at(until, self.shared.arrived.notified()).await,
            }
        }
    }

    fn take(&mut self, chunks: Chunks) {
        for chunk in chunks.chunks {
            let ends = chunk.first + 1..;
            self.waiting.extend(chunk.clicks.into_iter().zip(ends).map(|(click, end)| (click, end, chunk.at)));
        }
        self.read = chunks.until;
        if let Some((_, end, _)) = self.waiting.back_mut() {
            // With the last click all that is passed over behind it is settled.
            *end = self.read;
        }
        if chunks.unreadable.is_empty() && !self.waiting.is_empty() {
            return;
        }
        {
            let mut state = self.shared.lock();
            if !chunks.unreadable.is_empty() {
                tracing::error!(frames = chunks.unreadable.len(), "frames of the spool cannot be read, they are kept");
                state.pass_over(chunks.unreadable);
            }
            if self.waiting.is_empty() {
                // Nothing before this is left to settle.
                state.settle(self.read, None);
            }
        }
        self.shared.wake_thread();
        self.shared.progress.notify_waiters();
    }
}
