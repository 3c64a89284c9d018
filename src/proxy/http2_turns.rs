//! What an HTTP/2 connection has written. A reset of a stream overtakes what waits to be sent on it: a client would lose the head and
//! the events that were received before the upstream broke off. Whoever resets a stream that is not whole first waits for a turn of the
//! connection's task, in which all that its peer and its socket take goes out.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The turns of one connection's task.
#[derive(Debug, Default)]
pub struct Turns {
    begun: AtomicU64,
    ended: AtomicU64,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    connection: Option<Waker>,
    waiting: Vec<Waker>,
}

impl Turns {
    /// Does one turn: `poll` polls the connection.
    pub(super) fn turn<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let polled = poll(cx);
        self.ended.store(this, Ordering::SeqCst);
        let mut wakers = self.wakers();
        if !wakers.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            wakers.connection = Some(cx.waker().clone());
        }
        let waiting = std::mem::take(&mut wakers.waiting);
        drop(wakers);
        waiting.into_iter().for_each(Waker::wake);
        polled
    }

    /// What is queued by now goes out with the first turn behind this one.
    pub(super) fn now(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Ready once a turn ended that began after `turn`.
    pub(super) fn poll_after(&self, turn: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut wakers = self.wakers();
        if self.ended.load(Ordering::SeqCst) > turn {
            return Poll::Ready(());
        }
        wakers.waiting.push(cx.waker().clone());
        if let Some(connection) = &wakers.connection {
            connection.wake_by_ref();
        }
        Poll::Pending
    }

    fn wakers(&self) -> std::sync::MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::Turns;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn who_waits_asks_for_a_turn_and_is_woken_behind_it() {
        let turns = Turns::default();
        let (connection, stream) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (of_connection, of_stream) = (Waker::from(Arc::clone(&connection)), Waker::from(Arc::clone(&stream)));
        let (mut cx, mut stream_cx) = (Context::from_waker(&of_connection), Context::from_waker(&of_stream));
        turns.turn(&mut cx, |_| ());
        let now = turns.now();
        assert_eq!(turns.poll_after(now, &mut stream_cx), Poll::Pending);
        assert_eq!((connection.0.load(Ordering::SeqCst), stream.0.load(Ordering::SeqCst)), (1, 0));
        turns.turn(&mut cx, |_| ());
        assert_eq!(stream.0.load(Ordering::SeqCst), 1);
        assert_eq!(turns.poll_after(now, &mut stream_cx), Poll::Ready(()));
    }

    #[test]
    fn a_turn_that_had_begun_before_does_not_count() {
        let turns = Turns::default();
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let in_the_middle = turns.turn(&mut cx, |_| turns.now());
        assert_eq!(turns.poll_after(in_the_middle, &mut cx), Poll::Pending);
        turns.turn(&mut cx, |_| ());
        assert_eq!(turns.poll_after(in_the_middle, &mut cx), Poll::Ready(()));
    }
}
