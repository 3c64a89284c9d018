//! `listeners` and `admin`: where we listen. Two of the same address cannot both be bound, so they are refused here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::path::Path;

use super::leaf::Leaf;
use super::section::Section;
use super::{Outside, tls};
use crate::config::error::Report;
use crate::config::source::Span;
use crate::config::{ListenerSpec, address, defaults};

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
            listeners.push(ListenerSpec { address, tls });
        }
    }
    (listeners, admin(file, &taken, report))
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
