//! For whom a connection stands that something before the server has made, such as a relay that ends TLS: the log is
//! to name the client.

use crate::sync::lock;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// The clients behind connections, by the addresses that these come from.
#[derive(Clone, Default)]
pub struct Peers(Arc<Mutex<HashMap<SocketAddr, SocketAddr>>>);

/// Says for whom a connection stands, until it is dropped.
pub struct StandIn {
    peers: Peers,
    from: SocketAddr,
}

impl Peers {
    /// A connection that comes from `from` stands for `client`.
    #[must_use]
    pub fn stand_in(&self, from: SocketAddr, client: SocketAddr) -> StandIn {
        self.lock().insert(from, client);
        StandIn { peers: self.clone(), from }
    }

    /// The client behind a connection that comes from this address.
    #[must_use]
    pub fn client(&self, from: SocketAddr) -> SocketAddr {
        self.lock().get(&from).copied().unwrap_or(from)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, SocketAddr>> {
        lock(&self.0)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.peers.lock().remove(&self.from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_stands_for_a_client_as_long_as_it_says_so() {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let peers = Peers::default();
        let stand_in = peers.stand_in(address(1), address(2));
        assert_eq!([1, 2].map(|port| peers.client(address(port)).port()), [2, 2]);
        drop(stand_in);
        assert_eq!(peers.client(address(1)).port(), 1);
    }
}
