//! The turns of an HTTP/2 connection's task: in each, what its streams have queued goes to the socket, as far as its peer and its socket
//! take it. Streams and the connection meet here, for two reasons.
//!
//! - A reset of a stream overtakes what waits to be sent on it: a client would lose the head and the events that were received before the
//!   upstream broke off. Whoever resets a stream that is not whole first waits for a turn.
//! - What several streams send at about the same time should be one write, and what waits for it should be little: the codec keeps its
//!   frames in a slab of 312 bytes each that never shrinks. So the connection lets the other tasks of its worker run first, and no more
//!   frames wait for it than there is room for.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Frames that wait for a turn at most. With 100 streams on a connection that begin at once, the slab was 600 bytes a stream with no
/// bound and is 50 with this one; more would gather little more.
const ROOM: usize = 16;

/// The turns of one connection's task.
#[derive(Debug, Default)]
pub struct Turns {
    begun: AtomicU64,
    ended: AtomicU64,
    /// The connection waits, and has let nobody go first since.
    rests: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connection: Option<Waker>,
    /// Behind a turn.
    waiting: Vec<Waker>,
    /// Frames that were queued since the last turn.
    queued: usize,
    /// Streams that wait for room, the first of them with the place `called`.
    crowd: VecDeque<Waker>,
    called: u64,
    /// There will be no more turns.
    is_over: bool,
}

/// Where a stream stands that waits for room: its place counts from 1.
#[derive(Debug, Default)]
pub(super) struct Place(Option<NonZeroU64>);

