//! Caps on connections: in all, and of one client, which is its address, or its /64 in IPv6, since one customer has all of that.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::Refusal;
use super::counts::{Clients, Count};

/// Counts connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total_cap: Option<usize>,
    client_cap: Option<u32>,
    total: Count,
    clients: Clients<IpAddr>,
}

impl Connections {
    /// At most `total` connections at once, and `per_client` of one client; `None` for any number.
    #[must_use]
    pub fn new(total: Option<usize>, per_client: Option<u32>) -> Self {
        let shared = Shared { total_cap: total, client_cap: per_client, total: Count::default(), clients: Clients::default() };
        Self { shared: Arc::new(shared) }
    }

    /// Admits one connection from `address`. One that is `exempt`, a trusted proxy, counts in all but not for a client, because it brings
    /// the clients of others.
    ///
    /// # Errors
    /// [`Refusal::Client`] or [`Refusal::Total`], the first cap that is reached.
    pub fn try_acquire(&self, address: IpAddr, exempt: bool) -> Result<ConnectionPermit, Refusal> {
        let mut permit = ConnectionPermit { shared: None, client: None, in_total: false };
        let client_cap = self.shared.client_cap.filter(|_| !exempt);
        if client_cap.is_none() && self.shared.total_cap.is_none() {
            return Ok(permit);
        }
        permit.shared = Some(Arc::clone(&self.shared));
        if let Some(cap) = client_cap {
            let client = client(address);
            if !self.shared.clients.add(client, cap) {
                return Err(Refusal::Client);
            }
            permit.client = Some(client);
        }
        if let Some(cap) = self.shared.total_cap {
            if !self.shared.total.add(cap) {
                return Err(Refusal::Total);
            }
            permit.in_total = true;
        }
        Ok(permit)
    }

    /// Counts the connection of `permit`, which a trusted proxy got as one that is exempt, for the client that it brings.
    ///
    /// # Errors
    /// [`Refusal::Client`] if that client's cap is reached.
    pub fn try_name(&self, permit: &mut ConnectionPermit, address: IpAddr) -> Result<(), Refusal> {
        let Some(cap) = self.shared.client_cap else { return Ok(()) };
        let client = client(address);
        if !self.shared.clients.add(client, cap) {
            return Err(Refusal::Client);
        }
        permit.shared = Some(Arc::clone(&self.shared));
        if let Some(before) = permit.client.replace(client) {
            self.shared.clients.remove(&before);
        }
        Ok(())
    }

    /// How many connections are open, where a cap on all is set.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.shared.total.get()
    }

    /// How many clients have connections, where a cap of clients is set.
    #[must_use]
    pub fn counted_clients(&self) -> usize {
        self.shared.clients.len()
    }
}

/// The right to one open connection. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct ConnectionPermit {
    /// `None` where nothing is counted.
    shared: Option<Arc<Shared>>,
    /// Counted for this client.
    client: Option<IpAddr>,
    in_total: bool,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        if self.in_total {
            shared.total.remove();
        }
        if let Some(client) = self.client.take() {
            shared.clients.remove(&client);
        }
    }
}

/// What a connection is counted by.
pub(super) fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{ConnectionPermit, Connections, Refusal};

    fn from(connections: &Connections, address: &str) -> Result<ConnectionPermit, Refusal> {
        connections.try_acquire(address.parse::<IpAddr>().unwrap(), false)
    }

    #[test]
    fn a_client_has_its_cap_and_gets_back_what_it_closes() {
        let connections = Connections::new(None, Some(2));
        let first = from(&connections, "192.0.2.1").unwrap();
        let _second = from(&connections, "192.0.2.1").unwrap();
        assert_eq!(from(&connections, "192.0.2.1").unwrap_err(), Refusal::Client);
        let _other = from(&connections, "192.0.2.2").unwrap();
        drop(first);
        let _third = from(&connections, "192.0.2.1").unwrap();
        assert_eq!(connections.counted_clients(), 2);
    }

    #[test]
    fn a_whole_64_is_one_client_and_a_mapped_address_is_its_ipv4_address() {
        let connections = Connections::new(None, Some(1));
        let _six = from(&connections, "2001:db8:0:1::1").unwrap();
        assert_eq!(from(&connections, "2001:db8:0:1:ffff::2").unwrap_err(), Refusal::Client);
        let _neighbour = from(&connections, "2001:db8:0:2::1").unwrap();
        let _four = from(&connections, "192.0.2.1").unwrap();
        assert_eq!(from(&connections, "::ffff:192.0.2.1").unwrap_err(), Refusal::Client);
        let _other = from(&connections, "::ffff:192.0.2.2").unwrap();
    }

    #[test]
    fn the_cap_on_all_holds_for_the_exempt_too_and_a_refusal_keeps_nothing() {
        let connections = Connections::new(Some(2), Some(1));
        let proxy: IpAddr = "10.0.0.1".parse().unwrap();
        let held = [connections.try_acquire(proxy, true).unwrap(), connections.try_acquire(proxy, true).unwrap()];
        assert_eq!(connections.try_acquire(proxy, true).unwrap_err(), Refusal::Total);
        assert_eq!(from(&connections, "192.0.2.1").unwrap_err(), Refusal::Total);
        assert_eq!((connections.counted(), connections.counted_clients()), (2, 0));
        drop(held);
        assert_eq!(connections.counted(), 0);
    }

    #[test]
    fn a_connection_that_a_proxy_brings_counts_for_the_client_that_it_names() {
        for total in [None, Some(9)] {
            let connections = Connections::new(total, Some(1));
            let (proxy, client): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
            let mut first = connections.try_acquire(proxy, true).unwrap();
            let mut second = connections.try_acquire(proxy, true).unwrap();
            connections.try_name(&mut first, client).unwrap();
            assert_eq!(connections.try_name(&mut second, client).unwrap_err(), Refusal::Client);
            assert_eq!(from(&connections, "192.0.2.1").unwrap_err(), Refusal::Client);
            // A second name takes the place of the first.
            connections.try_name(&mut first, "192.0.2.2".parse().unwrap()).unwrap();
            connections.try_name(&mut second, client).unwrap();
            assert_eq!((connections.counted(), connections.counted_clients()), (total.map_or(0, |_| 2), 2));
            drop((first, second));
            assert_eq!((connections.counted(), connections.counted_clients()), (0, 0));
        }
    }

    #[test]
    fn nothing_is_counted_where_no_cap_is_set() {
        let connections = Connections::new(None, None);
        let permit = from(&connections, "192.0.2.1").unwrap();
        assert!(permit.shared.is_none());
        assert_eq!((connections.counted(), connections.counted_clients()), (0, 0));
        let connections = Connections::new(Some(9), None);
        let _permit = from(&connections, "192.0.2.1").unwrap();
        assert_eq!((connections.counted(), connections.counted_clients()), (1, 0));
    }
}
