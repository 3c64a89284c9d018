//! A request's body on its way to the server, beside the session that reads the answer: a server may answer before it took the whole
//! body, or without taking it at all, and must be heard meanwhile. Framing is built here (RFC 9112 sections 6 and 7.1).

use std::io;
use std::sync::Arc;

use tokio::io::Interest;

use crate::message::RequestFraming;
use crate::message::framing::{self, LAST_CHUNK};
use crate::transport::Socket;

/// Sends one body. At most one piece waits in it.
#[derive(Debug)]
pub(super) struct BodySender {
    socket: Arc<Socket>,
    chunked: bool,
    /// What `Content-Length` still promises.
    left: u64,
    pending: Vec<u8>,
    sent: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Its end is sent or pending.
    Ended,
    /// The server takes no more of it, or it broke its promise: nothing may follow.
    Broken,
}

impl BodySender {
    /// A body with `framing`, whose head is sent on `socket`; without a body there is nothing to send.
    pub(super) fn new(socket: Arc<Socket>, framing: RequestFraming) -> Self {
        let (chunked, left) = match framing {
            RequestFraming::Chunked => (true, 0),
            RequestFraming::Length(length) => (false, length),
            RequestFraming::None => (false, 0),
        };
        let state = if framing.has_body() { State::Open } else { State::Ended };
        Self { socket, chunked, left, pending: Vec::new(), sent: 0, state }
    }

    /// Whether a piece waits for the server.
    pub(super) fn is_pending(&self) -> bool {
        self.sent < self.pending.len()
    }

    /// Whether the body can still grow.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the server has the whole request: only then may its connection serve another.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Ended && !self.is_pending()
    }

    /// Whether the client's side is of interest: to read on, or to see it leave. Not behind a body that nobody reads any more: what
    /// else comes would be its rest.
    pub(super) fn lets_client_speak(&self) -> bool {
        self.state != State::Broken && !self.is_pending()
    }

    /// Takes what a session read of the body; `over` when that was the last of it.
    pub(super) fn push(&mut self, piece: &[u8], over: bool) {
        if self.state != State::Open {
            return;
        }
        if self.chunked {
            // An empty chunk would end the body.
            if !piece.is_empty() {
                framing::begin_chunk(piece.len(), &mut self.pending);
                self.pending.extend_from_slice(piece);
                framing::end_chunk(&mut self.pending);
            }
            if over {
                self.pending.extend_from_slice(LAST_CHUNK);
            }
        } else {
            self.pending.extend_from_slice(piece);
            self.left = self.left.saturating_sub(piece.len() as u64);
        }
        if over {
            self.state = if self.left == 0 { State::Ended } else { State::Broken };
        }
    }

    /// Writes what is pending. Dropped half-way, it goes on at the next call.
    pub(super) async fn flush(&mut self) {
        while self.is_pending() {
            let written = match self.socket.ready(Interest::WRITABLE).await {
                Ok(()) => self.socket.try_write(&self.pending[self.sent..]),
                Err(error) => Err(error),
            };
            match written {
                Ok(n) => self.sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.state = State::Broken;
                    self.sent = self.pending.len();
                }
            }
        }
        self.pending.clear();
        self.sent = 0;
    }
}
