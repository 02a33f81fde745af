//! What is still to be sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The most messages that wait. Those beyond them get their number and are dropped, so that all who listen learn that
/// they have missed something.
const CAPACITY: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// With their numbers.
    waiting: VecDeque<(u64, Arc<[u8]>)>,
    /// The number of the last message, also of one that was dropped.
    last: u64,
}

pub(super) struct First {
    pub(super) messages: Vec<Arc<[u8]>>,
    /// The number that a heartbeat behind them may name.
    pub(super) last: u64,
    /// Whether those behind them were dropped.
    pub(super) is_before_a_gap: bool,
}

impl Outbox {
    /// Numbers messages and keeps them to be sent; how many there was no room for.
    pub(super) fn put<W: FnOnce(u64) -> Vec<u8>>(&self, messages: impl Iterator<Item = W>) -> u64 {
        let mut state = self.lock();
        let mut dropped = 0;
        for write in messages {
            state.last += 1;
            if state.waiting.len() < CAPACITY {
                let number = state.last;
                state.waiting.push_back((number, write(number).into()));
            } else {
                dropped += 1;
            }
        }
        drop(state);
        self.filled.notify_one();
        dropped
    }

    /// Returns when something waits.
    pub(super) async fn filled(&self) {
        while self.lock().waiting.is_empty() {
            self.filled.notified().await;
        }
    }

    /// The first messages, at most so many, which stay until they are [sent](Self::sent).
    pub(super) fn first(&self, most: usize) -> First {
        let state = self.lock();
        let messages: Vec<_> = state.waiting.iter().take(most).map(|(_, message)| message.clone()).collect();
        let last = match state.waiting.get(messages.len()) {
            Some((next, _)) => next - 1,
            None => state.last,
        };
        let sent = messages.len().checked_sub(1).and_then(|at| state.waiting.get(at)).map(|(number, _)| *number);
        First { messages, last, is_before_a_gap: sent.is_some_and(|sent| sent < last) }
    }

    /// The first messages were sent.
    pub(super) fn sent(&self, count: usize) {
        self.lock().waiting.drain(..count);
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(outbox: &Outbox, count: usize) -> u64 {
        outbox.put((0..count).map(|_| |number: u64| number.to_be_bytes().to_vec()))
    }

    /// The numbers of the first messages, the last that a heartbeat may name, and whether there is a gap.
    fn first(outbox: &Outbox, most: usize) -> (Vec<u64>, u64, bool) {
        let First { messages, last, is_before_a_gap } = outbox.first(most);
        let numbers = messages.iter().map(|bytes| u64::from_be_bytes(bytes[..].try_into().unwrap()));
        (numbers.collect(), last, is_before_a_gap)
    }

    #[test]
    fn messages_are_numbered_and_stay_until_they_are_sent() {
        let outbox = Outbox::default();
        assert_eq!(first(&outbox, 10), (vec![], 0, false));
        put(&outbox, 3);
        assert_eq!(first(&outbox, 2), (vec![1, 2], 2, false));
        assert_eq!(first(&outbox, 2), (vec![1, 2], 2, false));
        outbox.sent(2);
        assert_eq!(first(&outbox, 2), (vec![3], 3, false));
    }

    #[test]
    fn what_there_is_no_room_for_leaves_a_gap() {
        let (outbox, capacity) = (Outbox::default(), CAPACITY as u64);
        assert_eq!(put(&outbox, CAPACITY + 5), 5);
        assert_eq!(outbox.len(), CAPACITY);
        assert_eq!(first(&outbox, 2), (vec![1, 2], 2, false));
        outbox.sent(CAPACITY - 1);
        assert_eq!(first(&outbox, 2), (vec![capacity], capacity + 5, true));
        put(&outbox, 1);
        assert_eq!(first(&outbox, 1), (vec![capacity], capacity + 5, true), "those between were dropped");
        outbox.sent(2);
        assert_eq!(first(&outbox, 2), (vec![], capacity + 6, false));
    }
}
