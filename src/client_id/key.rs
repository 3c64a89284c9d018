//! What a client is counted by. Small, and of a fixed size whatever the client sends.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use http::HeaderMap;

use super::{ClientPolicy, ClientSource};
use crate::message::cookie::values;

/// Keys the hash of values, so that nobody can find two values that count as one client. Each process has its own.
static PROCESS_KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// One client, as a route tells its clients apart. Means nothing outside of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    V4(Ipv4Addr),
    /// With zeros after the prefix.
    V6(Ipv6Addr),
    /// Of a field or a cookie.
    Value([u8; 16]),
}

/// The key of a client at `address`, which is what [`super::client_address`] found, that sent `headers`.
///
/// An empty value is no value. Of several the first one counts.
#[must_use]
pub fn client_key(policy: &ClientPolicy, address: IpAddr, headers: &HeaderMap) -> ClientKey {
    let value = match &policy.source {
        ClientSource::Ip => None,
        ClientSource::Header(name) => headers.get(name).map(|value| value.as_bytes()),
        ClientSource::Cookie(name) => cookie(headers, name),
    };
    ClientKey(match (value, address.to_canonical()) {
        (Some(value), _) if !value.is_empty() => Kind::Value(hash(value)),
        (_, IpAddr::V4(address)) => Kind::V4(address),
        (_, IpAddr::V6(address)) => Kind::V6(within(address, policy.ipv6_prefix)),
    })
}

/// The value of the first cookie called `name`, whatever stands beside it.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    values(headers, name).next()
}

/// The network of `address` with `prefix` bits.
fn within(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let host_bits = 128_u32.saturating_sub(u32::from(prefix));
    Ipv6Addr::from_bits(address.to_bits() & u128::MAX.checked_shl(host_bits).unwrap_or(0))
}

/// 128 bits: two halves that differ in what goes in before the value, under one key.
fn hash(value: &[u8]) -> [u8; 16] {
    let half = |number: u8| u128::from(PROCESS_KEY.hash_one((number, value)));
    (half(0) << 64 | half(1)).to_be_bytes()
}
