//! Limits of the kernel that would be met before ours, looked at once at the start: each comes with the setting that lifts it. None of
//! them keeps anybody from starting, and what cannot be read is not talked about.

use std::path::Path;

use super::listen::BACKLOG;
use crate::config::Config;
use crate::upstream::{Protocol, ServerAddress};

/// What runs here wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wants {
    /// Connections that may wait to be accepted.
    backlog: u64,
    /// Connections of clients at once, where the file says a number: `auto` follows the descriptors and is no wish.
    connections: Option<u64>,
    /// The fewest addresses of an upstream that needs a connection of ours for each request under way; `None` if none does.
    addresses: Option<u64>,
}

/// A limit that is too low.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    /// What it is called in `sysctl`.
    setting: &'static str,
    is: String,
    /// What to set it to.
    wanted: String,
    /// What happens otherwise.
    why: &'static str,
}

/// Ports that may be ours when all that are not reserved are.
const WIDEST_PORTS: (u64, u64) = (1024, 65_535);

impl Wants {
    /// What `config` asks for.
    pub(super) fn of(config: &Config) -> Self {
        let addresses = config.upstreams.iter().filter(|spec| spec.protocol == Protocol::Http1).filter_map(|spec| {
            // Without ports, a unix socket takes any number.
            let over_ip = spec.servers.iter().all(|server| !matches!(server.address, ServerAddress::Unix(_)));
            over_ip.then_some(spec.servers.len() as u64)
        });
        Self {
            backlog: BACKLOG.unsigned_abs().into(),
            connections: config.limits.connections.map(|connections| connections as u64),
            addresses: addresses.min(),
        }
    }
}

/// Warns of limits that are too low for `wants`.
pub(super) fn look(wants: &Wants) {
    let read = |setting: &str| {
        let path = Path::new("/proc/sys").join(setting.replace('.', "/"));
        std::fs::read_to_string(path).ok()
    };
    for Advice { setting, is, wanted, why } in advice(wants, &read) {
        tracing::warn!("{setting} is {is}: {why}; set it with `sysctl -w {setting}=\"{wanted}\"`");
    }
}

/// What is too low, of what `read` gives for the names of settings.
fn advice(wants: &Wants, read: &dyn Fn(&str) -> Option<String>) -> Vec<Advice> {
    let number = |setting: &str| read(setting)?.trim().parse::<u64>().ok();
    let mut advice = Vec::new();
    let mut at_least = |setting: &'static str, wanted: u64, why: &'static str| {
        if let Some(is) = number(setting).filter(|is| *is < wanted) {
            advice.push(Advice { setting, is: is.to_string(), wanted: wanted.to_string(), why });
        }
    };
    at_least(
        "net.core.somaxconn",
        wants.backlog,
        "it bounds the connections that wait to be accepted, and a burst beyond it is dropped",
    );
    // With cookies, a full table of half-open connections drops nobody.
    if number("net.ipv4.tcp_syncookies") == Some(0) {
        at_least(
            "net.ipv4.tcp_max_syn_backlog",
            wants.backlog,
            "without tcp_syncookies, half-open connections beyond it are dropped",
        );
    }
    if let Some(connections) = wants.connections {
        let wanted = connections.saturating_mul(2);
        at_least(
            "net.netfilter.nf_conntrack_max",
            wanted,
            "the firewall follows two connections for each of limits.connections, and packets of more are dropped",
        );
    }
    advice.extend(wants.connections.zip(wants.addresses).and_then(|(connections, addresses)| ports(connections, addresses, read)));
    advice
}

