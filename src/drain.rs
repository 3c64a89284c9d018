//! From serving to closed: who still runs, and who must end when.
//!
//! Every connection and every event stream holds a guard for as long as it lives. When we leave, idle connections see the phase
//! change and close, subscriptions get the instant at which to end, and the process exits as soon as no guard is left. At the
//! deadline what is left is cut.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tokio::sync::watch;

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// New work is taken.
    Serving,
    /// New work is still taken, but `/readyz` fails: whatever routes to us has time to see it.
    Unready,
    /// Listeners are closed; what runs comes to its end.
    Draining,
    /// What is left is cut.
    Cut,
}

impl Phase {
    /// Whether new work is refused.
    fn is_draining(self) -> bool {
        matches!(self, Self::Draining | Self::Cut)
    }
}

/// What an event stream is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End at your first boundary from this instant on, if you may end early.
    EndBy(Instant),
    /// End now, abnormally.
    Cut,
}

/// The state shared by all that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    phase: watch::Sender<Phase>,
    /// Guards alive.
    running: watch::Sender<usize>,
    next_id: AtomicU64,
    streams: Mutex<HashMap<u64, Arc<Mailbox>>>,
}

/// How an order reaches a stream that sleeps.
#[derive(Debug, Default)]
struct Mailbox {
    order: Mutex<Letter>,
}

#[derive(Debug, Default)]
struct Letter {
    order: Option<Order>,
    waker: Option<Waker>,
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

impl Drain {
    /// In the phase [`Phase::Serving`], with nothing running.
    #[must_use]
    pub fn new() -> Self {
        let shared = Shared {
            phase: watch::Sender::new(Phase::Serving),
            running: watch::Sender::new(0),
            next_id: AtomicU64::new(0),
            streams: Mutex::new(HashMap::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.shared.phase.borrow()
    }

    /// Whether new work is refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase().is_draining()
    }

    /// Resolves when new work is refused.
    pub async fn draining(&self) {
        self.reaches(Phase::is_draining).await;
    }

    /// Resolves when the phase is [`Phase::Cut`].
    pub async fn cut_off(&self) {
        self.reaches(|phase| phase == Phase::Cut).await;
    }

    /// Resolves once `wanted` holds. An HTTP/2 connection selects over this and is woken for each event: asked again while all is
    /// well, this costs a look at the phase, where the channel's own future took 350 instructions (callgrind; an event has 12,000).
    async fn reaches(&self, wanted: fn(Phase) -> bool) {
        // The sender lives in `shared`, so the channel cannot close while we wait.
        let mut phases = self.shared.phase.subscribe();
        // Registers whenever it is polled, also when the task's budget is used up.
        let mut reached = std::pin::pin!(tokio::task::unconstrained(phases.wait_for(|phase| wanted(*phase))));
        let mut registered: Option<Waker> = None;
        std::future::poll_fn(|cx| {
            // No phase but the first can be skipped like that. It is never announced, so that what was registered in it still stands;
            // of a later one the word may come after it was seen here, and takes away what was registered then.
            if self.phase() == Phase::Serving && registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                return Poll::Pending;
            }
            registered = Some(cx.waker().clone());
            reached.as_mut().poll(cx).map(drop)
        })
        .await;
    }

    /// Resolves when nothing runs.
    pub async fn nothing_left(&self) {
        let _ = self.shared.running.subscribe().wait_for(|running| *running == 0).await;
    }

    /// How many guards are alive.
    #[must_use]
    pub fn running(&self) -> usize {
        *self.shared.running.borrow()
    }

    /// How many event streams are alive.
    #[must_use]
    pub fn streams(&self) -> usize {
        lock(&self.shared.streams).len()
    }

    /// Announces that we will leave.
    pub fn announce(&self) {
        self.shared.phase.send_replace(Phase::Unready);
    }

    /// Starts to leave: each stream gets its instant from `schedule`, called once for each with its position from 0 and their number.
    pub fn begin(&self, mut schedule: impl FnMut(usize, usize) -> Instant) {
        let streams = lock(&self.shared.streams);
        for (position, stream) in streams.values().enumerate() {
            stream.put(Order::EndBy(schedule(position, streams.len())));
        }
        // Who sees that we leave finds every stream told so, and no stream ends of it before that can be seen: its connection says so
        // first. A stream that begins meanwhile waits for the lock, and then sees it.
        self.shared.phase.send_replace(Phase::Draining);
        streams.values().for_each(|stream| stream.wake());
    }

    /// The deadline: cuts what is left.
    pub fn cut(&self) {
        let streams = lock(&self.shared.streams);
        self.shared.phase.send_replace(Phase::Cut);
        for stream in streams.values() {
            stream.post(Order::Cut);
        }
    }

    /// For one connection, or anything else that must end before the process does.
    #[must_use]
    pub fn guard(&self) -> Guard {
        self.shared.running.send_modify(|running| *running += 1);
        Guard { shared: Arc::clone(&self.shared) }
    }

    /// For one event stream, which can be told to end. It runs on a connection, whose guard counts it.
    #[must_use]
    pub fn stream_guard(&self, now: Instant) -> StreamGuard {
        let id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let mailbox = Arc::new(Mailbox::default());
        let mut streams = lock(&self.shared.streams);
        // A drain that began before this stream was there told it nothing.
        match self.phase() {
            Phase::Serving | Phase::Unready => {}
            Phase::Draining => mailbox.post(Order::EndBy(now)),
            Phase::Cut => mailbox.post(Order::Cut),
        }
        streams.insert(id, Arc::clone(&mailbox));
        drop(streams);
        StreamGuard { id, mailbox, shared: Arc::clone(&self.shared) }
    }
}

/// Something that runs. Dropping it is how it ends.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.running.send_modify(|running| *running -= 1);
    }
}

/// An event stream that runs.
#[derive(Debug)]
pub struct StreamGuard {
    id: u64,
    mailbox: Arc<Mailbox>,
    shared: Arc<Shared>,
}

impl StreamGuard {
    /// The next order, or `Pending` with the task woken when one comes.
    pub fn poll_order(&self, cx: &mut Context<'_>) -> Poll<Order> {
        let mut letter = lock(&self.mailbox.order);
        if letter.order.is_some() && self.shared.phase.borrow().is_draining() {
            return letter.order.take().map_or(Poll::Pending, Poll::Ready);
        }
        if !letter.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            letter.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        lock(&self.shared.streams).remove(&self.id);
    }
}

impl Mailbox {
    fn post(&self, order: Order) {
        self.put(order);
        self.wake();
    }

    fn put(&self, order: Order) {
        let mut letter = lock(&self.order);
        if letter.order != Some(Order::Cut) {
            letter.order = Some(order);
        }
    }

    fn wake(&self) {
        let waker = lock(&self.order).waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// No code panics while it holds one of these locks; should it, the data is still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
