//! The request's half of an exchange: moves the body from the client to the server while the other half goes on, and sees the client
//! leave. One direction never waits for the other (full duplex); a server that takes nothing stops the client, and no more than one
//! read is kept.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::body_sender::BodySender;
use super::request_body::{BodyError, Received, RequestBody};

/// One request's body on its way.
pub(super) struct Upload {
    from: RequestBody,
    to: BodySender,
    /// The client has sent all of it.
    received: bool,
    /// Something of it was read.
    touched: bool,
    /// The client is gone, cannot be understood or sent too much: nothing more is taken.
    over: Option<BodyError>,
}

impl Upload {
    /// A body that waits for a server; `has_body` as the head said.
    pub(super) fn new(from: RequestBody, has_body: bool) -> Self {
        Self { from, to: BodySender::none(), received: !has_body, touched: false, over: None }
    }

    /// No more than `bytes` may come.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        self.from.set_limit(bytes);
    }

    /// More came than may.
    pub(super) fn is_too_large(&self) -> bool {
        self.over == Some(BodyError::TooLarge)
    }

    /// It goes to this server, together with what another one may have got of it.
    pub(super) fn begin(&mut self, to: BodySender) {
        let kept = std::mem::replace(&mut self.to, to).into_kept();
        if let Some(kept) = kept {
            self.to.push_bytes(kept.into());
            if self.received {
                self.to.end(None);
            }
        }
    }

    /// A response has begun: it goes to no other server.
    pub(super) fn settle(&mut self) {
        self.to.forget_kept();
    }

    /// Whether the server's part in it is to be waited for: the client has sent all, or waits for the server to take what it sent.
    pub(super) fn is_servers_turn(&self) -> bool {
        self.received || self.to.is_pending()
    }

    /// Whether the client has sent all of it: only then can another request follow.
    pub(super) fn is_received(&self) -> bool {
        self.received
    }

    /// Whether it can still go to another server: nothing of it was read, or all that was is kept.
    pub(super) fn is_repeatable(&self) -> bool {
        !self.touched || self.to.is_kept()
    }

    /// Whether the server takes it.
    pub(super) fn is_taken(&self) -> bool {
        self.over.is_none() && !self.to.is_broken()
    }

    /// Whether the server has all of it: only then may its connection serve another.
    pub(super) fn is_complete(&self) -> bool {
        self.received && self.to.is_complete()
    }

    /// Lets go of a server that has all of it.
    pub(super) fn let_go(&mut self) {
        self.to.let_go();
    }

    /// Whether there is nothing left to move.
    pub(super) fn is_done(&self) -> bool {
        self.received && !self.to.is_pending()
    }

    /// Moves some of the body; ready each time something moved. Once all of it did, only the client's leaving is told.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.over.is_some() {
            return Poll::Pending;
        }
        let polled = self.poll_open(cx);
        if let Poll::Ready(Err(error)) = polled {
            self.over = Some(error);
        }
        polled
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.to.is_pending() {
            return match self.to.poll_flush(cx) {
                Poll::Ready(()) => Poll::Ready(Ok(())),
                Poll::Pending => self.from.poll_broken(cx).map(|()| Err(BodyError::ClientGone)),
            };
        }
        if self.received {
            return self.from.poll_gone(cx).map(|()| Err(BodyError::ClientGone));
        }
        // A body that the server takes no more of is read to its end all the same: its client may read the answer only then.
        let to = self.to.is_open().then_some(&mut self.to);
        let read = std::task::ready!(self.from.poll_read(cx, to));
        self.touched = true;
        match read? {
            Received::Part => {}
            Received::Last(trailers) => {
                self.received = true;
                self.to.end(trailers);
            }
        }
        if self.to.is_pending() {
            // What does not go at once goes later.
            let _ = self.to.poll_flush(cx);
        }
        Poll::Ready(Ok(()))
    }

    /// Before anything of it is read: resolves once the client left. Behind a body that waits to be read only a break can be seen.
    pub(super) async fn left(&mut self) {
        std::future::poll_fn(|cx| if self.received { self.from.poll_gone(cx) } else { self.from.poll_broken(cx) }).await;
    }

    /// The same as a future: resolves each time something moved.
    pub(super) async fn progress(&mut self) -> Result<(), BodyError> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// Does `work`, and moves the body meanwhile. It is pinned by the caller: here it would have room twice.
    pub(super) fn beside<T>(&mut self, mut work: Pin<&mut impl Future<Output = T>>) -> impl Future<Output = Result<T, BodyError>> {
        std::future::poll_fn(move |cx| {
            loop {
                if let Poll::Ready(done) = work.as_mut().poll(cx) {
                    return Poll::Ready(Ok(done));
                }
                std::task::ready!(self.poll(cx))?;
            }
        })
    }

    /// What the client sent beyond the body.
    pub(super) fn into_ahead(self) -> Bytes {
        self.from.into_ahead()
    }
}
