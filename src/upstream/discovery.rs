//! Names to addresses: each name is looked up at the start, every `resolve`, and soon after a connect failed. It only tells what it
//! found; what that means for the list is the roster's to say.
//!
//! A lookup that fails takes nothing away: the addresses of the last one stay. The operating system does not tell a name that is gone
//! from a resolver that is away, and a server that is gone is found out by its connects and checks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Upstream;
use super::spec::ServerAddress;
use crate::clock;

/// Between two lookups of a name at least, however many connects fail.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who knows the addresses of names.
#[async_trait]
pub(super) trait Lookup: Send + Sync {
    /// All addresses of `host`, with `port`.
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The resolver of the operating system.
#[derive(Debug)]
pub(super) struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// Looks one name of the upstream up, again and again. `position` is that of its entry in `servers`.
pub(super) async fn follow(upstream: Arc<Upstream>, position: usize, host: String, port: u16) {
    let mut failed_connects = upstream.failed_connects.subscribe();
    let mut first = true;
    let mut failing = false;
    loop {
        let next = clock::now() + upstream.spec.resolve;
        let found = upstream.lookup.lookup(&host, port).await.and_then(|addresses| match addresses[..] {
            [] => Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address")),
            _ => Ok(addresses),
        });
        match found {
            Ok(addresses) => {
                if std::mem::take(&mut failing) {
                    tracing::info!(upstream = upstream.name(), name = host, "the name has an address again");
                }
                upstream.learn(position, &addresses);
            }
            // Once for a row of failures; they come every `resolve`.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                let kept = if first { "down until it has one" } else { "the addresses known before stay" };
                tracing::warn!(upstream = upstream.name(), name = host, %error, "no address for a server's name: {kept}");
            }
            Err(_) => {}
        }
        if std::mem::take(&mut first) {
            upstream.unsettled.send_modify(|names| *names -= 1);
        }
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = async {
                tokio::time::sleep(LOOK_AGAIN).await;
                // The sender lives in the upstream, so the channel cannot close while we wait.
                let _ = failed_connects.changed().await;
            } => {}
        }
    }
}

/// The entries that need lookups: position, host, port.
pub(super) fn names(upstream: &Upstream) -> impl Iterator<Item = (usize, &str, u16)> {
    upstream.spec.servers.iter().enumerate().filter_map(|(position, server)| match &server.address {
        ServerAddress::Tcp { host, port } if host.parse::<std::net::IpAddr>().is_err() => Some((position, host.as_str(), *port)),
        ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => None,
    })
}

#[cfg(test)]
mod tests;
