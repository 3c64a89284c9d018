//! Streams over HTTP/2 (RFC 9113), through the h2 crate: connections that several streams share, and one stream on them.

use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::header::CONTENT_TYPE;
use tokio::sync::Mutex;
use tokio::time::sleep_until;

use super::outcome::{Cut, Failure, Outcome};
use super::pace::Pace;
use super::socket::Dial;
use super::subscriber::{Moment, Subscriber};
use super::target::Request;
use crate::clock;
use crate::sse::is_event_stream;

/// What a stream may have under way: more than any pipe to it holds, so that a fast reader never holds the server up.
const STREAM_WINDOW: u32 = 4 << 20;

/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 256 << 20;

/// What a slow stream may have under way, so that what is not read stays with the sender.
const SLOW_WINDOW: u32 = 4096;

/// A connection that several streams share: opened by the first that needs it, and anew when it is gone.
#[derive(Debug)]
pub(super) struct SharedConnection {
    dial: Arc<Dial>,
    number: u32,
    held: Mutex<Held>,
}

#[derive(Debug)]
enum Held {
    None,
    Alive(SendRequest<Bytes>),
    /// The last try failed then.
    Failed(Failure, Instant),
}

impl SharedConnection {
    /// Number `n`, not opened yet.
    pub(super) fn new(dial: Arc<Dial>, number: u32) -> Self {
        Self { dial, number, held: Mutex::new(Held::None) }
    }

    /// What opens a stream on it.
    async fn sender(&self, subscriber: &Subscriber) -> Result<SendRequest<Bytes>, Failure> {
        let asked = clock::now();
        let mut held = self.held.lock().await;
        match &*held {
            Held::Alive(sender) if takes_streams(&mut sender.clone()).await => return Ok(sender.clone()),
            // Whoever waited for that try shares its result.
            Held::Failed(failure, at) if *at >= asked => return Err(failure.clone()),
            Held::Alive(_) | Held::Failed(..) | Held::None => {}
        }
        match self.open(subscriber).await {
            Ok(sender) => {
                *held = Held::Alive(sender.clone());
                Ok(sender)
            }
            Err(failure) => {
                *held = Held::Failed(failure.clone(), clock::now());
                Err(failure)
            }
        }
    }

    async fn open(&self, subscriber: &Subscriber) -> Result<SendRequest<Bytes>, Failure> {
        let began = clock::now();
        let connection = self.dial.connect(self.number).await?;
        subscriber.connected(clock::now().duration_since(began));
        let window = if self.dial.read_rate.is_some() { SLOW_WINDOW } else { STREAM_WINDOW };
        let handshake = h2::client::Builder::new()
            .initial_window_size(window)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .enable_push(false)
            // More of them only once the server has said how many it allows: it would refuse the rest.
            .initial_max_send_streams(1)
            .handshake(connection);
        let (sender, connection) = handshake.await.map_err(|error| failure(&error))?;
        tokio::spawn(async move {
            // Its end is an error of each of its streams, and told there.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

/// Whether a connection still takes new streams; those that it has may live on when it does not.
async fn takes_streams(sender: &mut SendRequest<Bytes>) -> bool {
    poll_fn(|cx| Poll::Ready(!matches!(sender.poll_ready(cx), Poll::Ready(Err(_))))).await
}

/// One exchange on a shared connection.
#[derive(Debug)]
pub(super) struct Exchange {
    sender: SendRequest<Bytes>,
    response: ResponseFuture,
}

impl Exchange {
    /// Sends the request.
    pub(super) async fn begin(shared: &SharedConnection, request: &Request, subscriber: &Subscriber) -> Result<Self, Failure> {
        let mut sender = shared.sender(subscriber).await?;
        let head = request.http2(subscriber.last_id()).ok_or(Failure::Malformed("a request that HTTP/2 cannot say"))?;
        let has_body = !request.body.is_empty();
        let (response, mut body) = sender.send_request(head, !has_body).map_err(|error| failure(&error))?;
        if has_body {
            body.send_data(request.body.clone(), true).map_err(|error| failure(&error))?;
        }
        Ok(Self { sender, response })
    }

    /// Streams that the server allows on the connection.
    pub(super) fn limit(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Waits for the answer; the body, unless that is no stream.
    pub(super) async fn answer(&mut self, subscriber: &mut Subscriber) -> Result<h2::RecvStream, Outcome> {
        let (head, body) = (&mut self.response).await.map_err(|error| Outcome::Failed(failure(&error)))?.into_parts();
        subscriber.got(0, Moment::now());
        let is_stream = head.headers.get(CONTENT_TYPE).is_some_and(|value| is_event_stream(value.as_bytes()));
        subscriber.answered(head.status.as_u16(), is_stream).map_or(Ok(body), Err)
    }
}

/// Reads the body until the stream ends.
pub(super) async fn read_to_end(mut body: h2::RecvStream, subscriber: &mut Subscriber, rate: Option<NonZeroU32>) -> Outcome {
    let mut pace = rate.map(|rate| Pace::new(rate, clock::now()));
    while let Some(data) = body.data().await {
        let data = match data {
            Ok(data) => data,
            Err(error) => return Outcome::Cut(cut(&error)),
        };
        let at = Moment::now();
        subscriber.got(data.len(), at);
        subscriber.body(&data, at);
        if let Some(pace) = &mut pace {
            pace.read(data.len(), at.now);
            if let Some(due) = pace.due(at.now) {
                sleep_until(due.into()).await;
            }
        }
        // A stream that has ended meanwhile needs no more window.
        let _ = body.flow_control().release_capacity(data.len());
    }
    match body.trailers().await {
        Ok(_) => subscriber.at_end(),
        Err(error) => Outcome::Cut(cut(&error)),
    }
}

fn failure(error: &h2::Error) -> Failure {
    match (error.get_io(), error.reason()) {
        (Some(error), _) if error.kind() == std::io::ErrorKind::UnexpectedEof => Failure::Closed,
        (Some(error), _) => Failure::Broken(error.kind()),
        // What h2 says when the server's first bytes are no HTTP/2.
        (None, Some(_)) if error.is_go_away() && !error.is_remote() => Failure::NoHttp2,
        (None, Some(reason)) => Failure::Reset(reason.into()),
        (None, None) => Failure::Malformed("a request that HTTP/2 does not take"),
    }
}

fn cut(error: &h2::Error) -> Cut {
    match (error.get_io(), error.reason()) {
        (Some(error), _) if error.kind() == std::io::ErrorKind::UnexpectedEof => Cut::Closed,
        (Some(error), _) => Cut::Broken(error.kind()),
        (None, Some(reason)) => Cut::Reset(reason.into()),
        (None, None) => Cut::Closed,
    }
}
