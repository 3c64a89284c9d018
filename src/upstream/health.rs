//! Active checks: each server is asked every `interval` whether it can work. They say whether a server is up and nothing else; what
//! follows from that is decided where requests pick.
//!
//! A server is up until `fall` checks in a row failed, also at the start: one that starts at the same time as we do is not put down by
//! its first missed check. Until then failed connects are found out by the requests themselves, which go to another server.

mod check;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

use super::Upstream;
use super::server::Server;
use super::spec::{HealthSpec, UpstreamSpec};

/// How a server's checks went lately. Pure.
#[derive(Debug)]
struct Streak {
    up: bool,
    /// Checks in a row that said otherwise.
    against: u32,
}

impl Streak {
    fn new(up: bool) -> Self {
        Self { up, against: 0 }
    }

    /// Takes a result; returns whether the server is up, if that changed.
    fn observe(&mut self, passed: bool, spec: &HealthSpec) -> Option<bool> {
        if passed == self.up {
            self.against = 0;
            return None;
        }
        self.against += 1;
        let needed = if self.up { spec.fall } else { spec.rise };
        if self.against < needed {
            return None;
        }
        *self = Self::new(passed);
        Some(passed)
    }
}

/// Checks all servers of the upstream, as the list changes.
pub(super) async fn check_all(upstream: Arc<Upstream>, spec: HealthSpec, mut changes: watch::Receiver<u64>) {
    let spec = Arc::new(spec);
    let mut tasks = JoinSet::new();
    let mut checked: Vec<(Arc<Server>, AbortHandle)> = Vec::new();
    loop {
        let listed = upstream.servers();
        checked.retain(|(server, task)| {
            let stays = listed.iter().any(|other| Arc::ptr_eq(other, server));
            if !stays {
                task.abort();
            }
            stays
        });
        for server in listed {
            if !checked.iter().any(|(other, _)| Arc::ptr_eq(other, &server)) {
                let task = tasks.spawn(watch_server(Arc::clone(&upstream.spec), Arc::clone(&server), Arc::clone(&spec)));
                checked.push((server, task));
            }
        }
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return },
            // Of servers that left.
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn watch_server(upstream: Arc<UpstreamSpec>, server: Arc<Server>, spec: Arc<HealthSpec>) {
    let mut streak = Streak::new(server.is_up());
    loop {
        let result = check::run(&server, &spec, upstream.protocol).await;
        if let Some(passed) = check::verdict(&result)
            && let Some(up) = streak.observe(passed, &spec)
        {
            server.set_up(up);
            let (upstream, server) = (&*upstream.name, server.address());
            match result {
                Ok(passed) => tracing::info!(upstream, server, reason = %passed, in_a_row = spec.rise, "server is up"),
                Err(failed) => {
                    tracing::warn!(upstream, server, reason = %failed, in_a_row = spec.fall, "server is down")
                }
            }
        }
        tokio::time::sleep(spec.interval).await;
    }
}

#[cfg(test)]
mod tests;
