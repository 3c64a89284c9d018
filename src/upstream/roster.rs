//! Who the servers are: what the entries of `servers` come down to, as far as their names have addresses. Pure; lookups are
//! `discovery`'s.
//!
//! A server that stays in the list stays the same server; one that left is remembered for as long as something of it runs, and is the
//! same server when it comes back meanwhile.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

use rustls::pki_types::ServerName;

use super::server::{Peer, Server, Target, Verified};
use super::spec::{EjectionSpec, ServerAddress, UpstreamSpec};
use crate::tls::ClientTls;

/// A server in the list.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) server: Arc<Server>,
    /// Its share, at least 1.
    pub(super) weight: u32,
}

/// All servers of an upstream.
#[derive(Debug)]
pub(super) struct Roster {
    upstream: Arc<str>,
    ejection: EjectionSpec,
    tls: Option<Arc<ClientTls>>,
    /// One for each of `servers`, in the order of the file.
    entries: Vec<Entry>,
    members: Vec<Member>,
    departed: Vec<Weak<Server>>,
}

#[derive(Debug)]
struct Entry {
    address: Arc<str>,
    weight: u32,
    /// What to write into `Host` when a request has none.
    host: Arc<str>,
    /// What the certificates of its servers must be for; `None` if none can be.
    tls_name: Option<ServerName<'static>>,
    /// Empty until its name has an address.
    targets: Vec<Target>,
}

impl Roster {
    /// With the servers that need no lookup.
    pub(super) fn new(spec: &UpstreamSpec, tls: Option<Arc<ClientTls>>) -> Self {
        let entries = spec.servers.iter().map(|server| {
            let address: Arc<str> = server.address.to_string().into();
            let (host, targets) = match &server.address {
                ServerAddress::Tcp { host, port } => {
                    let literal = host.parse::<IpAddr>().ok();
                    (Arc::clone(&address), literal.map(|ip| Target::Tcp(SocketAddr::new(ip, *port))).into_iter().collect())
                }
                // The name that RFC 9110 section 7.2 wants is nowhere in a path.
                ServerAddress::Unix(path) => ("localhost".into(), vec![Target::Unix(path.clone())]),
            };
            let tls_name = tls.as_ref().and_then(|tls| server.address.tls_name(tls.spec()));
            Entry { address, weight: server.weight, host, tls_name, targets }
        });
        let entries = entries.collect();
        let upstream = Arc::clone(&spec.name);
        let mut roster = Self { upstream, ejection: spec.ejection, tls, entries, members: Vec::new(), departed: Vec::new() };
        roster.rebuild();
        roster
    }

    /// Those that can get work.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Those that left while something of them runs.
    pub(super) fn departed(&self) -> impl Iterator<Item = Arc<Server>> {
        self.departed.iter().filter_map(Weak::upgrade)
    }

