//! A Redis Cluster.

use std::ops::Range;

use crate::port::Port;
use crate::redis::{self, Redis};
use crate::wait;

/// The slots of each node.
const SLOTS: [Range<u16>; 3] = [0..5_461, 5_461..10_923, 10_923..16_384];

/// Three masters without replicas, each with a third of the slots. While one is away the cluster answers for none
/// of its keys (`cluster-require-full-coverage` is on, as it is by default).
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
    /// Where the nodes talk to each other, held as long as they do.
    _buses: Vec<Port>,
}

impl RedisCluster {
    /// Starts an empty cluster, and returns when each node says that it is whole.
    ///
    /// # Panics
    ///
    /// As [`Redis::start`].
    pub fn start() -> Self {
        let buses: Vec<Port> = SLOTS.iter().map(|_| Port::claim()).collect();
        let nodes: Vec<Redis> = buses.iter().map(start_node).collect();
        for (at, (node, slots)) in nodes.iter().zip(SLOTS).enumerate() {
            // Each its own, or they would have to find out that they are the same.
            ask(node, &format!("CLUSTER SET-CONFIG-EPOCH {}", at + 1));
            ask(node, &format!("CLUSTER ADDSLOTSRANGE {} {}", slots.start, slots.end - 1));
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let (address, bus) = (node.address(), bus.address().port());
            ask(&nodes[0], &format!("CLUSTER MEET {} {} {bus}", address.ip(), address.port()));
        }
        let cluster = Self { nodes, _buses: buses };
        cluster.wait_until_whole();
        cluster
    }

    /// The nodes, to stop, kill or pause one.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// The URLs of all nodes.
    pub fn urls(&self) -> Vec<&str> {
        self.nodes.iter().map(Redis::url).collect()
    }

    /// Waits until each node knows the others and all slots are served.
    ///
    /// # Panics
    ///
    /// When they do not within a minute.
    pub fn wait_until_whole(&self) {
        wait::eventually("a whole cluster", || self.nodes.iter().all(knows_all));
    }
}

fn start_node(bus: &Port) -> Redis {
    let bus = bus.address().port().to_string();
    // A node that is gone is missed after two seconds; 15 by default.
    Redis::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus, "--cluster-node-timeout", "2000"])
}

fn knows_all(node: &Redis) -> bool {
    redis::ask(node.address(), "CLUSTER INFO").is_ok_and(|info| {
        ["cluster_state:ok", "cluster_slots_ok:16384", "cluster_size:3"]
            .iter()
            .all(|fact| info.lines().any(|line| line == *fact))
    })
}

fn ask(node: &Redis, command: &str) {
    redis::ask(node.address(), command).unwrap_or_else(|error| panic!("{error}\n{}", node.log()));
}
