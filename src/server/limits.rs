//! Kernel limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of descriptors to the hard one: an event stream takes two, and the usual 1024 last for five hundred.
pub(super) fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        Ok(()) => tracing::debug!(descriptors = limit.maximum, "soft limit of descriptors raised"),
        Err(error) => tracing::warn!(
            descriptors = limit.current,
            %error,
            "the soft limit of descriptors stays; raise it with `ulimit -n` or systemd's LimitNOFILE"
        ),
    }
}
