//! Kernel limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// With fewer than these there is nothing left for clients behind listeners, runtimes and logs.
pub(super) const FEWEST_DESCRIPTORS: u64 = 64;
/// Descriptors that connections of clients may not use: listeners, runtimes, logs, the admin, health checks, names.
const RESERVED: u64 = 96;

/// How many connections of clients fit: each needs another one to its server.
pub(super) fn connections(descriptors: u64) -> usize {
    let reserved = RESERVED.min(descriptors * 3 / 4);
    usize::try_from((descriptors - reserved) / 2).unwrap_or(usize::MAX).max(1)
}

/// Raises the soft limit of descriptors to the hard one: an event stream takes two, and the usual 1024 last for five hundred. Returns
/// what the limit is then; `None` for unlimited.
#[must_use]
pub fn raise_descriptors() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => {
            tracing::debug!(descriptors = limit.maximum, "soft limit of descriptors raised");
            limit.maximum
        }
        Err(error) => {
            tracing::warn!(
                descriptors = limit.current,
                %error,
                "the soft limit of descriptors stays; raise it with `ulimit -n` or systemd's LimitNOFILE"
            );
            limit.current
        }
    }
}
