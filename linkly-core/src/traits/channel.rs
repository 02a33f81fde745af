//! How nodes tell each other what was written.

use std::fmt::Debug;
use std::sync::Weak;

use async_trait::async_trait;
use tokio::runtime::Handle;

use crate::{Code, Result};

/// How nodes tell each other what was written, so that each drops it from its own memory at once and not when it
/// next reads the store's change log.
///
/// A channel is for speed alone. It may lose what it was told, as long as those who did not hear it learn that
/// they have missed something; and while it is down the change log is what bounds how old an answer can be.
///
/// A channel keeps two promises, which the tests of `linkly_cache::RedisChannel` show for the one there is:
///
/// - What is announced reaches the listener of every other node that is connected, and never that of the node
///   that announced it.
/// - A listener that may have missed something is told that everything may have changed: when it begins to hear,
///   and whenever something was lost.
#[async_trait]
pub trait Channel: Debug + Send + Sync + 'static {
    /// Begins to hear and to speak, on `runtime`, and connects there without being waited for. It ends when it
    /// is [closed](Self::close), and when the listener is gone.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidInput`](crate::Error::InvalidInput) when it was started before.
    fn start(&self, listener: Weak<dyn Listener>, runtime: &Handle) -> Result<()>;

    /// Tells the other nodes that the links of these codes were written. Does not wait: what cannot be sent by now
    /// is sent later, or missed.
    fn announce(&self, codes: &[Code]);

    /// The same of all links.
    fn announce_all(&self);

    /// Sends what still waits, unless it takes long, and ends.
    ///
    /// # Cancel safety
    ///
    /// It ends also when this is dropped.
    async fn close(&self);
}

/// What a channel tells of other nodes: the engine.
#[async_trait]
pub trait Listener: Send + Sync + 'static {
    /// The links of these codes were written, and caches that nodes share have been told.
    async fn written(&self, codes: &[Code]);

    /// Any link may have been.
    async fn missed(&self);
}
