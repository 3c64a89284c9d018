//! Sleeping until an event is due, to the microsecond: one kernel timer per thread.
//!
//! The runtime's own timer rounds up to a millisecond, which would be measured as latency of the proxy.

use std::cell::RefCell;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock;

/// All sleepers of one thread. Somebody has to run [`Self::ring`].
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    sleepers: RefCell<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    queue: BinaryHeap<Reverse<Sleeper>>,
    /// What the timer is set to.
    set: Option<Instant>,
}

#[derive(Debug)]
struct Sleeper {
    due: Instant,
    waker: Waker,
}

impl Alarm {
    /// Inside a runtime.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        #[expect(
            deprecated,
            reason = "the successor is unsafe, for descriptors that change under it, which one that is owned does not"
        )]
        let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
        Ok(Self { timer, sleepers: RefCell::default() })
    }

    /// Returns when `due` has come, at once if it has.
    pub(super) async fn until(&self, due: Instant) {
        let mut is_queued = false;
        // A stream is one task from its begin to its end, so that the first waker is good for all polls.
        poll_fn(|context| {
            let now = clock::now();
            if now >= due {
                return Poll::Ready(());
            }
            if !std::mem::replace(&mut is_queued, true) {
                let mut sleepers = self.sleepers.borrow_mut();
                sleepers.queue.push(Reverse(Sleeper { due, waker: context.waker().clone() }));
                self.set(&mut sleepers, now);
            }
            Poll::Pending
        })
        .await;
    }

    /// Wakes the sleepers. Ends only when the system takes the timer away.
    pub(super) async fn ring(&self) {
        // The number in the descriptor need not be read: setting the timer again clears it.
        while let Ok(mut guard) = self.timer.readable().await {
            guard.clear_ready();
            drop(guard);
            let now = clock::now();
            self.sleepers.borrow_mut().set = None;
            while let Some(waker) = self.next_due(now) {
                waker.wake();
            }
            self.set(&mut self.sleepers.borrow_mut(), now);
        }
    }

    fn next_due(&self, now: Instant) -> Option<Waker> {
        let mut sleepers = self.sleepers.borrow_mut();
        if sleepers.queue.peek()?.0.due > now {
            return None;
        }
        sleepers.queue.pop().map(|Reverse(sleeper)| sleeper.waker)
    }

    /// Sets the timer to the first that is due, unless it is.
    fn set(&self, sleepers: &mut Sleepers, now: Instant) {
        let Some(first) = sleepers.queue.peek().map(|Reverse(sleeper)| sleeper.due) else {
            return;
        };
        if sleepers.set.is_some_and(|set| set <= first) {
            return;
        }
        // Zero would turn the timer off.
        let wait = first.saturating_duration_since(now).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(wait.subsec_nanos()) };
        let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
        if timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once).is_ok() {
            sleepers.set = Some(first);
        }
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Sleeper {}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> Ordering {
        self.due.cmp(&other.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_in_the_order_of_their_times_and_never_early() {
        let alarm = Alarm::new().unwrap();
        let began = clock::now();
        let woken = RefCell::new(Vec::new());
        let sleep = async |ms: u64| {
            let due = began + Duration::from_millis(ms);
            alarm.until(due).await;
            assert!(clock::now() >= due, "{ms} ms early");
            woken.borrow_mut().push(ms);
        };
        tokio::select! {
            _ = async { tokio::join!(sleep(30), sleep(10), sleep(20), sleep(0), sleep(10)) } => {}
            () = alarm.ring() => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("{woken:?}"),
        }
        assert_eq!(*woken.borrow(), [0, 10, 10, 20, 30]);
    }

    #[tokio::test]
    async fn an_earlier_sleeper_that_comes_later_is_not_kept_waiting() {
        let alarm = Alarm::new().unwrap();
        let began = clock::now();
        tokio::select! {
            () = alarm.until(began + Duration::from_secs(3600)) => panic!("an hour"),
            () = alarm.ring() => {}
            () = async {
                tokio::task::yield_now().await;
                alarm.until(began + Duration::from_millis(5)).await;
            } => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => {}
        }
        // Whoever wakes the task at last finds it due, whether the alarm rang or not.
        assert!(clock::now() - began < Duration::from_secs(30), "kept waiting");
    }
}