impl Turns {
    /// Does one turn: `poll` polls the connection, and says whether the socket has taken all. While it has not, there is no room.
    pub(super) fn turn<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> (T, bool)) -> T {
        let this = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let (polled, all) = poll(cx);
        self.ended.store(this, Ordering::SeqCst);
        let mut state = self.state();
        if !state.connection.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.connection = Some(cx.waker().clone());
        }
        let waiting = std::mem::take(&mut state.waiting);
        let called = if all { state.crowd.len().min(ROOM) } else { 0 };
        state.queued = if all { 0 } else { state.queued };
        state.called += called as u64;
        let crowd: Vec<_> = state.crowd.drain(..called).collect();
        if all && !state.crowd.is_empty() {
            cx.waker().wake_by_ref();
        }
        drop(state);
        waiting.into_iter().chain(crowd).for_each(Waker::wake);
        polled
    }

    /// What is queued by now goes out with the first turn behind this one.
    pub(super) fn now(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Ready once a turn ended that began after `turn`, or if there will be no more.
    pub(super) fn poll_after(&self, turn: u64, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_over || self.ended.load(Ordering::SeqCst) > turn {
            return Poll::Ready(());
        }
        state.waiting.push(cx.waker().clone());
        if let Some(connection) = &state.connection {
            connection.wake_by_ref();
        }
        Poll::Pending
    }

    /// Ready once there is room for a frame, which is to be sent at once. Who came first goes first.
    pub(super) fn poll_room(&self, place: &mut Place, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        let before = place.0.and_then(|place| (place.get() - 1).checked_sub(state.called));
        if let Some(waker) = before.and_then(|before| state.crowd.get_mut(before as usize)) {
            waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        let is_next = place.0.is_some() || state.crowd.is_empty();
        if state.is_over || (is_next && state.queued < ROOM) {
            state.queued += 1;
            place.0 = None;
            return Poll::Ready(());
        }
        place.0 = NonZeroU64::new(state.called + state.crowd.len() as u64 + 1);
        state.crowd.push_back(cx.waker().clone());
        if let Some(connection) = &state.connection {
            connection.wake_by_ref();
        }
        Poll::Pending
    }

    /// The connection has nothing left to do: when it is woken, it lets others go first.
    pub(super) fn rest(&self) {
        self.rests.store(true, Ordering::Relaxed);
    }

    /// Whether the connection, which was woken, is to let the other tasks go first that are ready now. They may have more for it: a wake
    /// from a stream would else run it at once, and each event would be a write of its own (Tokio runs what a task wakes right behind it).
    pub(super) fn lets_others_go_first(&self, cx: &Context<'_>) -> bool {
        let goes = self.rests.swap(false, Ordering::Relaxed) && self.state().queued < ROOM;
        if goes {
            cx.waker().wake_by_ref();
        }
        goes
    }

    /// The connection is over: nobody is to wait for it.
    pub(super) fn over(&self) {
        let mut state = self.state();
        state.is_over = true;
        let (waiting, crowd) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.crowd));
        drop(state);
        waiting.into_iter().chain(crowd).for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::{Place, ROOM, Turns};

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
        turns.turn(&mut cx, |_| ((), true));
        let now = turns.now();
        assert_eq!(turns.poll_after(now, &mut stream_cx), Poll::Pending);
        assert_eq!((connection.0.load(Ordering::SeqCst), stream.0.load(Ordering::SeqCst)), (1, 0));
        turns.turn(&mut cx, |_| ((), true));
        assert_eq!(stream.0.load(Ordering::SeqCst), 1);
        assert_eq!(turns.poll_after(now, &mut stream_cx), Poll::Ready(()));
    }

    #[test]
    fn a_turn_that_had_begun_before_does_not_count() {
        let turns = Turns::default();
        let waker = Waker::noop();
        let mut cx = Context::from_waker(waker);
        let in_the_middle = turns.turn(&mut cx, |_| (turns.now(), true));
        assert_eq!(turns.poll_after(in_the_middle, &mut cx), Poll::Pending);
        turns.turn(&mut cx, |_| ((), true));
        assert_eq!(turns.poll_after(in_the_middle, &mut cx), Poll::Ready(()));
    }

    #[test]
    fn no_more_frames_wait_for_a_turn_than_there_is_room_for_and_who_came_first_goes_first() {
        let turns = Turns::default();
        let (connection, first, second) = (Arc::<Count>::default(), Arc::<Count>::default(), Arc::<Count>::default());
        let woken = |count: &Arc<Count>| count.0.load(Ordering::SeqCst);
        let wakers = [&connection, &first, &second].map(|count| Waker::from(Arc::clone(count)));
        let [mut cx, mut first_cx, mut second_cx] = [0, 1, 2].map(|at| Context::from_waker(&wakers[at]));
        turns.turn(&mut cx, |_| ((), true));
        let mut places: Vec<_> = (0..2 * ROOM).map(|_| Place::default()).collect();
        let ready: Vec<_> = places.iter_mut().map(|place| turns.poll_room(place, &mut first_cx).is_ready()).collect();
        assert_eq!(ready, [[true; ROOM], [false; ROOM]].concat());
        assert!(woken(&connection) > 0, "whoever waits has a turn to come");
        let mut late = Place::default();
        assert_eq!(turns.poll_room(&mut late, &mut second_cx), Poll::Pending);
        turns.turn(&mut cx, |_| ((), true));
        assert_eq!((woken(&first), woken(&second)), (ROOM, 0));
        assert!(turns.poll_room(&mut late, &mut second_cx).is_pending(), "others came before");
        assert!(places[ROOM..].iter_mut().all(|place| turns.poll_room(place, &mut first_cx).is_ready()));
        turns.turn(&mut cx, |_| ((), true));
        assert_eq!((woken(&first), woken(&second)), (ROOM, 1));
        assert!(turns.poll_room(&mut late, &mut second_cx).is_ready());
    }

    #[test]
    fn those_who_were_called_and_do_not_come_hold_nobody_up() {
        let turns = Turns::default();
        let (connection, stream) = (Arc::<Count>::default(), Arc::<Count>::default());
        let (of_connection, of_stream) = (Waker::from(Arc::clone(&connection)), Waker::from(Arc::clone(&stream)));
        let (mut cx, mut stream_cx) = (Context::from_waker(&of_connection), Context::from_waker(&of_stream));
        turns.turn(&mut cx, |_| ((), true));
        for _ in 0..3 * ROOM {
            let _ = turns.poll_room(&mut Place::default(), &mut stream_cx);
        }
        for _ in 0..2 {
            let before = connection.0.load(Ordering::SeqCst);
            turns.turn(&mut cx, |_| ((), true));
            let still_waits = !turns.state().crowd.is_empty();
            assert_eq!(connection.0.load(Ordering::SeqCst) > before, still_waits);
        }
        assert_eq!(stream.0.load(Ordering::SeqCst), 2 * ROOM);
    }

    #[test]
    fn nobody_waits_for_a_connection_that_is_over() {
        let turns = Turns::default();
        let stream = Arc::new(Count::default());
        let of_stream = Waker::from(Arc::clone(&stream));
        let mut cx = Context::from_waker(&of_stream);
        let mut places: Vec<_> = (0..=ROOM).map(|_| Place::default()).collect();
        let last = places.iter_mut().map(|place| turns.poll_room(place, &mut cx)).last();
        assert_eq!(last, Some(Poll::Pending));
        turns.over();
        assert_eq!(stream.0.load(Ordering::SeqCst), 1);
        assert_eq!(turns.poll_room(&mut places[ROOM], &mut cx), Poll::Ready(()));
        assert_eq!(turns.poll_after(turns.now(), &mut cx), Poll::Ready(()));
    }

    #[test]
    fn a_connection_that_rests_lets_others_go_first_once_and_not_when_there_is_no_room_left() {
        let turns = Turns::default();
        let connection = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&connection));
        let mut cx = Context::from_waker(&waker);
        assert!(!turns.lets_others_go_first(&cx));
        turns.rest();
        assert!(turns.lets_others_go_first(&cx));
        assert_eq!(connection.0.load(Ordering::SeqCst), 1);
        assert!(!turns.lets_others_go_first(&cx));
        turns.rest();
        (0..ROOM).for_each(|_| assert!(turns.poll_room(&mut Place::default(), &mut cx).is_ready()));
        assert!(!turns.lets_others_go_first(&cx));
    }

    #[test]
    fn a_socket_that_is_full_leaves_no_room() {
        let turns = Turns::default();
        let mut cx = Context::from_waker(Waker::noop());
        (0..ROOM).for_each(|_| assert!(turns.poll_room(&mut Place::default(), &mut cx).is_ready()));
        let mut place = Place::default();
        turns.turn(&mut cx, |_| ((), false));
        assert!(turns.poll_room(&mut place, &mut cx).is_pending());
        turns.turn(&mut cx, |_| ((), true));
        assert!(turns.poll_room(&mut place, &mut cx).is_ready());
    }
}
