//! The socket of an HTTP/2 connection. What is written in one turn of the connection is gathered and goes out behind it, as one write
//! if the socket takes it: the codec would write each frame of 1 KiB and more by itself and in two pieces, as an IO that gathers nothing,
//! and each of 256 bytes and more as one that does. What the socket does not take holds the codec up.

use std::cell::Cell;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use crate::transport::Socket;

/// So much is gathered before it goes to the socket in the middle of a turn.
const MOST: usize = 32 * 1024;

thread_local! {
    /// The worker's buffer, lent to the connection whose turn it is: a connection whose socket takes everything has none of its own.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One connection's socket.
#[derive(Debug)]
pub(super) struct Outlet {
    socket: Socket,
    gathered: Mutex<Gathered>,
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// So many of them are sent.
    sent: usize,
    /// It is the connection's turn.
    gathers: bool,
    /// `bytes` is the worker's.
    is_lent: bool,
    /// The socket takes no more for now, and wakes the connection once it does.
    is_full: bool,
    /// What the socket said, until the codec hears of it.
    error: Option<io::Error>,
}

impl Outlet {
    /// Writes to `socket`.
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, gathered: Mutex::default() }
    }

    /// The socket, for reading.
    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Does one turn: what `poll` writes goes out behind it. Says whether all of it did.
    pub(super) fn turn<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> (T, bool) {
        self.gathered().begin(&self.socket, cx);
        let polled = poll(cx);
        (polled, self.gathered().end(&self.socket, cx))
    }

    /// Takes `bytes`, to be sent.
    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut gathered = self.gathered();
        gathered.fail()?;
        if gathered.gathers {
            ready!(gathered.poll_room(&self.socket, cx))?;
            gathered.bytes.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(gathered.poll_send(&self.socket, cx))?;
        self.socket.poll_write_shared(cx, bytes)
    }

    /// Ready once all that was written is sent, or will be at the end of the turn.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.gathered();
        gathered.fail()?;
        if gathered.gathers { Poll::Ready(Ok(())) } else { gathered.poll_send(&self.socket, cx) }
    }

    /// Sends all there is, and closes for writing.
    pub(super) fn poll_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.gathered();
        gathered.fail()?;
        ready!(gathered.poll_send(&self.socket, cx))?;
        self.socket.poll_close_write(cx)
    }

    /// What the socket said when nobody listened.
    pub(super) fn fail(&self) -> io::Result<()> {
        self.gathered().fail()
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gathered {
    fn begin(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        self.gathers = true;
        if self.is_full {
            self.send(socket, cx);
        }
        if self.bytes.is_empty() {
            (self.bytes, self.is_lent) = (SPARE.take(), true);
        }
    }

    fn end(&mut self, socket: &Socket, cx: &mut Context<'_>) -> bool {
        self.gathers = false;
        self.send(socket, cx);
        if self.is_lent {
            let rest = self.bytes[self.sent..].to_vec();
            let mut spare = std::mem::replace(&mut self.bytes, rest);
            spare.clear();
            SPARE.set(spare);
            (self.sent, self.is_lent) = (0, false);
        } else if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        !self.is_full
    }

    /// Sends what the socket takes; the codec hears of an error when it asks next, which is now.
    fn send(&mut self, socket: &Socket, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(error)) = self.poll_send(socket, cx) {
            self.bytes.clear();
            self.sent = 0;
            self.is_full = false;
            self.error = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    /// Ready once the socket has taken all.
    fn poll_send(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_full = true;
        while self.sent < self.bytes.len() {
            match ready!(socket.poll_write_shared(cx, &self.bytes[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        self.bytes.clear();
        self.sent = 0;
        ready!(socket.poll_flush_shared(cx))?;
        self.is_full = false;
        Poll::Ready(Ok(()))
    }

    /// Ready once more may be gathered.
    fn poll_room(&mut self, socket: &Socket, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_full {
            return Poll::Pending;
        }
        if self.bytes.len() < MOST { Poll::Ready(Ok(())) } else { self.poll_send(socket, cx) }
    }

    fn fail(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::{MOST, Outlet};

    fn written(poll: Poll<std::io::Result<usize>>) -> Option<usize> {
        match poll {
            Poll::Ready(Ok(n)) => Some(n),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn what_is_written_in_a_turn_goes_out_behind_it() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let outlet = Outlet::new(near.into());
        let mut cx = Context::from_waker(Waker::noop());
        let (_, all) = outlet.turn(&mut cx, |cx| {
            for piece in [b"one ".as_slice(), b"two ", b"three"] {
                assert_eq!(written(outlet.poll_write(cx, piece)), Some(piece.len()));
                assert!(matches!(outlet.poll_flush(cx), Poll::Ready(Ok(()))));
            }
            assert!(far.try_read(&mut [0; 1]).is_err(), "nothing is sent yet");
        });
        assert!(all);
        let mut read = [0; 64];
        let n = far.read(&mut read).await.unwrap();
        assert_eq!(&read[..n], b"one two three");
        assert_eq!(outlet.gathered().bytes.capacity(), 0, "an idle connection has no buffer");
    }

    #[tokio::test]
    async fn a_socket_that_is_full_holds_the_codec_up_and_loses_nothing() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let outlet = Outlet::new(near.into());
        let piece: Vec<u8> = (0..251).cycle().take(10_007).collect();
        let mut sent = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        for turn in 0..3 {
            let before = sent.len();
            let (_, all) = outlet.turn(&mut cx, |cx| {
                while let Some(n) = written(outlet.poll_write(cx, &piece)) {
                    sent.extend_from_slice(&piece[..n]);
                }
            });
            assert!(!all);
            assert_eq!(sent.len() > before, turn == 0, "nothing is taken behind what waits");
            let gathered = outlet.gathered();
            let waiting = gathered.bytes.len() - gathered.sent;
            assert!(waiting > 0 && waiting <= MOST + piece.len(), "{waiting} bytes wait");
        }
        let reader = tokio::spawn(async move {
            let mut received = Vec::new();
            far.read_to_end(&mut received).await.map(|_| received)
        });
        let last = std::future::poll_fn(|cx| if outlet.turn(cx, |_| ()).1 { Poll::Ready(()) } else { Poll::Pending });
        last.await;
        drop(outlet);
        assert!(reader.await.unwrap().unwrap() == sent);
    }

    #[tokio::test]
    async fn an_error_of_the_socket_is_told_at_the_next_question() {
        let (near, far) = UnixStream::pair().unwrap();
        let outlet = Outlet::new(near.into());
        drop(far);
        let mut cx = Context::from_waker(Waker::noop());
        outlet.turn(&mut cx, |cx| assert_eq!(written(outlet.poll_write(cx, b"x")), Some(1)));
        assert_eq!(outlet.fail().unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
    }
}