    /// Entries whose name has no address yet, as the configuration writes them.
    pub(super) fn unresolved(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| entry.targets.is_empty()).map(|entry| &*entry.address)
    }

    /// The name of the entry at this position has these addresses now, at least one. Returns whether the list changed.
    pub(super) fn learn(&mut self, position: usize, addresses: &[SocketAddr]) -> bool {
        let Some(entry) = self.entries.get_mut(position) else { return false };
        let mut targets: Vec<_> = addresses.iter().copied().map(Target::Tcp).collect();
        // Resolvers rotate their answers; the order here means nothing, so it is always the same.
        targets.sort_unstable();
        targets.dedup();
        if targets.is_empty() || targets == entry.targets {
            return false;
        }
        entry.targets = targets;
        self.rebuild();
        true
    }

    fn rebuild(&mut self) {
        let mut next: Vec<Member> = Vec::new();
        for entry in &self.entries {
            for target in &entry.targets {
                // Two entries that come down to one address are one server with the share of both.
                if let Some(member) = next.iter_mut().find(|member| member.server.target() == target) {
                    member.weight = member.weight.saturating_add(entry.weight);
                    continue;
                }
                let server = self.known(target).unwrap_or_else(|| {
                    tracing::debug!(upstream = &*self.upstream, server = %target, "server joins the list");
                    let tls = self.tls.as_ref();
                    let tls = tls.map(|tls| Verified { settings: Arc::clone(tls), name: entry.tls_name.clone() });
                    let peer = Peer { target: target.clone(), tls };
                    Arc::new(Server::new(Arc::clone(&self.upstream), peer, Arc::clone(&entry.host), self.ejection))
                });
                next.push(Member { server, weight: entry.weight });
            }
        }
        let stays = |server: &Arc<Server>| next.iter().any(|member| Arc::ptr_eq(&member.server, server));
        self.departed.retain(|departed| departed.upgrade().is_some_and(|server| !stays(&server)));
        for member in self.members.iter().filter(|member| !stays(&member.server)) {
            tracing::info!(
                upstream = &*self.upstream,
                server = member.server.address(),
                "server left the list; what it runs goes on"
            );
            self.departed.push(Arc::downgrade(&member.server));
        }
        self.members = next;
    }

    fn known(&self, target: &Target) -> Option<Arc<Server>> {
        let mut listed = self.members.iter().map(|member| Arc::clone(&member.server));
        listed.find(|server| server.target() == target).or_else(|| self.departed().find(|server| server.target() == target))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{spec, spec_of};
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn listed(roster: &Roster) -> Vec<(&str, u32)> {
        roster.members().iter().map(|member| (member.server.address(), member.weight)).collect()
    }

    #[test]
    fn addresses_and_unix_sockets_are_servers_at_once_and_names_are_not() {
        let roster = Roster::new(&spec(&["app.test:80", "127.0.0.1:3000", "::1:3000", "unix:/run/app.sock"]), None);
        assert_eq!(listed(&roster), [("127.0.0.1:3000", 1), ("[::1]:3000", 1), ("unix:/run/app.sock", 1)]);
        assert_eq!(roster.unresolved().collect::<Vec<_>>(), ["app.test:80"]);
        let hosts: Vec<_> = roster.members().iter().map(|member| member.server.host()).collect();
        assert_eq!(hosts, ["127.0.0.1:3000", "[::1]:3000", "localhost"]);
    }

    #[test]
    fn a_name_is_all_its_addresses_each_with_the_weight_of_the_entry() {
        let mut roster = Roster::new(&spec_of(&[("10.0.0.9:80", 1), ("app.test:80", 5)]), None);
        assert!(roster.learn(1, &addresses(&["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80"])));
        assert_eq!(listed(&roster), [("10.0.0.9:80", 1), ("10.0.0.1:80", 5), ("10.0.0.2:80", 5)]);
        assert_eq!(roster.members()[1].server.host(), "app.test:80");
        assert_eq!(roster.unresolved().count(), 0);
        assert!(!roster.learn(1, &addresses(&["10.0.0.1:80", "10.0.0.2:80"])), "another order is no change");
    }

    #[test]
    fn two_entries_with_one_address_are_one_server_with_both_weights() {
        let mut roster = Roster::new(&spec_of(&[("10.0.0.1:80", 1), ("app.test:80", 3)]), None);
        roster.learn(1, &addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
        assert_eq!(listed(&roster), [("10.0.0.1:80", 4), ("10.0.0.2:80", 3)]);
    }

    #[test]
    fn a_server_that_stays_is_the_same_and_one_that_left_keeps_what_it_runs() {
        let mut roster = Roster::new(&spec(&["app.test:80"]), None);
        roster.learn(0, &addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
        let before = roster.members().to_vec();
        let running = before[0].server.busy();
        roster.learn(0, &addresses(&["10.0.0.2:80", "10.0.0.3:80"]));
        assert_eq!(listed(&roster), [("10.0.0.2:80", 1), ("10.0.0.3:80", 1)]);
        assert!(Arc::ptr_eq(&roster.members()[0].server, &before[1].server), "the one that stayed");
        let departed: Vec<_> = roster.departed().collect();
        assert!(matches!(&departed[..], [one] if Arc::ptr_eq(one, running.server())));
        assert_eq!(running.server().load(), 1);
    }

    #[test]
    fn a_server_that_comes_back_while_something_of_it_runs_is_the_same_and_is_forgotten_else() {
        let mut roster = Roster::new(&spec(&["app.test:80"]), None);
        roster.learn(0, &addresses(&["10.0.0.1:80", "10.0.0.2:80"]));
        let running = roster.members()[0].server.busy();
        let idle = Arc::downgrade(&roster.members()[1].server);
        roster.learn(0, &addresses(&["10.0.0.3:80"]));
        assert!(idle.upgrade().is_none(), "nothing holds it");
        roster.learn(0, &addresses(&["10.0.0.1:80"]));
        assert!(Arc::ptr_eq(&roster.members()[0].server, running.server()));
        assert_eq!(roster.departed().count(), 0, "10.0.0.3 ran nothing, 10.0.0.1 is back");
    }
}
