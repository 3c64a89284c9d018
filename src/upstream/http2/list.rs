//! The connections of one server, counted: which has room, which is on its way and who waits for it, which is idle since when.
//!
//! Everything is under one lock, held for no longer than a count; nothing here reads a socket. What is sent to those who wait is sent
//! outside the lock, since a lease that nobody takes any more comes back through it.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::oneshot;

use super::{ConnectError, FAREWELL, Http2Lease};
use crate::clock;
use crate::upstream::idle::Count;
use crate::upstream::server::Tally;

/// The connections of one server.
pub(super) struct List {
    state: Mutex<State>,
    tally: Arc<Tally>,
}

struct State {
    /// By age: the oldest with room comes first, so that the younger ones fall idle when there is less to do.
    links: BTreeMap<u64, Link>,
    openings: Vec<Opening>,
    /// What the server allowed on the last connection that was opened.
    allowed: usize,
    next: u64,
    is_closed: bool,
}

/// A connection.
struct Link {
    /// `None` from when it gets no new stream.
    requests: Option<SendRequest<Bytes>>,
    leases: usize,
    keep_alive: Option<Duration>,
    idle: Option<(Instant, Count)>,
}

/// A connection on its way.
struct Opening {
    id: u64,
    attempt: Arc<Attempt>,
    waiting: Vec<oneshot::Sender<Outcome>>,
}

/// What those who wait for one connection share.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    told: AtomicBool,
}

impl Attempt {
    /// Whether nobody told of its failure before.
    pub(super) fn is_first_to_tell(&self) -> bool {
        !self.told.swap(true, Ordering::Relaxed)
    }
}

/// What a request gets.
pub(super) enum Taken {
    /// A stream.
    Lease(Http2Lease),
    /// A place in the queue for a connection that another request began.
    Joined(Waiting),
    /// The same for one that is to be opened now.
    Opening(Ticket, Waiting),
}

/// A place in the queue for a connection.
pub(super) struct Waiting {
    pub(super) outcome: oneshot::Receiver<Outcome>,
    pub(super) attempt: Arc<Attempt>,
}

/// What waiting came to.
pub(super) enum Outcome {
    Lease(Http2Lease),
    /// The server allows fewer streams than there were requests before this one.
    Full,
    Failed(ConnectError),
}

/// What a connection without an event is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Ask again after that.
    For(Duration),
    /// It gets no more streams and has none.
    Leaving,
}

impl List {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        let state = State { links: BTreeMap::new(), openings: Vec::new(), allowed: usize::MAX, next: 0, is_closed: false };
        Self { state: Mutex::new(state), tally }
    }

    /// A stream on a connection that has room, unless it must be `fresh`; else a place with those who wait for one; else the order to
    /// open one. `most` streams a connection.
    pub(super) fn take(self: &Arc<Self>, fresh: bool, most: usize) -> Taken {
        let mut state = self.state();
        if !fresh && let Some(lease) = self.lease(&mut state, most) {
            self.tally.reused.fetch_add(1, Ordering::Relaxed);
            return Taken::Lease(lease);
        }
        let room = most.min(state.allowed);
        let (sender, outcome) = oneshot::channel();
        let has_room = |opening: &mut Opening| {
            if opening.waiting.len() >= room {
                opening.waiting.retain(|waiting| !waiting.is_closed());
            }
            opening.waiting.len() < room
        };
        if let Some(position) = state.openings.iter_mut().position(has_room) {
            let opening = &mut state.openings[position];
            opening.waiting.push(sender);
            return Taken::Joined(Waiting { outcome, attempt: Arc::clone(&opening.attempt) });
        }
        let (id, attempt) = (state.next, Arc::<Attempt>::default());
        state.next += 1;
        state.openings.push(Opening { id, attempt: Arc::clone(&attempt), waiting: vec![sender] });
        Taken::Opening(Ticket { list: Arc::clone(self), id }, Waiting { outcome, attempt })
    }

    /// No connection gets a new stream from now on.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.links.values_mut().for_each(Link::retire);
    }

    /// Connections that get new streams, for tests.
    #[cfg(test)]
    pub(super) fn open(&self) -> usize {
        self.state().links.values().filter(|link| link.requests.is_some()).count()
    }

    /// Leases of each connection, for tests.
    #[cfg(test)]
    pub(super) fn leases(&self) -> Vec<usize> {
        self.state().links.values().map(|link| link.leases).collect()
    }

    fn lease(self: &Arc<Self>, state: &mut State, most: usize) -> Option<Http2Lease> {
        state.links.iter_mut().find_map(|(id, link)| {
            let requests = link.with_room(most)?;
            link.leases += 1;
            link.idle = None;
            Some(Http2Lease { requests, reused: true, _claim: self.claim(*id) })
        })
    }

    fn claim(self: &Arc<Self>, id: u64) -> Claim {
        Claim { list: Arc::clone(self), id }
    }

    /// Those who wait for the connection, which is no longer on its way.
    fn waiting(state: &mut State, id: u64) -> Vec<oneshot::Sender<Outcome>> {
        let position = state.openings.iter().position(|opening| opening.id == id);
        position.map(|position| state.openings.swap_remove(position).waiting).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    /// A sender for one stream more, if there may be one.
    fn with_room(&mut self, most: usize) -> Option<SendRequest<Bytes>> {
        let requests = self.requests.as_ref()?;
        if self.leases >= most || self.leases >= requests.current_max_send_streams() || !self.is_usable() {
            return None;
        }
        self.requests.clone()
    }

    /// Whether it may get another stream; retires it for ever when it failed, when its server said GOAWAY or when it ran out of numbers.
    fn is_usable(&mut self) -> bool {
        let polled = self.requests.as_mut().map(|requests| requests.poll_ready(&mut Context::from_waker(Waker::noop())));
        // Pending is what a sender can be that has sent something; ours never does.
        let is_usable = matches!(polled, Some(Poll::Ready(Ok(())) | Poll::Pending));
        if !is_usable {
            self.retire();
        }
        is_usable
    }

    fn retire(&mut self) {
        self.requests = None;
        self.idle = None;
    }
}

