//! Who gets a request: the server that it is pinned to, else whom the balance says, among those that are fit. Pure: time is an
//! argument.
//!
//! Health checks are obeyed always. Ejection is obeyed as long as that leaves a server to try: it is a guess from a few failures, and
//! a guess must never be what makes a request fail.

use std::sync::Arc;
use std::time::Instant;

use super::balance::{self, Balancer};
use super::roster::Member;
use super::server::Server;

/// What is known of a request that looks for a server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pick<'a> {
    /// The address of the server that it is pinned to.
    pub pinned: Option<&'a str>,
    /// What `balance: hash` goes by; without it, chance decides.
    pub hash_key: Option<&'a [u8]>,
    /// Servers that it tried already.
    pub not: &'a [Arc<Server>],
}

/// The server for one request, claimed for it; `None` when none is up that it did not try.
pub(super) fn pick<'m>(members: &'m [Member], balancer: &Balancer, wanted: &Pick<'_>, now: Instant) -> Option<&'m Arc<Server>> {
    let key = wanted.hash_key.map(balance::stable_hash);
    let candidate = |server: &Server| server.is_up() && !wanted.not.iter().any(|tried| std::ptr::eq(&**tried, server));
    let fit = |server: &Server| candidate(server) && !server.is_ejected(now);
    // Who loses the one try after an ejection to another request looks again; that server is no longer fit then.
    for _ in members {
        let Some(server) = choose(members, balancer, wanted.pinned, key, fit) else { break };
        if server.claim(now) {
            return Some(server);
        }
    }
    choose(members, balancer, wanted.pinned, key, candidate)
}

fn choose<'m>(
    members: &'m [Member],
    balancer: &Balancer,
    pinned: Option<&str>,
    key: Option<u64>,
    usable: impl Fn(&Server) -> bool,
) -> Option<&'m Arc<Server>> {
    let pin = pinned.and_then(|address| members.iter().find(|member| member.server.address() == address && usable(&member.server)));
    pin.or_else(|| balancer.choose(members, usable, key)).map(|member| &member.server)
}

#[cfg(test)]
mod tests;
