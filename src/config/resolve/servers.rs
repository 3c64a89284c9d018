//! The servers of an upstream, and how we learn which of them are well: `servers`, `health`, `ejection`. Nothing is looked up here:
//! a server that is away is no error of the file.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use http::uri::PathAndQuery;

use super::leaf::{self, Leaf};
use super::section::Section;
use crate::config::error::Report;
use crate::config::raw::Node;
use crate::config::{ListenerSpec, address, defaults, units};
use crate::upstream::{EjectionSpec, HealthCheck, HealthSpec, ServerAddress, ServerSpec};

/// `servers`: each an address alone, or with its weight. Warns of those that are ourselves.
pub(super) fn resolve(upstream: &Section<'_>, base: &Path, listeners: &[ListenerSpec], report: &mut Report<'_>) -> Vec<ServerSpec> {
    let mut servers = Vec::new();
    let mut lines = HashMap::new();
    for node in upstream.required_list("servers", report) {
        let Some(server) = server(upstream, node, base, report) else { continue };
        // Names are compared without case (RFC 4343).
        if let Some(first) = lines.insert(server.address.to_string().to_ascii_lowercase(), node.span.line) {
            let help = format!("keep one of them: the first is on line {first}; a larger share is `{{ address, weight: 2 }}`");
            report.error(node.span, "this server is there twice", help);
        }
        if let Some(listener) = listeners.iter().find(|listener| is_ours(&server.address, listener.address)) {
            let message = format!("this server is our own listener {}: requests would come back to us for ever", listener.address);
            report.warning(node.span, message, "name the server behind us, with its own port");
        }
        servers.push(server);
    }
    servers
}

/// Whether a connection to the server would reach the listener, as far as the file tells. Names but `localhost` are not looked up.
fn is_ours(server: &ServerAddress, listener: SocketAddr) -> bool {
    let ServerAddress::Tcp { host, port } = server else { return false };
    let takes = |ip: IpAddr| {
        let (server, listener) = (ip.to_canonical(), listener.ip().to_canonical());
        // Connecting to the unspecified address is connecting to ourselves.
        server == listener || is_here(server) && listener.is_unspecified() || server.is_unspecified() && is_here(listener)
    };
    *port == listener.port()
        && match host.parse() {
            Ok(ip) => takes(ip),
            Err(_) => host.eq_ignore_ascii_case("localhost") && is_here(listener.ip()),
        }
}

fn is_here(ip: IpAddr) -> bool {
    ip.is_loopback() || ip.is_unspecified()
}

fn server(upstream: &Section<'_>, node: &Node, base: &Path, report: &mut Report<'_>) -> Option<ServerSpec> {
    if let Some(leaf) = Leaf::of("servers", node) {
        return Some(ServerSpec { address: address(&leaf, base, report)?, weight: defaults::WEIGHT });
    }
    let server = upstream.item("servers", node)?;
    let weight = leaf::small_number(server.leaf("weight"), defaults::WEIGHT, 1..=defaults::MOST_WEIGHT, report);
    let leaf = server.required_leaf("address", report)?;
    Some(ServerSpec { address: address(&leaf, base, report)?, weight })
}

fn address(leaf: &Leaf<'_>, base: &Path, report: &mut Report<'_>) -> Option<ServerAddress> {
    match address::server(leaf.text()) {
        Ok(ServerAddress::Unix(path)) => Some(ServerAddress::Unix(base.join(path))),
        Ok(address) => Some(address),
        Err(error) => {
            let fix = error.meant.as_ref().map(|meant| format!("write `{meant}`"));
            leaf.refuse_with_fix(&error, fix, address::SERVER_FORM, report);
            None
        }
    }
}

/// `health`: off, over HTTP, or over TCP.
pub(super) fn health(upstream: &Section<'_>, report: &mut Report<'_>) -> Option<HealthSpec> {
    let health = upstream.switched_on("health")?;
    let interval = leaf::duration(health.leaf("interval"), defaults::HEALTH_INTERVAL, defaults::CHECK_INTERVALS, report);
    let mut in_a_row = |key, default| leaf::small_number(health.leaf(key), default, 1..=defaults::MOST_IN_A_ROW, report);
    let (rise, fall) = (in_a_row("rise", defaults::HEALTH_RISE), in_a_row("fall", defaults::HEALTH_FALL));
    let timeout = health_timeout(&health, interval, report);
    let check = health_check(&health, report)?;
    Some(HealthSpec { check, interval, timeout, rise, fall })
}

fn health_check(health: &Section<'_>, report: &mut Report<'_>) -> Option<HealthCheck> {
    const EITHER: &str = "write `path: /healthz` for a request, or `tcp: true` for a mere connection";
    let is_tcp = leaf::flag(health.leaf("tcp"), false, report);
    let path = health.leaf("path");
    if is_tcp && path.is_some() {
        report.error(health.key_span("tcp"), "`tcp` and `path` exclude each other", EITHER);
    } else if !is_tcp && !health.has("path") {
        report.error(health.key_span("tcp"), "`health` needs `path` or `tcp: true`", EITHER);
    }
    let Some(path) = path else { return Some(HealthCheck::Tcp) };
    request_path(&path, report).map(|path| HealthCheck::Http(path.to_owned()))
}

/// A path, perhaps with a query, that we ask for ourselves.
pub(super) fn request_path<'n>(path: &Leaf<'n>, report: &mut Report<'_>) -> Option<&'n str> {
    // HTTP/2 carries it as a part of a URI, which is stricter than a request line.
    let is_sendable = !path.text().contains('#') && path.text().parse::<PathAndQuery>().is_ok();
    if path.text().starts_with('/') && path.text().is_ascii() && is_sendable {
        return Some(path.text());
    }
    path.refuse(
        "is no path of a request",
        "write a path that starts with `/`, such as `/healthz`, in ASCII and without blanks",
        report,
    );
    None
}

/// Left out, it is never longer than the interval; two checks of one server at once would tell nothing.
fn health_timeout(health: &Section<'_>, interval: Duration, report: &mut Report<'_>) -> Duration {
    let default = defaults::HEALTH_TIMEOUT.min(interval);
    let timeout = leaf::duration(health.leaf("timeout"), default, defaults::TIMEOUTS, report);
    if timeout > interval {
        let [timeout, interval] = [timeout, interval].map(units::show_duration);
        let message = format!("`timeout` ({timeout}) is longer than `interval` ({interval})");
        report.error(health.key_span("timeout"), message, format!("write `timeout: {interval}` or less, or a longer `interval`"));
    }
    timeout
}

/// `ejection`.
pub(super) fn ejection(upstream: &Section<'_>, report: &mut Report<'_>) -> EjectionSpec {
    let ejection = upstream.section("ejection");
    let EjectionSpec { failures, duration } = defaults::EJECTION;
    EjectionSpec {
        failures: leaf::small_number(ejection.leaf("failures"), failures, 1..=defaults::MOST_IN_A_ROW, report),
        duration: leaf::duration(ejection.leaf("for"), duration, defaults::TIMEOUTS, report),
    }
}
