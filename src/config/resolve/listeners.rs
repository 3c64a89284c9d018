//! `listeners` and `admin`: where we listen. Two of the same address cannot both be bound, so they are refused here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::Path;

use super::leaf::{self, Leaf};
use super::section::Section;
use super::{Outside, tls};
use crate::config::error::Report;
use crate::config::source::Span;
use crate::config::units::show_size;
use crate::config::words::PROXY_PROTOCOLS;
use crate::config::{ListenerHttp2, ListenerSpec, address, defaults, schema};

/// The listeners, and where operators connect.
pub(super) fn resolve(
    file: &Section<'_>,
    base: &Path,
    outside: &dyn Outside,
    report: &mut Report<'_>,
) -> (Vec<ListenerSpec>, Option<SocketAddr>) {
    let mut taken = Taken::default();
    let mut listeners = Vec::new();
    for (_, listener) in file.required_sections("listeners", report) {
        let tls = tls::listener(&listener, base, outside, report);
        let Some(leaf) = listener.required_leaf("address", report) else { continue };
        if let Some(address) = listen(&leaf, report) {
            taken.claim(address, leaf.span(), report);
            let http2 = http2(&listener, report);
            let proxy_protocol = proxy_protocol(&listener, file, report);
            let redirect_to_https = redirect_to_https(&listener, address, report);
            listeners.push(ListenerSpec { address, tls, http2, proxy_protocol, redirect_to_https });
        }
    }
    (listeners, admin(file, &taken, report))
}

/// `h2`. A stream could never use a window that is larger than its connection's.
fn http2(listener: &Section<'_>, report: &mut Report<'_>) -> ListenerHttp2 {
    let (h2, default) = (listener.section("h2"), defaults::LISTENER_HTTP2);
    let http2 = ListenerHttp2 {
        streams: leaf::small_number(h2.leaf("streams"), default.streams, 1..=defaults::MOST_STREAMS, report),
        stream_window: leaf::window(h2.leaf("stream_window"), default.stream_window, report),
        connection_window: leaf::window(h2.leaf("connection_window"), default.connection_window, report),
        idle: leaf::duration(h2.leaf("idle"), default.idle, defaults::TIMEOUTS, report),
    };
    if http2.connection_window < http2.stream_window {
        let (stream, connection) = (show_size(http2.stream_window.into()), show_size(http2.connection_window.into()));
        let at = if h2.has("connection_window") { "connection_window" } else { "stream_window" };
        report.error(
            h2.key_span(at),
            format!(
                "`connection_window` is {connection}, less than the `stream_window` of {stream}: one stream could not use its own"
            ),
            format!("write `connection_window: {stream}` or more, or a smaller `stream_window`"),
        );
    }
    http2
}

fn admin(file: &Section<'_>, taken: &Taken, report: &mut Report<'_>) -> Option<SocketAddr> {
    if file.is_off("admin") {
        return None;
    }
    let leaf = file.section("admin").leaf("address");
    let address = match &leaf {
        Some(leaf) => listen(leaf, report)?,
        None => defaults::ADMIN_ADDRESS,
    };
    if let Some(listener) = taken.find(address) {
        let help = "give one of them another port, or write `admin: off`";
        match leaf {
            Some(leaf) => leaf.refuse(format_args!("is taken by the listener on line {}", listener.line), help, report),
            None => report.error(listener, format!("`admin` listens at {address} by default"), help),
        }
    }
    Some(address)
}

/// Whether connections of trusted proxies begin with a PROXY header; without such proxies nobody may send one.
fn proxy_protocol(listener: &Section<'_>, file: &Section<'_>, report: &mut Report<'_>) -> bool {
    let leaf = listener.leaf("proxy_protocol");
    let accepts = leaf::choice(leaf, false, &PROXY_PROTOCOLS, &[], report);
    if accepts && file.any_leaves("trusted_proxies").is_empty() {
        let message = "`proxy_protocol: accept` without `trusted_proxies`: nobody may send a PROXY header";
        let help = "name the networks of the proxies that send it, such as `trusted_proxies: [ 10.0.0.0/8 ]`";
        report.error(listener.key_span("proxy_protocol"), message, help);
    }
    accepts
}

/// The port of HTTPS that cleartext is sent to.
fn redirect_to_https(listener: &Section<'_>, address: SocketAddr, report: &mut Report<'_>) -> Option<u16> {
    let leaf = listener.leaf("redirect_to_https")?;
    if schema::is_off(leaf.text()) {
        return None;
    }
    if listener.switched_on("tls").is_some() {
        let message = "`redirect_to_https` beside `tls`: whoever comes here speaks HTTPS already";
        report.error(listener.key_span("redirect_to_https"), message, "remove it, or move it to a listener without `tls`");
    }
    let port = leaf.text().parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        leaf.refuse("is neither `off` nor a port", "write `off`, or the port that HTTPS is served on, such as `443`", report);
    }
    if port == Some(address.port()) {
        let message =
            "`redirect_to_https` names this listener's own port: unless a proxy before us speaks HTTPS there, everybody comes back";
        report.warning(leaf.span(), message, "write the port that HTTPS is served on, such as `443`");
    }
    port
}

fn listen(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<SocketAddr> {
    match address::listen(leaf.text()) {
        Ok(address) => Some(address),
        Err(error) => {
            let fix = error.meant.as_ref().map(|meant| format!("write `{meant}`"));
            leaf.refuse_with_fix(&error, fix, address::LISTEN_FORM, report);
            None
        }
    }
}

/// The addresses so far and where they stand; without port 0, which is a free port each time.
#[derive(Debug, Default)]
struct Taken(HashMap<SocketAddr, Span>);

impl Taken {
    fn claim(&mut self, address: SocketAddr, at: Span, report: &mut Report<'_>) {
        if address.port() == 0 {
            return;
        }
        match self.0.entry(address) {
            Entry::Vacant(free) => {
                free.insert(at);
            }
            Entry::Occupied(first) => {
                let message = format!("two listeners have the same address: the first is on line {}", first.get().line);
                report.error(at, message, "remove one of them, or give it another port");
            }
        }
    }

    fn find(&self, address: SocketAddr) -> Option<Span> {
        self.0.get(&address).copied()
    }
}
