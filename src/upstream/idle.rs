//! The idle connections of one server. The one that was used last is used next, so that what is not needed grows old and is closed.
//!
//! A connection may be used again as long as its time is not over and nothing came on it: whatever a server sends unasked, its end
//! included, is nobody's. That is looked at before each use, and once a second ([`IdleList::sweep`]), so that what a server closed does
//! not lie here. Neither makes a system call while nothing came. A task for each connection that lies here, as Pingora's pool has it,
//! was a tenth of what an ordinary request costs.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::server::Tally;
use crate::transport::Socket;

/// Idle connections kept for one server; of more, the oldest is closed.
const MOST: usize = if cfg!(test) { 4 } else { 1024 };
/// How long a server may take for the word that ends a TLS connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// The idle connections of one server.
#[derive(Debug)]
pub(super) struct IdleList {
    /// By how long they have been here: the longest comes first.
    waiting: Mutex<VecDeque<Waiting>>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Waiting {
    socket: Socket,
    until: Instant,
    _count: Count,
}

/// One idle connection of a server.
#[derive(Debug)]
pub(super) struct Count(Arc<Tally>);

impl Count {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        tally.idle.fetch_add(1, Ordering::Relaxed);
        Self(tally)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.idle.fetch_sub(1, Ordering::Relaxed);
    }
}

impl IdleList {
    /// Holds nothing yet.
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { waiting: Mutex::default(), tally }
    }

    /// The connection that came last, of those that are open as far as can be seen.
    pub(super) fn take(&self, now: Instant) -> Option<Socket> {
        loop {
            let mut last = self.lock().pop_back()?;
            if last.is_usable(now) {
                return Some(last.socket);
            }
            close(last);
        }
    }

    /// Keeps `socket` until then.
    pub(super) fn put(&self, socket: Socket, until: Instant) {
        let waiting = Waiting { socket, until, _count: Count::new(Arc::clone(&self.tally)) };
        let mut list = self.lock();
        let surplus = if list.len() < MOST { None } else { list.pop_front() };
        list.push_back(waiting);
        drop(list);
        surplus.into_iter().for_each(close);
    }

    /// Closes those that nobody can use any more.
    pub(super) fn sweep(&self, now: Instant) {
        if self.tally.idle.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut over = Vec::new();
        let mut list = self.lock();
        for _ in 0..list.len() {
            let Some(mut waiting) = list.pop_front() else { break };
            if waiting.is_usable(now) {
                list.push_back(waiting);
            } else {
                over.push(waiting);
            }
        }
        drop(list);
        over.into_iter().for_each(close);
    }

    /// Never held over an await.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Whether its time is not over and nothing came. What TLS says of itself, as tickets, is not the server's word.
    fn is_usable(&mut self, now: Instant) -> bool {
        let mut byte = [0];
        let mut cx = Context::from_waker(Waker::noop());
        now < self.until && Pin::new(&mut self.socket).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
    }
}

/// Over TLS with a word, without which it would look cut (RFC 8446 section 6.1).
fn close(mut over: Waiting) {
    if over.socket.is_tls() {
        tokio::spawn(async move {
            let _ = tokio::time::timeout(FAREWELL, over.socket.shutdown()).await;
        });
    }
}
