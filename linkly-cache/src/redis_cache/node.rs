//! A server: connected when it is first needed, connected to again when the connection is lost, and left out
//! while it does not answer.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linkly_core::{Error, Result};
use redis::Client;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::debug;

use super::breaker::Breaker;
use super::config::RedisConfig;
use super::error::{self, Failure};
use super::session::Session;

pub(super) struct Node {
    address: String,
    client: Client,
    config: RedisConfig,
    state: Mutex<State>,
    breaker: Breaker,
}

enum State {
    Closed,
    /// In a task of its own, since no caller waits as long as connecting may take.
    Opening(Opening),
    Open(Arc<Session>),
}

type Opening = watch::Receiver<Option<Result<Arc<Session>>>>;

impl Node {
    pub(super) fn new(client: &Client, config: RedisConfig) -> Result<Self> {
        config.check()?;
        let info = client.get_connection_info().clone();
        let address = info.addr().to_string();
        // Off by default, which would hold back each small command until the one before is acknowledged.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(error::map)?;
        Ok(Self { address, client, config, state: Mutex::new(State::Closed), breaker: Breaker::default() })
    }

    /// Lets a call go, within its deadline: again over a new connection when the one it went over is lost, and
    /// again when the cache was cleared meanwhile. Every call may be made twice.
    pub(super) async fn call<T, F>(self: &Arc<Self>, call: impl Fn(Arc<Session>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        if !self.breaker.admits() {
            return Err(Error::unavailable(error::BACKEND, "it did not answer; tried again shortly"));
        }
        let deadline = self.config.timeout();
        let outcome = timeout(deadline, self.attempts(call)).await;
        match outcome.unwrap_or_else(|_| Err(Failure::Late(error::late(deadline)))) {
            Ok(answer) => {
                self.breaker.succeeded(&self.address);
                Ok(answer)
            }
            Err(Failure::Refused(error)) => {
                self.breaker.succeeded(&self.address);
                Err(error)
            }
            Err(Failure::Lost(error)) => {
                self.breaker.failed(&self.address);
                Err(error)
            }
            Err(Failure::Late(error)) => {
                self.breaker.failed(&self.address);
                self.close(None);
                Err(error)
            }
            Err(Failure::Renamed) => Err(error::unexpected("the cache is cleared again and again")),
        }
    }

    async fn attempts<T, F>(self: &Arc<Self>, call: impl Fn(Arc<Session>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut lost_one = false;
        loop {
            let session = self.session().await.map_err(Failure::Lost)?;
            match call(session.clone()).await {
                Err(Failure::Lost(error)) => {
                    self.close(Some(&session));
                    if lost_one {
                        return Err(Failure::Lost(error));
                    }
                    debug!(server = self.address, %error, "the connection was lost; connecting again");
                    lost_one = true;
                }
                Err(Failure::Renamed) => self.rename(&session),
                outcome => return outcome,
            }
        }
    }

    async fn session(self: &Arc<Self>) -> Result<Arc<Session>> {
        let mut opening = {
            let mut state = self.lock();
            match &*state {
                State::Open(session) => return Ok(session.clone()),
                State::Opening(opening) => opening.clone(),
                State::Closed => {
                    let opening = self.open(None)?;
                    *state = State::Opening(opening.clone());
                    opening
                }
            }
        };
        if let Ok(outcome) = opening.wait_for(Option::is_some).await
            && let Some(outcome) = &*outcome
        {
            return outcome.clone();
        }
        // The task went with its runtime.
        let mut state = self.lock();
        if matches!(&*state, State::Opening(now) if now.same_channel(&opening)) {
            *state = State::Closed;
        }
        Err(Error::unavailable(error::BACKEND, "the runtime that connected is shut down"))
    }

    /// Connects, or has the connection of `known` take the name that the cache has now.
    fn open(self: &Arc<Self>, known: Option<Arc<Session>>) -> Result<Opening> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::invalid("runtime", "a Redis cache is called from within a Tokio runtime"))?;
        let (sender, opening) = watch::channel(None);
        let node = self.clone();
        runtime.spawn(async move {
            let session = async {
                match known {
                    Some(session) => session.renamed().await,
                    None => Session::open(&node.client, &node.config).await,
                }
            };
            let deadline = node.config.connect_timeout();
            let outcome = match timeout(deadline, session).await {
                Ok(Ok(session)) => Ok(Arc::new(session)),
                Ok(Err(Failure::Lost(error) | Failure::Late(error) | Failure::Refused(error))) => Err(error),
                Ok(Err(Failure::Renamed)) => Err(error::unexpected("a new connection has no name yet")),
                Err(_) => Err(error::late(deadline)),
            };
            *node.lock() = outcome.as_ref().map_or(State::Closed, |session| State::Open(session.clone()));
            sender.send_replace(Some(outcome));
        });
        Ok(opening)
    }

    fn rename(self: &Arc<Self>, old: &Arc<Session>) {
        let mut state = self.lock();
        if matches!(&*state, State::Open(session) if Arc::ptr_eq(session, old)) {
            *state = self.open(Some(old.clone())).map_or(State::Closed, State::Opening);
        }
    }

    /// Gives up this connection, or whichever there is.
    fn close(&self, which: Option<&Arc<Session>>) {
        let mut state = self.lock();
        if matches!(&*state, State::Open(session) if which.is_none_or(|which| Arc::ptr_eq(session, which))) {
            *state = State::Closed;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the password that the client has.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .field("prefix", &self.config.prefix)
            .field("left_out", &self.breaker.is_open())
            .finish_non_exhaustive()
    }
}
