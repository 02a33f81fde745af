//! Telling the cache, and the other nodes, what was written.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::warn;

use super::loader::{Loader, timed_out};
use crate::{Code, Result};

/// How often what was written through this engine is tried to be invalidated.
const TRIES: u32 = 3;
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

/// What is invalidated.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope<'a> {
    /// Some codes.
    These(&'a [Code]),
    /// All of them: the cache is cleared.
    All,
}

/// Invalidates what was written through this engine, tries that several times, and tells the other nodes. For those
/// who want to know what becomes of it; a write's caller does not, and waits for the [first try](first) alone.
pub(crate) async fn everywhere(loader: &Loader, scope: Scope<'_>) -> Result<()> {
    match first(loader, scope).await {
        Ok(()) => Ok(()),
        Err(_) => again(loader, scope).await,
    }
}

/// Tries it for the first time, and tells the other nodes: afterwards, so that what they load then is not what a cache
/// that they share has of before, and whatever came of it, since their own memory is theirs to drop. What the change
/// log reports they read for themselves.
pub(crate) async fn first(loader: &Loader, scope: Scope<'_>) -> Result<()> {
    if let Scope::These(codes) = scope {
        loader.counters.invalidations.add(codes.len() as u64);
    }
    let invalidated = once(loader, scope).await;
    announce(loader, scope);
    invalidated
}

/// Tries it again, after the first time has failed. The other nodes are told once more when it has succeeded, since
/// they may have loaded meanwhile what the cache that they share had of before.
///
/// When this fails too, the change log repeats it: its cursor does not pass a change that could not be invalidated.
pub(crate) async fn again(loader: &Loader, scope: Scope<'_>) -> Result<()> {
    let mut tries = 1;
    loop {
        sleep(FIRST_BACKOFF * tries).await;
        tries += 1;
        match once(loader, scope).await {
            Ok(()) => {
                announce(loader, scope);
                return Ok(());
            }
            Err(error) if tries == TRIES => return Err(error),
            Err(_) => {}
        }
    }
}

fn announce(loader: &Loader, scope: Scope<'_>) {
    match (&loader.channel, scope) {
        (Some(channel), Scope::These(codes)) => channel.announce(codes),
        (Some(channel), Scope::All) => channel.announce_all(),
        (None, _) => {}
    }
}

/// Invalidates without telling anybody else, tried once: for those who try again by themselves. Ends the joining of
/// loads that may have read what was there before.
pub(crate) async fn once(loader: &Loader, scope: Scope<'_>) -> Result<()> {
    let deadline = loader.config.write_timeout;
    let answer = match scope {
        Scope::These(codes) => {
            loader.detach(codes);
            let answer = timeout(deadline, loader.cache.invalidate(codes)).await;
            // Once more: a load that found the old entry in the cache until a moment ago may have begun since.
            loader.detach(codes);
            answer
        }
        Scope::All => {
            loader.detach_all();
            let answer = timeout(deadline, loader.cache.clear()).await;
            loader.detach_all();
            answer
        }
    };
    answer.unwrap_or_else(|_| Err(timed_out("the cache", deadline))).inspect_err(|error| {
        loader.counters.cache_errors.add(1);
        match scope {
            Scope::These(codes) => warn!(%error, codes = codes.len(), "the cache could not be invalidated"),
            Scope::All => warn!(%error, "the cache could not be cleared"),
        }
    })
}
