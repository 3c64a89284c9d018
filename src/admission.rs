//! Caps: how many event streams may be open at once, of one client on a route, of a route, in all; and how many connections. Exact,
//! and a permit cannot leak: dropping it gives it back.
//!
//! It must never count more than a cap at any instant, and never keep an entry for a client that has nothing open. Where no cap is
//! set nothing is counted, and a permit holds nothing.

mod connections;
mod counts;
mod rate;

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

pub use connections::{ConnectionPermit, Connections};
pub use rate::ConnectRate;

use counts::{Clients, Count};

/// The caps of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CapsPolicy {
    /// Streams of one client on this route at once.
    pub streams_per_client: Option<u32>,
    /// Streams of this route at once.
    pub streams: Option<u32>,
    /// What happens to one more.
    pub over_cap: OverCap,
}

/// What happens to a stream over the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OverCap {
    /// 429 with `Retry-After`.
    #[default]
    Refuse,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// That of one client.
    Client,
    /// That of the route.
    Route,
    /// That of all.
    Total,
}

impl Refusal {
    /// All caps there are.
    pub const ALL: [Self; 3] = [Self::Client, Self::Route, Self::Total];

    /// The name in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Route => "route",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "this client has as many open as it may have",
            Self::Route => "this route has as many open as it takes",
            Self::Total => "this server has as many open as it takes",
        })
    }
}

impl std::error::Error for Refusal {}

/// Counts event streams. `K` is what a client is counted by. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission<K: Eq + Hash> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K: Eq + Hash> {
    total_cap: Option<u32>,
    total: Count,
    routes: Box<[Count]>,
    /// By the position of the route, and client.
    clients: Clients<(u32, K)>,
}

impl<K: Copy + Eq + Hash> Admission<K> {
    /// For `routes` routes, with at most `streams` streams open at once in all; `None` for any number.
    #[must_use]
    pub fn new(routes: usize, streams: Option<u32>) -> Self {
        let routes = (0..routes).map(|_| Count::default()).collect();
        Self { shared: Arc::new(Shared { total_cap: streams, total: Count::default(), routes, clients: Clients::default() }) }
    }

    /// Admits one stream of the client `key` on the route at position `route`.
    ///
    /// Caps are asked from the narrowest to the widest, so that a client at its own cap takes nothing from others, not even for an
    /// instant. One that is refused by a wider cap gives back at once what it took of the narrower ones; whoever asks in between may be
    /// refused too, and nobody is ever admitted beyond a cap.
    ///
    /// # Errors
    /// The first cap that is reached.
    ///
    /// # Panics
    /// If there is no route at that position.
    pub fn try_acquire(&self, route: usize, key: K, policy: &CapsPolicy) -> Result<Permit<K>, Refusal> {
        let count = &self.shared.routes[route];
        // Positions come from a file, whose routes fit into 32 bits.
        let mut permit = Permit { shared: None, client: None, route: route as u32, in_route: false, in_total: false };
        if policy.streams_per_client.is_none() && policy.streams.is_none() && self.shared.total_cap.is_none() {
            return Ok(permit);
        }
        permit.shared = Some(Arc::clone(&self.shared));
        if let Some(cap) = policy.streams_per_client {
            if !self.shared.clients.add((permit.route, key), cap) {
                return Err(Refusal::Client);
            }
            permit.client = Some(key);
        }
        if let Some(cap) = policy.streams {
            if !count.add(cap as usize) {
                return Err(Refusal::Route);
            }
            permit.in_route = true;
        }
        if let Some(cap) = self.shared.total_cap {
            if !self.shared.total.add(cap as usize) {
                return Err(Refusal::Total);
            }
            permit.in_total = true;
        }
        Ok(permit)
    }

    /// How many clients are counted just now: one for each route on which a client has a stream, where a cap of clients is set.
    #[must_use]
    pub fn counted_clients(&self) -> usize {
        self.shared.clients.len()
    }
}

/// The right to one open stream. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit<K: Eq + Hash> {
    /// `None` where nothing is counted.
    shared: Option<Arc<Shared<K>>>,
    /// Counted for this client.
    client: Option<K>,
    route: u32,
    in_route: bool,
    in_total: bool,
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        if self.in_total {
            shared.total.remove();
        }
        if self.in_route {
            shared.routes[self.route as usize].remove();
        }
        if let Some(key) = self.client.take() {
            shared.clients.remove(&(self.route, key));
        }
    }
}

#[cfg(test)]
mod tests;
