//! Where connections come from. One source address reaches one server port as often as there are ephemeral ports; a load on a loopback
//! address that is larger takes more of 127.0.0.0/8.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Linux: 32768 to 60999.
const USUAL_PORTS: u32 = 28_232;

/// The ports that one source address has on this machine.
pub(super) fn ephemeral_ports() -> u32 {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    parse_range(&range).unwrap_or(USUAL_PORTS)
}

fn parse_range(text: &str) -> Option<u32> {
    let mut ends = text.split_whitespace().map(str::parse::<u32>);
    let (low, high) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(high.checked_sub(low)? + 1)
}

/// The addresses for so many connections where none were given: none, if what the system takes is enough or is all there is.
pub(super) fn choose(targets: &[SocketAddr], connections: u32, ports: u32) -> Vec<IpAddr> {
    let is_loopback = |address: &SocketAddr| matches!(address.ip(), IpAddr::V4(ip) if ip.is_loopback());
    // Some ports are taken by others, or not free again yet.
    let per_address = (ports / 4 * 3).max(1);
    if connections <= per_address || !targets.iter().any(is_loopback) {
        return Vec::new();
    }
    let first = u32::from(Ipv4Addr::LOCALHOST);
    (0..connections.div_ceil(per_address)).map(|n| Ipv4Addr::from(first + n).into()).collect()
}

/// Whether each of `sources` can reach one of `targets`; the first that cannot.
pub(super) fn unfit(sources: &[IpAddr], targets: &[SocketAddr]) -> Option<IpAddr> {
    sources.iter().find(|source| targets.iter().all(|target| target.is_ipv4() != source.is_ipv4())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(target: &str, connections: u32, ports: u32) -> Vec<String> {
        choose(&[target.parse().unwrap()], connections, ports).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn more_loopback_addresses_are_taken_when_the_ports_of_one_are_not_enough() {
        assert!(chosen("127.0.0.1:80", 21_000, USUAL_PORTS).is_empty());
        assert_eq!(chosen("127.0.0.1:80", 21_175, USUAL_PORTS), ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(chosen("127.9.9.9:80", 90, 40), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(chosen("127.0.0.1:80", 3, 1).len(), 3);
        assert!(chosen("192.0.2.1:80", 90_000, 40).is_empty());
        assert!(chosen("[::1]:80", 90_000, 40).is_empty(), "there is only one");
    }

    #[test]
    fn the_range_is_read_as_linux_writes_it() {
        assert_eq!(parse_range("32768\t60999\n"), Some(USUAL_PORTS));
        assert_eq!(parse_range("1024 1024"), Some(1));
        for wrong in ["", "1024", "60999 32768", "a b"] {
            assert_eq!(parse_range(wrong), None, "{wrong:?}");
        }
        assert!(ephemeral_ports() > 0);
    }

    #[test]
    fn a_source_of_the_other_family_reaches_nobody() {
        let targets: Vec<SocketAddr> = vec!["127.0.0.1:80".parse().unwrap()];
        assert_eq!(unfit(&["127.0.0.2".parse().unwrap(), "::1".parse().unwrap()], &targets), Some("::1".parse().unwrap()));
        assert_eq!(unfit(&["127.0.0.2".parse().unwrap()], &targets), None);
    }
}
