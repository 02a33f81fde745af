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
    in_cluster: bool,
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
    pub(super) fn new(client: &Client, config: &RedisConfig, in_cluster: bool) -> Result<Self> {
        let info = client.get_connection_info().clone();
        let address = info.addr().to_string();
        // Off by default, which would hold back each small command until the one before is acknowledged.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(error::map)?;
        let (config, state) = (config.clone(), Mutex::new(State::Closed));
        Ok(Self { address, client, config, in_cluster, state, breaker: Breaker::default() })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn is_left_out(&self) -> bool {
        self.breaker.is_open()
    }

    /// Lets a call go, within its deadline, and again over a new connection when the one it went over is lost.
    /// Every call may be made twice.
    pub(super) async fn call<T, F>(self: &Arc<Self>, call: impl Fn(Arc<Session>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        if !self.breaker.admits() {
            let reason = "it did not answer; tried again shortly";
            return Err(Failure::Refused(Error::unavailable(error::BACKEND, reason)));
        }
        let deadline = self.config.timeout();
        let outcome = timeout(deadline, self.attempts(call)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(Failure::Late(error::late(deadline))));
        match &outcome {
            Err(Failure::Lost(_)) => self.breaker.failed(&self.address),
            Err(Failure::Late(_)) => {
                self.breaker.failed(&self.address);
                self.close(None);
            }
            Ok(_) | Err(_) => self.breaker.succeeded(&self.address),
        }
        outcome
    }

    async fn attempts<T, F>(self: &Arc<Self>, call: impl Fn(Arc<Session>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let session = self.session().await.map_err(Failure::Lost)?;
        let error = match call(session.clone()).await {
            Err(Failure::Lost(error)) => error,
            outcome => return outcome,
        };
        debug!(server = self.address, %error, "the connection was lost; connecting again");
        self.close(Some(&session));
        let session = self.session().await.map_err(Failure::Lost)?;
        let outcome = call(session.clone()).await;
        if let Err(Failure::Lost(_)) = outcome {
            self.close(Some(&session));
        }
        outcome
    }

    async fn session(self: &Arc<Self>) -> Result<Arc<Session>> {
        let mut opening = {
            let mut state = self.lock();
            match &*state {
                State::Open(session) => return Ok(session.clone()),
                State::Opening(opening) => opening.clone(),
                State::Closed => {
                    let opening = self.open()?;
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

    fn open(self: &Arc<Self>) -> Result<Opening> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::invalid("runtime", "a Redis cache is called from within a Tokio runtime"))?;
        let (sender, opening) = watch::channel(None);
        let node = self.clone();
        runtime.spawn(async move {
            let deadline = node.config.connect_timeout();
            let session = Session::open(&node.client, &node.config, node.in_cluster);
            let outcome = match timeout(deadline, session).await {
                Ok(session) => session.map(Arc::new).map_err(Error::from),
                Err(_) => Err(error::late(deadline)),
            };
            *node.lock() = outcome.as_ref().map_or(State::Closed, |session| State::Open(session.clone()));
            sender.send_replace(Some(outcome));
        });
        Ok(opening)
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
            .field("left_out", &self.is_left_out())
            .finish_non_exhaustive()
    }
}
