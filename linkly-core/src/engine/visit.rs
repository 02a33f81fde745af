//! Visiting: a resolve that counts.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use tracing::debug;

use super::{Event, Linkly, Resolution};
use crate::recorder::Ticket;
use crate::{Capture, Result, Target, is_bot, url_policy};

/// What a visit is told of the request. Nothing is needed; what is given ends up in the click.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct VisitContext<'a> {
    /// Whether it is a HEAD request: nobody followed the link, so it is recorded as a bot's, and a
    /// limited link withholds its target.
    pub head: bool,
    /// The query of the short URL, without `?`: what links that forward it add to their target.
    pub query: Option<&'a str>,
    /// The `Referer` header.
    pub referrer: Option<&'a str>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// The visitor's country, where the app knows it: ISO 3166-1 alpha-2.
    pub country: Option<&'a str>,
    /// The visitor's address. Only for the keyed hash of visitors; it is never stored.
    pub ip: Option<IpAddr>,
}

impl<'a> VisitContext<'a> {
    /// A GET of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is a HEAD request.
    #[must_use]
    pub fn with_head(mut self, head: bool) -> Self {
        self.head = head;
        self
    }

    /// The query of the short URL.
    #[must_use]
    pub fn with_query(mut self, query: Option<&'a str>) -> Self {
        self.query = query;
        self
    }

    /// The `Referer` header.
    #[must_use]
    pub fn with_referrer(mut self, referrer: Option<&'a str>) -> Self {
        self.referrer = referrer;
        self
    }

    /// The `User-Agent` header.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: Option<&'a str>) -> Self {
        self.user_agent = user_agent;
        self
    }

    /// The visitor's country.
    #[must_use]
    pub fn with_country(mut self, country: Option<&'a str>) -> Self {
        self.country = country;
        self
    }

    /// The visitor's address.
    #[must_use]
    pub fn with_ip(mut self, ip: Option<IpAddr>) -> Self {
        self.ip = ip;
        self
    }

    fn capture(&self, capture: Capture<'a>, target: &Target) -> Capture<'a> {
        capture
            .with_link_id(target.id())
            .with_referrer(self.referrer)
            .with_user_agent(self.user_agent)
            .with_country(self.country)
            .with_ip(self.ip)
            .with_bot(self.head.then_some(true))
    }
}

/// How to answer a visit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Visit {
    /// With a redirect; the click was taken down.
    #[non_exhaustive]
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        status: u16,
        /// The value of the `Location` header.
        location: Location,
        /// The link.
        target: Target,
    },
    /// With 200 and no `Location`: a limited link does not spend a redirect on a HEAD request or a
    /// program that fetches previews.
    Withheld,
    /// With 404.
    NotFound,
    /// With 410: the link has expired or granted all its redirects.
    Gone,
}

impl Visit {
    fn to(target: Target, context: &VisitContext<'_>) -> Self {
        let location = Location::new(&target, context.query);
        Self::Redirect { status: target.redirect().as_u16(), location, target }
    }
}

/// The value of a `Location` header: always printable ASCII, one line.
#[derive(Clone, PartialEq)]
pub struct Location(Value);

#[derive(Clone, PartialEq)]
enum Value {
    Target(Target),
    Joined(Box<str>),
}

impl Location {
    /// The text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Value::Target(target) => target.url(),
            Value::Joined(text) => text,
        }
    }

    fn new(target: &Target, query: Option<&str>) -> Self {
        match query {
            Some(query) if target.forward_query() => {
                Self(Value::Joined(url_policy::with_query(target.url(), query).into()))
            }
            _ => Self(Value::Target(target.clone())),
        }
    }
}

impl AsRef<str> for Location {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({:?})", self.as_str())
    }
}

