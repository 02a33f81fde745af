//! Free ports.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};

/// Below the ports the kernel gives to connections (32768 and up on Linux, 49152 elsewhere): between a
/// stop and a restart one of those could take the port, even a client's that tries to reconnect to it.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// A TCP port of 127.0.0.1 that no other test process takes while this value lives, also while its server
/// is stopped.
#[derive(Debug)]
pub(crate) struct Port {
    /// The UDP port of the same number, held as a claim that ends with the process. The servers use none.
    claim: UdpSocket,
}

impl Port {
    pub(crate) fn claim() -> Self {
        let free = |number: u16| {
            let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, number);
            let claim = UdpSocket::bind(address).ok()?;
            // What is no test's does not know of the claim.
            TcpListener::bind(address).ok()?;
            Some(Self { claim })
        };
        (0..1_000)
            .find_map(|_| free(rand::random_range(PORTS)))
            .unwrap_or_else(|| panic!("a thousand ports at random of {PORTS:?} are all taken"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.claim.local_addr().expect("it is bound")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_is_free_for_a_server_and_for_no_second_claim() {
        let port = Port::claim();
        assert!(UdpSocket::bind(port.address()).is_err());
        TcpListener::bind(port.address()).expect("only the claim is held");
    }
}
