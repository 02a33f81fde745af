//! Links with `max_clicks`: each redirect is granted by the store before it is answered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::breaker::Breaker;
use super::loader::Loader;
use crate::{Code, Error, Result, Use};

type Waiter = oneshot::Sender<Result<bool>>;

/// Asks the store for redirects, one call at a time for each link, for all who wait.
///
/// Fails closed: an error is no grant. A grant is lost only when the store's answer is, or when its click
/// cannot be recorded, so a link never redirects more often than its limit, and exactly as often unless
/// one was lost.
#[derive(Debug)]
pub(crate) struct Reservations {
    loader: Arc<Loader>,
    /// Its own: where the store's one writer is held, its readers go on.
    breaker: Breaker,
    runtime: Handle,
    /// The waiters of each link with a call on its way.
    waiting: Mutex<HashMap<(Code, Uuid), Vec<Waiter>>>,
}

impl Reservations {
    pub(crate) fn new(loader: Arc<Loader>, runtime: Handle) -> Self {
        Self { loader, breaker: Breaker::default(), runtime, waiting: Mutex::default() }
    }

    /// Whether one more redirect is granted.
    ///
    /// # Cancel safety
    ///
    /// What is granted to a caller that went away goes to another who waits, or is lost.
    pub(crate) async fn reserve(self: &Arc<Self>, code: Code, id: Uuid) -> Result<bool> {
        let (waiter, granted) = oneshot::channel();
        let key = (code, id);
        let is_idle = match self.lock().entry(key.clone()) {
            Entry::Occupied(mut on_its_way) => {
                on_its_way.get_mut().push(waiter);
                false
            }
            Entry::Vacant(idle) => {
                idle.insert(vec![waiter]);
                true
            }
        };
        if is_idle {
            // Made here: a runtime that ends before it has run the task must not leave the link waiting either.
            let guard = Abandon { reservations: self.clone(), key: Some(key.clone()) };
            self.runtime.spawn(self.clone().run(key, guard));
        }
        granted.await.unwrap_or_else(|_| Err(Error::unavailable("the store", "the reservation was lost")))
    }

    async fn run(self: Arc<Self>, key: (Code, Uuid), mut guard: Abandon) {
        while let Some(waiters) = self.take(&key) {
            let asked = u32::try_from(waiters.len()).unwrap_or(u32::MAX);
            match self.consume(&key, asked).await {
                Ok(granted) => hand_out(waiters, granted),
                Err(error) => waiters.into_iter().for_each(|waiter| drop(waiter.send(Err(error.clone())))),
            }
        }
        guard.key = None;
    }

    /// Those who wait now and are still there; none, and the link is idle again.
    fn take(&self, key: &(Code, Uuid)) -> Option<Vec<Waiter>> {
        let mut waiting = self.lock();
        let mut waiters = std::mem::take(waiting.get_mut(key)?);
        waiters.retain(|waiter| !waiter.is_closed());
        if waiters.is_empty() {
            waiting.remove(key);
            return None;
        }
        Some(waiters)
    }

    async fn consume(&self, (code, id): &(Code, Uuid), asked: u32) -> Result<u32> {
        if !self.breaker.admits(self.loader.clock.tick()) {
            return Err(Error::unavailable("the store", "it failed several times in a row; tried again shortly"));
        }
        let uses = [Use::new(code.clone(), *id, asked)];
        let consumed = self.loader.in_time(self.loader.store.consume(&uses)).await;
        let result = consumed.map(|granted| granted.first().copied().unwrap_or(0));
        match &result {
            Ok(_) => self.breaker.succeeded(),
            Err(error) if error.is_transient() => self.breaker.failed(self.loader.clock.tick()),
            Err(_) => {}
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Code, Uuid), Vec<Waiter>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those who came first are granted; a grant whose waiter has gone passes to the next.
fn hand_out(waiters: Vec<Waiter>, mut granted: u32) {
    for waiter in waiters {
        let grant = granted > 0;
        if waiter.send(Ok(grant)).is_ok() && grant {
            granted -= 1;
        }
    }
}

/// A link whose waiters are answered with an error when the task that asks for them ends early: the store panicked, or
/// the runtime ended.
struct Abandon {
    reservations: Arc<Reservations>,
    key: Option<(Code, Uuid)>,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.reservations.lock().remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_whose_waiter_has_gone_passes_to_the_next() {
        let (first, gone) = oneshot::channel();
        let (second, mut waits) = oneshot::channel();
        let (third, mut refused) = oneshot::channel();
        drop(gone);
        hand_out(vec![first, second, third], 1);
        assert!(waits.try_recv().unwrap().unwrap());
        assert!(!refused.try_recv().unwrap().unwrap());
    }
}
