//! What happens to links, as it happens.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::Linkly;
use crate::{Code, Link, Scope, Target};

/// Something that this engine did, told when the store had it and no answer of this engine was older.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A link was created.
    #[non_exhaustive]
    Created {
        /// The link.
        link: Arc<Link>,
    },
    /// A link was changed.
    #[non_exhaustive]
    Updated {
        /// The link as it is now.
        link: Arc<Link>,
    },
    /// A link was deleted or its code released.
    #[non_exhaustive]
    Deleted {
        /// The link as it was.
        link: Arc<Link>,
    },
    /// A link was visited and the click taken down, or the app recorded a click on its own.
    #[non_exhaustive]
    Clicked {
        /// The link's code.
        code: Code,
        /// When, in whole milliseconds.
        clicked_at: DateTime<Utc>,
        /// Where it led; nothing where the app redirected on its own.
        target: Option<Target>,
    },
    /// The listener was too slow: so many events are gone, whether it wanted them or not.
    #[non_exhaustive]
    Missed {
        /// How many.
        count: u64,
    },
}

impl Event {
    /// The code of the link; nothing for [`Missed`](Self::Missed).
    pub fn code(&self) -> Option<&Code> {
        match self {
            Self::Created { link } | Self::Updated { link } | Self::Deleted { link } => Some(&link.code),
            Self::Clicked { code, .. } => Some(code),
            Self::Missed { .. } => None,
        }
    }

    /// Whether the link has this tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        match self {
            Self::Created { link } | Self::Updated { link } | Self::Deleted { link } => {
                link.tags.iter().any(|has| has == tag)
            }
            Self::Clicked { target, .. } => target.as_ref().is_some_and(|target| target.tags().any(|has| has == tag)),
            Self::Missed { .. } => false,
        }
    }
}

/// Events from the moment on when this was made, in the order in which they happened. Made by
/// [`Linkly::events`].
///
/// ```
/// use linkly_core::{Event, Linkly, MemoryStore, NewLink};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let linkly = Linkly::builder(MemoryStore::new()).start().await?;
/// let mut events = linkly.events().with_tag("launch");
/// linkly.create(NewLink::new("iii.dev").with_code("iii").with_tags(["launch"])).await?;
/// let Some(Event::Created { link, .. }) = events.next().await else { panic!("a link was created") };
/// assert_eq!(link.code.as_str(), "iii");
/// # Ok::<(), linkly_core::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    scope: Scope,
    code: Option<Code>,
    tag: Option<String>,
    _listening: Listening,
}

impl Events {
    /// Events of links in that scope instead of the handle's.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Events of that code alone.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// Events of links with that tag alone.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = Some(tag.into());
        self
    }

    /// The next event, or [`Event::Missed`]; `None` after the engine's shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returned, no event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) if self.wants(&event) => return Some(event),
                Ok(_) => {}
                Err(RecvError::Lagged(count)) => return Some(Event::Missed { count }),
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn wants(&self, event: &Event) -> bool {
        event
            .code()
            .is_some_and(|code| self.scope.contains(code) && self.code.as_ref().is_none_or(|wanted| wanted == code))
            && self.tag.as_deref().is_none_or(|tag| event.has_tag(tag))
    }
}

impl Linkly {
    /// What this engine does to the links of this handle, from now on: for a live feed, a webhook, an index
    /// of the app's own. Clicks come as they are taken down, before they are in the store; for clicks that
    /// the store has, with browser and referrer, put a tee in front of it.
    ///
    /// The last [`Config::events`](crate::Config::events) of them are kept. A listener that is further
    /// behind is told how many it missed, and holds nothing up. Events of other nodes and of the app's own
    /// SQL do not come here; after a [`shutdown`](Self::shutdown) there are no more.
    pub fn events(&self) -> Events {
        let (receiver, listening) = self.0.engine.events.listen();
        Events { receiver, scope: self.0.keys.scope(), code: None, tag: None, _listening: listening }
    }
}

/// Sends events to those who listen.
#[derive(Debug)]
pub(crate) struct Publisher {
    capacity: usize,
    /// Looked at on each visit, so it is more than the channel's own count, which is behind a lock.
    listeners: Arc<AtomicUsize>,
    channel: Mutex<Channel>,
}

#[derive(Debug)]
enum Channel {
    /// Nobody has listened yet.
    None,
    Open(broadcast::Sender<Event>),
    Closed,
}

impl Publisher {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, listeners: Arc::default(), channel: Mutex::new(Channel::None) }
    }

    /// Sends what `event` makes, which is not called while nobody listens.
    #[inline]
    pub(crate) fn publish(&self, event: impl FnOnce() -> Option<Event>) {
        if self.listeners.load(Ordering::Relaxed) > 0 {
            self.send(event);
        }
    }

    #[cold]
    fn send(&self, event: impl FnOnce() -> Option<Event>) {
        let Some(event) = event() else { return };
        if let Channel::Open(sender) = &*self.channel.lock().unwrap_or_else(PoisonError::into_inner) {
            // The last listener may just have gone.
            _ = sender.send(event);
        }
    }

    /// Ends all streams of events.
    pub(crate) fn close(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = Channel::Closed;
    }

    fn listen(&self) -> (broadcast::Receiver<Event>, Listening) {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = match &*channel {
            Channel::Open(sender) => sender.subscribe(),
            Channel::Closed => broadcast::channel(1).1,
            Channel::None => {
                let (sender, receiver) = broadcast::channel(self.capacity);
                *channel = Channel::Open(sender);
                receiver
            }
        };
        (receiver, Listening::count(&self.listeners))
    }
}

/// Counts a listener for as long as it lives.
#[derive(Debug)]
struct Listening(Arc<AtomicUsize>);

impl Listening {
    fn count(listeners: &Arc<AtomicUsize>) -> Self {
        listeners.fetch_add(1, Ordering::Relaxed);
        Self(listeners.clone())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