impl Linkly {
    /// Resolves a code and records the click.
    ///
    /// With [`Acknowledge::Enqueued`](crate::Acknowledge::Enqueued) the click is taken down and this
    /// returns without waiting for the store, but for room in a full queue where the overflow is not
    /// [`Overflow::DropNewest`](crate::Overflow::DropNewest); with [`Acknowledge::Durable`](crate::Acknowledge::Durable)
    /// it returns when the click is in the store.
    ///
    /// A link with `max_clicks` asks the store for a redirect first and fails closed: when the store
    /// cannot be asked, the error is the answer (HTTP 503).
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](Self::resolve); [`Error::Unavailable`](crate::Error::Unavailable) when a
    /// limited link's store cannot be asked or a durable click could not be written, and
    /// [`Error::Closed`](crate::Error::Closed) after a shutdown.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it returned, the click may be recorded or not, and a redirect of a limited link
    /// may be spent.
    pub async fn visit(&self, code: &str, context: &VisitContext<'_>) -> Result<Visit> {
        let Some((target, at_millis, ticket)) = self.visit_hit(code, context) else {
            // Boxed, so that the future of a hit stays small.
            return Box::pin(self.visit_slowly(code, context)).await;
        };
        if let Some(ticket) = ticket {
            ticket.wait().await?;
        }
        self.tell_click(code, at_millis, Some(&target));
        Ok(Visit::to(target, context))
    }

    /// A visit of a fresh entry that neither time nor limit bounds, whose click finds room: what nearly all
    /// are. Its key stands in a stack buffer and its click is copied, so it allocates nothing.
    #[inline]
    fn visit_hit(&self, code: &str, context: &VisitContext<'_>) -> Option<(Target, i64, Option<Ticket>)> {
        let engine = &self.0.engine;
        let visit = |key: &str| {
            let target = self.fresh(key).filter(|target| !target.is_limited())?;
            let at_millis = engine.clock.now_millis();
            let capture = context.capture(Capture::of_checked(key, at_millis), &target);
            Some((target, at_millis, engine.recorder.record_at_once(&capture)?))
        };
        let visited = self.0.keys.with(code, visit).ok()??;
        engine.counters.hits.add(1);
        debug!(code, found = true, "link resolved");
        Some(visited)
    }

    async fn visit_slowly(&self, code: &str, context: &VisitContext<'_>) -> Result<Visit> {
        let engine = &self.0.engine;
        let key = self.0.keys.code(code)?;
        let target = match self.peek(key.as_str()) {
            Some(target) => target,
            None => engine.loader.load(key.clone()).await?,
        };
        let target = match self.answer(code, target)? {
            Resolution::Found(target) => target,
            Resolution::NotFound => return Ok(Visit::NotFound),
            Resolution::Gone => return Ok(Visit::Gone),
        };
        if target.is_limited() {
            // Before a redirect is spent on a visit that cannot be recorded.
            engine.recorder.check_open()?;
            if context.head || context.user_agent.is_some_and(is_bot) {
                engine.counters.withheld.add(1);
                return Ok(Visit::Withheld);
            }
            if !engine.reservations.reserve(key.clone(), target.id()).await? {
                engine.counters.exhausted.add(1);
                return Ok(Visit::Gone);
            }
        }
        let at_millis = engine.clock.now_millis();
        let capture = context.capture(Capture::of_checked(key.as_str(), at_millis), &target);
        engine.recorder.record(capture).await?;
        self.tell_click(code, at_millis, Some(&target));
        Ok(Visit::to(target, context))
    }

    /// Records a click of a code at a time, for apps that redirect on their own. The code need not
    /// have a link.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidCode`](crate::Error::InvalidCode), or the recorder's, as with
    /// [`visit`](Self::visit).
    pub async fn record_click(&self, code: &str, at: DateTime<Utc>) -> Result<()> {
        self.0.engine.recorder.record(Capture::new(self.0.keys.code(code)?, at)).await?;
        self.tell_click(code, at.timestamp_millis(), None);
        Ok(())
    }

    /// Tells those who listen, if anybody does.
    #[inline]
    fn tell_click(&self, code: &str, at_millis: i64, target: Option<&Target>) {
        let event = || {
            let clicked_at = DateTime::from_timestamp_millis(at_millis)?;
            Some(Event::Clicked { code: self.0.keys.code(code).ok()?, clicked_at, target: target.cloned() })
        };
        self.0.engine.events.publish(event);
    }
}
