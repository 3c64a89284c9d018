//! `trusted_proxies`, `forwarded`, `log`: what we believe of those before us, tell those behind us, and write down.

use std::net::IpAddr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use super::Outside;
use super::leaf::{self, Leaf};
use super::section::Section;
use crate::client_id::TrustedProxies;
use crate::config::error::Report;
use crate::config::words::{FORMATS, FORWARDED, LATER_FORMATS, LEVELS};
use crate::config::{AccessLog, LogSpec, schema};
use crate::message::forwarded::ForwardedPolicy;

/// `trusted_proxies`: networks, or single addresses.
pub(super) fn trusted_proxies(file: &Section<'_>, report: &mut Report<'_>) -> TrustedProxies {
    let leaves = file.any_leaves("trusted_proxies");
    TrustedProxies { networks: leaves.iter().filter_map(|leaf| network(leaf, report)).collect() }
}

fn network(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<IpNet> {
    const FORM: &str = "write a network or an address, such as `10.0.0.0/8`, `192.0.2.1` or `fd00::/8`";
    let text = leaf.text().trim();
    let Some(net) = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from)) else {
        leaf.refuse("is no network and no IP address", FORM, report);
        return None;
    };
    if let Some(ipv4) = mapped_ipv4(&net) {
        leaf.refuse_with_fix("is IPv4 mapped into IPv6, which we read as IPv4", Some(format!("write `{ipv4}`")), FORM, report);
        return None;
    }
    if net.trunc() != net {
        leaf.refuse_with_fix("has bits set after its prefix", Some(format!("write `{}`", net.trunc())), FORM, report);
        return None;
    }
    if net.prefix_len() == 0 {
        let message = "everybody is trusted: any client can claim any address, and escape the caps by it";
        report.warning(leaf.span(), message, "name the networks of your own proxies");
    }
    Some(net)
}

/// `::ffff:10.0.0.0/104` is `10.0.0.0/8` (RFC 4291 section 2.5.5.2).
fn mapped_ipv4(net: &IpNet) -> Option<Ipv4Net> {
    let IpNet::V6(net) = net else { return None };
    let address = net.addr().to_ipv4_mapped()?;
    Ipv4Net::new(address, net.prefix_len().checked_sub(96)?).ok().map(|net| net.trunc())
}

/// `forwarded`.
pub(super) fn forwarded(file: &Section<'_>, report: &mut Report<'_>) -> ForwardedPolicy {
    leaf::choice(file.leaf("forwarded"), ForwardedPolicy::default(), &FORWARDED, &[], report)
}

/// `log`; `base` is where the file lies.
pub(super) fn log(file: &Section<'_>, base: &Path, outside: &dyn Outside, report: &mut Report<'_>) -> LogSpec {
    let log = file.section("log");
    LogSpec {
        level: leaf::choice(log.leaf("level"), Default::default(), &LEVELS, &[], report),
        format: leaf::choice(log.leaf("format"), Default::default(), &FORMATS, LATER_FORMATS, report),
        access: access(&log, base, outside, report),
    }
}

fn access(log: &Section<'_>, base: &Path, outside: &dyn Outside, report: &mut Report<'_>) -> AccessLog {
    const FORM: &str = "write `stdout`, `off`, or the path of a file, such as `./access.log`";
    let Some(leaf) = log.leaf("access") else { return AccessLog::default() };
    match leaf.text() {
        "stdout" => return AccessLog::Stdout,
        text if schema::is_off(text) => return AccessLog::Off,
        text if text.contains(char::is_control) => leaf.refuse("has control characters in it", FORM, report),
        text if text.ends_with('/') => leaf.refuse("is a directory", FORM, report),
        // A word alone is a typing error more often than a file.
        text if !text.contains(['/', '.']) => leaf.refuse("is neither `stdout` nor `off` nor a path", FORM, report),
        text => {
            let path = base.join(text);
            if !outside.is_pipe(&path) {
                return AccessLog::File(path);
            }
            leaf.refuse("is a named pipe, which opens only when it has a reader: the start would hang", FORM, report);
        }
    }
    AccessLog::default()
}
