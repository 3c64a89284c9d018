//! Who the client is: its address behind trusted proxies, and the key that caps count it by. Pure.
//!
//! `X-Forwarded-For` and `Forwarded` (RFC 7239) are what anybody may write: only hops inside of `trusted_proxies` are believed, from
//! the right to the left. An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`) is its IPv4 address. It must never believe an entry that
//! was not written by a hop that is trusted, and never keep more of a client's bytes than their hash.

mod hops;
mod key;
mod rfc7239;

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;

pub use hops::{client_address, is_https};
pub use key::{ClientKey, client_key, cookie};

/// Networks whose forwarding fields count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies {
    /// In the order of the file.
    pub networks: Vec<IpNet>,
}

impl TrustedProxies {
    /// Whether `address` lies in one of the networks. An IPv4 address that is mapped into IPv6 is looked for among the IPv4 networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// What a client is counted by (`caps.client`, `hash_on`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientSource {
    /// Its address; IPv6 by the prefix of [`ClientPolicy::ipv6_prefix`].
    #[default]
    Ip,
    /// The value of a request field; without it, the address.
    Header(HeaderName),
    /// The value of a cookie; without it, the address.
    Cookie(String),
}

/// How a route tells its clients apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPolicy {
    /// `caps.client`, by default the address.
    pub source: ClientSource,
    /// `caps.ipv6_prefix`: one customer has a whole /64.
    pub ipv6_prefix: u8,
}

#[cfg(test)]
mod tests;
