//! What was taken from the upstream and not yet by the client: the backpressure of a stream. Nothing is allocated while nothing waits.

use std::io;
use std::task::{Context, Poll};

use super::client_end::ClientSide;

/// Framed bytes that wait for the client.
pub(super) struct Unsent {
    bytes: Vec<u8>,
    /// So many of them are sent.
    sent: usize,
    /// All are, but TLS still holds some of them.
    flushing: bool,
}

impl Unsent {
    /// Before anything waits but the response's `head`, of which TLS may hold what was written of it.
    pub(super) fn new(head: Vec<u8>) -> Self {
        Self { bytes: head, sent: 0, flushing: true }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len() && !self.flushing
    }

    /// Writes what waits, then `fresh`; what `client` does not take waits from now on. Returns how much it took.
    pub(super) fn write(&mut self, client: &mut ClientSide, cx: &mut Context<'_>, fresh: &[u8]) -> io::Result<usize> {
        // Two writes would wake the client twice.
        let waits = self.sent < self.bytes.len();
        if waits {
            self.bytes.extend_from_slice(fresh);
        }
        let all = if waits { &self.bytes[self.sent..] } else { fresh };
        let written = write_some(client, cx, all)?;
        let flushing = client.poll_flush(cx)?.is_pending();
        if waits && written < all.len() {
            self.sent += written;
            self.flushing = flushing;
        } else {
            *self = Self { bytes: all[written..].to_vec(), sent: 0, flushing };
        }
        Ok(written)
    }
}

/// How much of `bytes` the client takes now.
fn write_some(client: &mut ClientSide, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < bytes.len() {
        match client.poll_write(cx, &bytes[written..])? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(n) => written += n,
            Poll::Pending => break,
        }
    }
    Ok(written)
}
