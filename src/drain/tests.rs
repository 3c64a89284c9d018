//! Orders reach the streams they are for, and the last guard lets the process go.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::{Drain, Order, Phase};
use crate::clock;

#[tokio::test]
async fn nothing_left_resolves_when_the_last_guard_is_dropped() {
    let drain = Drain::new();
    let (connection, other) = (drain.guard(), drain.guard());
    let stream = drain.stream_guard(clock::now());
    assert_eq!((drain.running(), drain.streams()), (2, 1));
    let mut waiting = tokio::spawn({
        let drain = drain.clone();
        async move { drain.nothing_left().await }
    });
    drop(connection);
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut waiting).await.is_err(), "a connection still runs");
    drop((stream, other));
    waiting.await.expect("resolves");
    assert_eq!((drain.running(), drain.streams()), (0, 0));
}

#[tokio::test]
async fn a_sleeping_stream_is_woken_by_its_order() {
    let drain = Drain::new();
    let now = clock::now();
    let stream = drain.stream_guard(now);
    let waiting = tokio::spawn(async move { poll_fn(|cx| stream.poll_order(cx)).await });
    tokio::task::yield_now().await;
    drain.begin(|position, all| {
        assert_eq!((position, all), (0, 1));
        now
    });
    assert_eq!(waiting.await.expect("woken"), Order::EndBy(now));
    assert_eq!(drain.phase(), Phase::Draining);
}

/// Its connection would not have said GOAWAY yet.
#[test]
fn no_stream_hears_of_the_drain_before_it_can_be_seen() {
    let drain = Drain::new();
    let now = clock::now();
    let mut cx = Context::from_waker(Waker::noop());
    let streams = [drain.stream_guard(now), drain.stream_guard(now)];
    drain.begin(|_, _| {
        assert!(streams.iter().all(|stream| stream.poll_order(&mut cx).is_pending()));
        now
    });
    assert!(streams.iter().all(|stream| stream.poll_order(&mut cx) == Poll::Ready(Order::EndBy(now))));
}

#[test]
fn a_stream_that_opens_during_the_drain_is_told_at_once() {
    let drain = Drain::new();
    let now = clock::now();
    let mut cx = Context::from_waker(Waker::noop());
    drain.begin(|_, _| now);
    assert_eq!(drain.stream_guard(now).poll_order(&mut cx), Poll::Ready(Order::EndBy(now)));
    drain.cut();
    assert_eq!(drain.stream_guard(now).poll_order(&mut cx), Poll::Ready(Order::Cut));
}

#[test]
fn an_order_is_given_once_and_a_cut_replaces_it() {
    let drain = Drain::new();
    let now = clock::now();
    let mut cx = Context::from_waker(Waker::noop());
    let stream = drain.stream_guard(now);
    drain.begin(|_, _| now);
    drain.cut();
    assert_eq!(stream.poll_order(&mut cx), Poll::Ready(Order::Cut));
    assert_eq!(stream.poll_order(&mut cx), Poll::Pending);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whoever waits beside other work is asked whenever that moves, and must not forget to wait meanwhile.
#[test]
fn who_waits_for_the_drain_is_woken_by_it_whatever_woke_him_before() {
    let drain = Drain::new();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut cx = Context::from_waker(&waker);
    let woken = || count.0.swap(0, Ordering::SeqCst) > 0;
    let mut draining = std::pin::pin!(drain.draining());
    let mut cut_off = std::pin::pin!(drain.cut_off());
    for _ in 0..3 {
        assert!(draining.as_mut().poll(&mut cx).is_pending() && cut_off.as_mut().poll(&mut cx).is_pending());
    }
    drain.announce();
    assert!(woken());
    for _ in 0..3 {
        assert!(draining.as_mut().poll(&mut cx).is_pending() && cut_off.as_mut().poll(&mut cx).is_pending());
    }
    drain.begin(|_, _| clock::now());
    assert!(woken());
    assert!(draining.as_mut().poll(&mut cx).is_ready());
    for _ in 0..3 {
        assert!(cut_off.as_mut().poll(&mut cx).is_pending());
    }
    drain.cut();
    assert!(woken());
    assert!(cut_off.as_mut().poll(&mut cx).is_ready());
}