/// Each connection to one address of a server has a port of ours.
fn ports(connections: u64, addresses: u64, read: &dyn Fn(&str) -> Option<String>) -> Option<Advice> {
    const SETTING: &str = "net.ipv4.ip_local_port_range";
    let text = read(SETTING)?;
    let mut range = text.split_ascii_whitespace().map(str::parse::<u64>);
    let (Some(Ok(first)), Some(Ok(last)), None) = (range.next(), range.next(), range.next()) else { return None };
    let fit = (last.saturating_sub(first) + 1).saturating_mul(addresses.max(1));
    let is_widest = first <= WIDEST_PORTS.0 && last >= WIDEST_PORTS.1;
    (fit < connections && !is_widest).then(|| Advice {
        setting: SETTING,
        is: format!("{first} {last}"),
        wanted: format!("{} {}", WIDEST_PORTS.0, WIDEST_PORTS.1),
        why: "connections to one address of a server need a port each, and limits.connections is more than there are",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTS: Wants = Wants { backlog: 4096, connections: Some(20_000), addresses: Some(1) };

    /// What is told of a kernel with these settings.
    fn told(wants: &Wants, settings: &[(&str, &str)]) -> Vec<(&'static str, String, String)> {
        let read = |name: &str| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| format!("{value}\n"));
        advice(wants, &read).into_iter().map(|Advice { setting, is, wanted, .. }| (setting, is, wanted)).collect()
    }

    fn owned(setting: &'static str, is: &str, wanted: &str) -> (&'static str, String, String) {
        (setting, is.to_owned(), wanted.to_owned())
    }

    #[test]
    fn nothing_is_told_of_a_kernel_that_is_fine_or_that_cannot_be_read() {
        let fine = [
            ("net.core.somaxconn", "4096"),
            ("net.ipv4.tcp_syncookies", "1"),
            ("net.ipv4.tcp_max_syn_backlog", "128"),
            ("net.ipv4.ip_local_port_range", "32768\t60999"),
            ("net.netfilter.nf_conntrack_max", "40000"),
        ];
        assert_eq!(told(&WANTS, &fine), []);
        assert_eq!(told(&WANTS, &[]), []);
        let unreadable = fine.map(|(name, _)| (name, "what?"));
        assert_eq!(told(&WANTS, &unreadable), []);
    }

    #[test]
    fn each_limit_that_is_too_low_is_told_with_what_to_set_it_to() {
        let low = [
            ("net.core.somaxconn", "128"),
            ("net.ipv4.tcp_syncookies", "0"),
            ("net.ipv4.tcp_max_syn_backlog", "512"),
            ("net.ipv4.ip_local_port_range", "50000\t60999"),
            ("net.netfilter.nf_conntrack_max", "39999"),
        ];
        assert_eq!(
            told(&WANTS, &low),
            [
                owned("net.core.somaxconn", "128", "4096"),
                owned("net.ipv4.tcp_max_syn_backlog", "512", "4096"),
                owned("net.netfilter.nf_conntrack_max", "39999", "40000"),
                owned("net.ipv4.ip_local_port_range", "50000 60999", "1024 65535"),
            ]
        );
        let auto = Wants { connections: None, ..WANTS };
        assert_eq!(told(&auto, &low).len(), 2, "what nobody asked for does not lack");
    }

    #[test]
    fn ports_are_counted_for_each_address_and_not_told_where_there_are_no_more() {
        let ports = |wants: Wants, range: &str| told(&wants, &[("net.ipv4.ip_local_port_range", range)]).len();
        assert_eq!(ports(WANTS, "40001 60000"), 0);
        assert_eq!(ports(WANTS, "40002 60000"), 1);
        assert_eq!(ports(Wants { addresses: Some(2), ..WANTS }, "50001 60000"), 0);
        assert_eq!(ports(Wants { addresses: None, ..WANTS }, "60000 60000"), 0);
        assert_eq!(ports(Wants { connections: Some(1_000_000), ..WANTS }, "1024 65535"), 0);
        assert_eq!(ports(WANTS, "60000 50000"), 1);
    }

    #[test]
    fn a_wish_is_what_the_file_says() {
        let wants = |text: &str| Wants::of(&crate::config::parse("f", text, &|_| None).unwrap().0);
        let smallest = crate::config::defaults::SMALLEST_CONFIG;
        assert_eq!(wants(smallest), Wants { backlog: 4096, connections: None, addresses: Some(1) });
        let text = "limits: { connections: 7 }\nlisteners: [ { address: \"127.0.0.1:0\" } ]\nroutes: [ { match: { path: /a }, upstream: a }, { upstream: b } ]\nupstreams:\n";
        let a = "  a: { servers: [ \"10.0.0.1:1\", \"10.0.0.2:1\" ] }\n";
        for (b, addresses) in [
            ("  b: { servers: [ \"unix:/b\" ] }\n", Some(2)),
            ("  b: { servers: [ \"10.0.0.3:1\" ], protocol: h2c }\n", Some(2)),
            ("  b: { servers: [ \"10.0.0.3:1\" ] }\n", Some(1)),
        ] {
            assert_eq!(wants(&format!("{text}{a}{b}")), Wants { backlog: 4096, connections: Some(7), addresses });
        }
    }
}