/// The order to open a connection. However it ends, those who wait are told.
pub(super) struct Ticket {
    list: Arc<List>,
    id: u64,
}

impl Ticket {
    /// The connection stands. Those who wait get their streams, as far as there are.
    pub(super) fn opened(self, requests: SendRequest<Bytes>, most: usize, keep_alive: Option<Duration>) -> Driven {
        let (list, id) = (Arc::clone(&self.list), self.id);
        let driven = Driven { list: Arc::clone(&list), id };
        list.tally.opened.fetch_add(1, Ordering::Relaxed);
        let allowed = requests.current_max_send_streams();
        let (outcomes, unclaimed) = {
            let mut state = list.state();
            state.allowed = allowed;
            let mut waiting = List::waiting(&mut state, id);
            waiting.retain(|waiting| !waiting.is_closed());
            let served = waiting.len().min(most.min(allowed));
            let outcomes: Vec<_> = waiting
                .into_iter()
                .enumerate()
                .map(|(position, waiting)| {
                    let lease = || Http2Lease { requests: requests.clone(), reused: false, _claim: list.claim(id) };
                    (waiting, if position < served { Outcome::Lease(lease()) } else { Outcome::Full })
                })
                .collect();
            let requests = (!state.is_closed).then_some(requests);
            // Without anybody it is claimed for a moment by us, so that it falls idle as every other does.
            state.links.insert(id, Link { requests, leases: served.max(1), keep_alive, idle: None });
            (outcomes, (served == 0).then(|| list.claim(id)))
        };
        drop(unclaimed);
        for (waiting, outcome) in outcomes {
            // Who left meanwhile gives the lease back by not taking it.
            let _ = waiting.send(outcome);
        }
        driven
    }

    /// There is no connection.
    pub(super) fn failed(self, error: &ConnectError) {
        self.tell(error);
    }

    fn tell(&self, error: &ConnectError) {
        let waiting = List::waiting(&mut self.list.state(), self.id);
        for waiting in waiting {
            let _ = waiting.send(Outcome::Failed(copy(error)));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Nobody waits any more but where the task broke off.
        self.tell(&ConnectError::Refused(io::Error::other("the connect was broken off")));
    }
}

/// The same error for one more who waits.
fn copy(error: &ConnectError) -> ConnectError {
    let same = |error: &io::Error| io::Error::new(error.kind(), error.to_string());
    match error {
        ConnectError::Refused(error) => ConnectError::Refused(same(error)),
        ConnectError::Exhausted(error) => ConnectError::Exhausted(same(error)),
        ConnectError::Tls(error) => ConnectError::Tls(same(error)),
        ConnectError::TimedOut => ConnectError::TimedOut,
    }
}

/// A connection that runs; dropping it is how it leaves the list.
pub(super) struct Driven {
    list: Arc<List>,
    id: u64,
}

impl Driven {
    /// What to do next when nothing happens.
    pub(super) fn rest(&self, now: Instant) -> Rest {
        let mut state = self.list.state();
        let Some(link) = state.links.get_mut(&self.id) else { return Rest::Leaving };
        if link.leases > 0 {
            // It can be idle for so long from now on at the earliest.
            return Rest::For(link.keep_alive.unwrap_or(FAREWELL));
        }
        if let (Some((since, _)), Some(keep_alive)) = (&link.idle, link.keep_alive) {
            let age = now.saturating_duration_since(*since);
            if age < keep_alive {
                return Rest::For(keep_alive - age);
            }
        }
        link.retire();
        Rest::Leaving
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let link = self.list.state().links.remove(&self.id);
        drop(link);
    }
}

/// One stream of a connection, counted until this is dropped.
pub(super) struct Claim {
    list: Arc<List>,
    id: u64,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("connection", &self.id).finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.list.state();
        let Some(link) = state.links.get_mut(&self.id) else { return };
        link.leases -= 1;
        if link.leases > 0 {
            return;
        }
        if link.keep_alive.is_none() {
            link.retire();
        } else if link.is_usable() {
            link.idle = Some((clock::now(), Count::new(Arc::clone(&self.list.tally))));
        }
    }
}
