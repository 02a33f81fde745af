//! Which server holds which codes: one server holds all, the masters of a cluster each their slots.
//!
//! The driver's cluster client is not used. It connects again in the midst of things like a
//! `ConnectionManager`, for each node, and refuses a pipeline whose keys are in several slots, so that each code
//! would be a round trip. A node takes any pipeline in which each command keeps to one slot.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linkly_core::{Code, Error, Result};
use redis::{Client, ConnectionAddr};

use super::config::RedisConfig;
use super::error::{self, Failure};
use super::node::Node;

const SLOTS: u16 = 16_384;
/// The most keys of one command, so that no command holds up the server for long.
const KEYS: usize = 512;

/// The servers of a cache.
pub(super) struct Servers {
    config: RedisConfig,
    /// Empty for a single server.
    seeds: Vec<Client>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    layout: Option<Arc<Layout>>,
    /// Who has a slot that has moved, and so knows of it before the others.
    first: Option<(String, u16)>,
    /// By their address, so that each keeps its connection when the slots are dealt anew.
    nodes: HashMap<String, Arc<Node>>,
}

/// Who holds which slots.
#[derive(Debug)]
pub(super) struct Layout {
    owners: Vec<(RangeInclusive<u16>, Arc<Node>)>,
    /// The most keys of one command: in a cluster they would have to be of one slot.
    pub(super) keys: usize,
}

/// A server, and the places in a call of what it holds.
pub(super) type Share = (Arc<Node>, Vec<usize>);

impl Servers {
    pub(super) fn one(client: &Client, config: RedisConfig) -> Result<Self> {
        config.check()?;
        let node = Arc::new(Node::new(client, &config, false)?);
        let layout = Layout { owners: vec![(0..=SLOTS - 1, node)], keys: KEYS };
        let known = Known { layout: Some(Arc::new(layout)), ..Known::default() };
        Ok(Self { config, seeds: Vec::new(), known: Mutex::new(known) })
    }

    pub(super) fn cluster(seeds: Vec<Client>, config: RedisConfig) -> Result<Self> {
        config.check()?;
        if seeds.is_empty() {
            return Err(Error::invalid("seeds", "a cluster is found by way of one of its nodes"));
        }
        let servers = Self { config, seeds, known: Mutex::default() };
        for seed in &servers.seeds {
            servers.node(seed)?;
        }
        Ok(servers)
    }

    /// Who holds what, as far as is known; asked for when nothing is.
    pub(super) async fn layout(&self) -> Result<Arc<Layout>> {
        let (mut nodes, first): (Vec<Arc<Node>>, _) = {
            let mut known = self.lock();
            if let Some(layout) = &known.layout {
                return Ok(layout.clone());
            }
            (known.nodes.values().cloned().collect(), known.first.take())
        };
        if let Some((host, port)) = first {
            nodes.insert(0, self.node(&self.at(&host, port)?)?);
        }
        let mut failed = error::unexpected("a cluster without nodes");
        for node in nodes {
            match node.call(|session| async move { session.slots().await }).await {
                Ok(slots) => return self.learn(&node, slots),
                Err(failure) => failed = failure.into(),
            }
        }
        Err(failed)
    }

    /// How many of the servers did not answer and are left out.
    pub(super) fn left_out(&self) -> usize {
        let known = self.lock();
        let owners = known.layout.iter().flat_map(|layout| layout.owners.iter().map(|(_, node)| node));
        let mut left_out: Vec<&str> =
            owners.chain(known.nodes.values()).filter(|node| node.is_left_out()).map(|node| node.address()).collect();
        left_out.sort_unstable();
        left_out.dedup();
        left_out.len()
    }

    /// What was known of the slots is wrong by now, and the node at `first` is to be asked before others. A single
    /// server holds them all for ever.
    pub(super) fn forget(&self, layout: &Arc<Layout>, first: Option<(String, u16)>) {
        let mut known = self.lock();
        if !self.seeds.is_empty() && known.layout.as_ref().is_some_and(|known| Arc::ptr_eq(known, layout)) {
            known.layout = None;
            known.first = first;
        }
    }

    fn learn(&self, told_by: &Node, slots: Vec<(RangeInclusive<u16>, String, u16)>) -> Result<Arc<Layout>> {
        let told_by = told_by.address().rsplit_once(':').map_or("", |(host, _)| host);
        let mut owners = Vec::with_capacity(slots.len());
        for (range, host, port) in slots {
            let host = if host.is_empty() { told_by } else { &host };
            owners.push((range, self.node(&self.at(host, port)?)?));
        }
        let layout = Arc::new(Layout { owners, keys: 1 });
        let mut known = self.lock();
        // The seeds stay, for when all others have gone.
        let is_seed = |address: &str| self.seeds.iter().any(|seed| address_of(seed) == address);
        let is_owner = |node: &Arc<Node>| layout.owners.iter().any(|(_, owner)| Arc::ptr_eq(owner, node));
        known.nodes.retain(|address, node| is_seed(address) || is_owner(node));
        known.layout = Some(layout.clone());
        Ok(layout)
    }

    /// A client of another node, with all else as the first seed has it.
    fn at(&self, host: &str, port: u16) -> Result<Client> {
        let seed = self.seeds.first().ok_or_else(|| error::unexpected("a cluster without nodes"))?;
        let info = seed.get_connection_info().clone();
        let host = host.to_owned();
        let address = match info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(info.set_addr(address)).map_err(error::map)
    }

    fn node(&self, client: &Client) -> Result<Arc<Node>> {
        let address = address_of(client);
        if let Some(node) = self.lock().nodes.get(&address) {
            return Ok(node.clone());
        }
        let node = Arc::new(Node::new(client, &self.config, true)?);
        Ok(self.lock().nodes.entry(address).or_insert(node).clone())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Layout {
    /// The server that holds a key, of which this is what decides about the slot.
    pub(super) fn owner(&self, tag: &str) -> Result<&Arc<Node>, Failure> {
        let slot = slot(tag);
        let owner = self.owners.iter().find(|(range, _)| range.contains(&slot));
        owner.map(|(_, node)| node).ok_or_else(|| {
            let reason = format!("no node of the cluster serves slot {slot}");
            Failure::Moved(Error::unavailable(error::BACKEND, reason), None)
        })
    }

    /// What goes to which server, as places in `codes`.
    pub(super) fn split<'a>(&self, codes: impl Iterator<Item = &'a Code>) -> Result<Vec<Share>, Failure> {
        let mut parts: Vec<Share> = Vec::new();
        for (at, code) in codes.enumerate() {
            let node = if let [(_, node)] = &self.owners[..] { node } else { self.owner(code.as_str())? };
            match parts.iter_mut().find(|(known, _)| Arc::ptr_eq(known, node)) {
                Some((_, places)) => places.push(at),
                None => parts.push((node.clone(), vec![at])),
            }
        }
        Ok(parts)
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.lock();
        f.debug_struct("Servers").field("prefix", &self.config.prefix).field("layout", &known.layout).finish()
    }
}

fn address_of(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}

/// CRC16 of the tag (XMODEM), as the cluster specification has it.
fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!((slot("foo"), slot("bar"), slot("hello")), (12_182, 5_061, 866));
    }
}
