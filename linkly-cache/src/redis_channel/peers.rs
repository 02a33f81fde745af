//! What was heard of each node, and what follows from a message.

use std::collections::HashMap;
use std::time::Duration;

use linkly_core::Code;
use tokio::time::Instant;

use super::config::LONGEST_HEARTBEAT;
use super::message::{Kind, Message};

/// After so many heartbeats that were not heard, a node counts as gone.
const PATIENCE: u32 = 3;

/// The nodes that were heard since the channel last began to hear, this one among them.
#[derive(Debug)]
pub(super) struct Peers {
    own: u64,
    known: HashMap<u64, Peer>,
}

#[derive(Debug)]
struct Peer {
    /// The number of the last message of which nothing before it was missed, or a clear has made up for it.
    last: u64,
    /// When it is to be heard again at the latest.
    due: Instant,
}

/// What to do about a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Nothing,
    Codes(Vec<Code>),
    Everything,
    /// A message before this one was lost.
    Gap,
}

/// What to do about nodes that are not heard any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Silence {
    /// How many others there are.
    pub(super) others: usize,
    /// What this node itself has said did not come back: the connection leads nowhere.
    pub(super) own: bool,
}

impl Peers {
    /// Nobody was heard yet; this node's own first heartbeat is waited for.
    pub(super) fn new(own: u64, heartbeat: Duration, now: Instant) -> Self {
        let peer = Peer { last: 0, due: now + patience(heartbeat) };
        Self { own, known: HashMap::from([(own, peer)]) }
    }

    pub(super) fn hear(&mut self, message: Message, now: Instant) -> Heard {
        let Message { sender, number, heartbeat, kind } = message;
        let due = now + patience(heartbeat);
        // Of a node that was not heard before nothing was missed if it has said nothing yet.
        let peer = self.known.entry(sender).or_insert(Peer { last: 0, due });
        peer.due = due;
        let last = peer.last;
        peer.last = last.max(number);
        if kind == Kind::Farewell {
            self.known.remove(&sender);
        }
        if sender == self.own {
            return Heard::Nothing;
        }
        match kind {
            Kind::Heartbeat | Kind::Farewell if number <= last => Heard::Nothing,
            Kind::Heartbeat | Kind::Farewell => Heard::Gap,
            // Sent twice, since the first time was not acknowledged.
            Kind::Codes(_) | Kind::Everything if number <= last => Heard::Nothing,
            Kind::Codes(codes) if number == last + 1 => Heard::Codes(codes),
            Kind::Everything if number == last + 1 => Heard::Everything,
            Kind::Codes(_) | Kind::Everything => Heard::Gap,
        }
    }

    /// Forgets those that were not heard in time.
    pub(super) fn silence(&mut self, now: Instant) -> Silence {
        let own = self.known.get(&self.own).is_none_or(|own| own.due <= now);
        let before = self.known.len();
        let this = self.own;
        self.known.retain(|sender, peer| *sender == this || now < peer.due);
        Silence { others: before - self.known.len(), own }
    }

    /// When the next silence can be.
    pub(super) fn due(&self) -> Instant {
        self.known.values().map(|peer| peer.due).min().unwrap_or_else(Instant::now)
    }

    /// How many others are heard.
    pub(super) fn others(&self) -> usize {
        self.known.keys().filter(|sender| **sender != self.own).count()
    }
}

fn patience(heartbeat: Duration) -> Duration {
    heartbeat.min(LONGEST_HEARTBEAT) * PATIENCE
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Duration = Duration::from_secs(1);

    fn codes() -> Kind {
        Kind::Codes(vec![Code::new("a").unwrap()])
    }

    fn heard(peers: &mut Peers, sender: u64, number: u64, kind: Kind, now: Instant) -> &'static str {
        match peers.hear(Message { sender, number, heartbeat: BEAT, kind }, now) {
            Heard::Nothing => "nothing",
            Heard::Codes(_) => "codes",
            Heard::Everything => "everything",
            Heard::Gap => "gap",
        }
    }

    #[test]
    fn messages_in_sequence_are_obeyed_and_a_missing_one_is_noticed() {
        let now = Instant::now();
        let mut peers = Peers::new(1, BEAT, now);
        for (number, kind, what) in [
            (0, Kind::Heartbeat, "nothing"),
            (1, codes(), "codes"),
            (1, Kind::Heartbeat, "nothing"),
            (2, Kind::Everything, "everything"),
            (2, codes(), "nothing"),
            (1, codes(), "nothing"),
            (4, codes(), "gap"),
            (5, codes(), "codes"),
            (6, Kind::Heartbeat, "gap"),
            (6, codes(), "nothing"),
            (8, Kind::Everything, "gap"),
            (9, Kind::Farewell, "gap"),
        ] {
            assert_eq!(heard(&mut peers, 2, number, kind, now), what, "{number}");
        }
        assert_eq!(peers.others(), 0, "it has left");
    }

    #[test]
    fn of_a_node_that_is_heard_in_the_midst_everything_before_was_missed() {
        let now = Instant::now();
        let mut peers = Peers::new(1, BEAT, now);
        assert_eq!(heard(&mut peers, 2, 1, codes(), now), "codes");
        assert_eq!(heard(&mut peers, 3, 2, codes(), now), "gap");
        assert_eq!(heard(&mut peers, 4, 7, Kind::Heartbeat, now), "gap");
        assert_eq!(heard(&mut peers, 4, 8, codes(), now), "codes");
        assert_eq!(peers.others(), 3);
    }

    #[test]
    fn what_this_node_says_is_not_obeyed() {
        let now = Instant::now();
        let mut peers = Peers::new(1, BEAT, now);
        for (number, kind) in [(1, codes()), (5, codes()), (9, Kind::Heartbeat), (10, Kind::Everything)] {
            assert_eq!(heard(&mut peers, 1, number, kind, now), "nothing");
        }
        assert_eq!(peers.others(), 0);
    }

    #[test]
    fn a_node_is_gone_after_three_heartbeats_by_its_own_measure() {
        let now = Instant::now();
        let mut peers = Peers::new(1, BEAT, now);
        peers.hear(Message { sender: 2, number: 0, heartbeat: 4 * BEAT, kind: Kind::Heartbeat }, now);
        peers.hear(Message { sender: 3, number: 0, heartbeat: Duration::MAX, kind: Kind::Heartbeat }, now);
        assert_eq!(peers.due(), now + 3 * BEAT);
        assert_eq!(peers.silence(now + 3 * BEAT - Duration::from_millis(1)), Silence::default());
        assert_eq!(peers.silence(now + 3 * BEAT), Silence { others: 0, own: true });
        heard(&mut peers, 1, 0, Kind::Heartbeat, now + 12 * BEAT);
        assert_eq!(peers.silence(now + 12 * BEAT), Silence { others: 1, own: false });
        assert_eq!(peers.silence(now + 14 * BEAT), Silence::default());
        assert_eq!(heard(&mut peers, 2, 1, Kind::Heartbeat, now), "gap", "it is heard for the first time");
        assert_eq!(peers.silence(now + 3 * LONGEST_HEARTBEAT).others, 2);
    }

    #[test]
    fn who_takes_leave_is_not_missed() {
        let now = Instant::now();
        let mut peers = Peers::new(1, BEAT, now);
        heard(&mut peers, 2, 1, codes(), now);
        assert_eq!(heard(&mut peers, 2, 1, Kind::Farewell, now), "nothing");
        heard(&mut peers, 1, 0, Kind::Heartbeat, now + 10 * BEAT);
        assert_eq!(peers.silence(now + 10 * BEAT), Silence::default());
    }
}
