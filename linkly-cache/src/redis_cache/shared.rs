//! A call to all servers it concerns, under the name that the cache has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;
use linkly_core::{Code, Result};

use super::cluster::{Layout, Servers};
use super::error::Failure;
use super::node::Node;
use super::session::{Epoch, Scope, Session};

/// How often a call follows keys to another node.
const MOVES: usize = 3;
/// How often it goes again because somebody has cleared the cache.
const CLEARS: usize = 100;

#[derive(Debug)]
pub(super) struct Shared {
    servers: Servers,
    epoch_key: String,
    /// As it was when it was last heard of. One server holds it, and says with each call whether it still is so.
    epoch: Mutex<Option<Arc<Epoch>>>,
}

/// What one server said of a part of a call.
pub(super) struct Part<A> {
    /// Where in the call these items stood.
    pub(super) places: Vec<usize>,
    pub(super) answer: Result<A, Failure>,
}

impl Shared {
    pub(super) fn new(servers: Servers, epoch_key: String) -> Self {
        Self { servers, epoch_key, epoch: Mutex::default() }
    }

    /// How many servers are left out, since they did not answer.
    pub(super) fn left_out(&self) -> usize {
        self.servers.left_out()
    }

    /// Makes a call for each server that holds some of these items' codes, at once, and one to the server that holds
    /// the epoch in any case. Without that one's answer there is none.
    pub(super) async fn call<T, A, F>(
        &self,
        items: &[T],
        code: impl Fn(&T) -> &Code,
        call: impl Fn(Arc<Session>, Scope, Arc<[T]>) -> F,
    ) -> Result<Vec<Part<A>>>
    where
        T: Clone,
        F: Future<Output = Result<A, Failure>>,
    {
        let (mut moves, mut clears) = (0, 0);
        loop {
            let layout = self.servers.layout().await?;
            match self.attempt(&layout, items, &code, &call).await {
                Err(Failure::Renamed) if clears < CLEARS => clears += 1,
                Err(Failure::Moved(_, to)) if moves < MOVES => {
                    self.servers.forget(&layout, to);
                    moves += 1;
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// The same for the server alone that holds the epoch.
    pub(super) async fn call_holder<A, F>(&self, call: impl Fn(Arc<Session>, Scope) -> F) -> Result<A>
    where
        F: Future<Output = Result<A, Failure>>,
    {
        let mut parts = self.call(&[], |code| code, |session, scope, _| call(session, scope)).await?;
        match parts.pop() {
            Some(part) => Ok(part.answer?),
            None => Err(super::error::unexpected("a call to nobody")),
        }
    }

    async fn attempt<T, A, F>(
        &self,
        layout: &Arc<Layout>,
        items: &[T],
        code: impl Fn(&T) -> &Code,
        call: impl Fn(Arc<Session>, Scope, Arc<[T]>) -> F,
    ) -> Result<Vec<Part<A>>, Failure>
    where
        T: Clone,
        F: Future<Output = Result<A, Failure>>,
    {
        let holder = layout.owner(&self.epoch_key)?;
        let epoch = self.epoch(holder).await?;
        let mut parts = layout.split(items.iter().map(code))?;
        if !parts.iter().any(|(node, _)| Arc::ptr_eq(node, holder)) {
            parts.push((holder.clone(), Vec::new()));
        }
        let calls = parts.into_iter().map(|(node, places)| {
            let checked = Arc::ptr_eq(&node, holder);
            let scope = Scope { epoch: epoch.clone(), checked, keys: layout.keys };
            let some: Arc<[T]> = places.iter().map(|&at| items[at].clone()).collect();
            let call = &call;
            async move {
                let answer = node.call(|session| call(session, scope.clone(), some.clone())).await;
                (checked, Part { places, answer })
            }
        });
        let mut parts = Vec::new();
        for (checked, part) in join_all(calls).await {
            match part.answer {
                Err(Failure::Renamed) => {
                    self.forget(&epoch);
                    return Err(Failure::Renamed);
                }
                // Perhaps another is to take over.
                Err(Failure::Lost(_) | Failure::Late(_)) => self.servers.forget(layout, None),
                _ => {}
            }
            match part.answer {
                Err(failure) if checked || matches!(failure, Failure::Moved(..)) => return Err(failure),
                answer => parts.push(Part { answer, ..part }),
            }
        }
        Ok(parts)
    }

    async fn epoch(&self, holder: &Arc<Node>) -> Result<Arc<Epoch>, Failure> {
        if let Some(epoch) = &*self.lock() {
            return Ok(epoch.clone());
        }
        let epoch = Arc::new(holder.call(|session| async move { session.epoch().await }).await?);
        *self.lock() = Some(epoch.clone());
        Ok(epoch)
    }

    fn forget(&self, epoch: &Arc<Epoch>) {
        let mut known = self.lock();
        if known.as_ref().is_some_and(|known| Arc::ptr_eq(known, epoch)) {
            *known = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Epoch>>> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
