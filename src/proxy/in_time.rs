//! Socket work that may take only so long.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

/// What `poll` gives, or [`io::ErrorKind::TimedOut`] once `limit` passed. What can be done at once, as nearly all writes, has no timer
/// made and no clock read for it.
pub(super) async fn in_time<T>(limit: Duration, mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>) -> io::Result<T> {
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(poll(cx))).await {
        return done;
    }
    tokio::time::timeout(limit, poll_fn(poll)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
