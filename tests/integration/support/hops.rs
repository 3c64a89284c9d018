//! The same story over each pair of protocols: what a client asks in, and what its server answers in. Both are one [`Viewer`] and one
//! [`Server`] here, with what HTTP/1.1 and HTTP/2 have in common.

use std::net::SocketAddr;

use h2::Reason;

use super::edge::EdgeBuilder;
use super::frames::Seen;
use super::head::Head;
use super::{Client, Edge, End, Http2Client, Http2Head, Http2Origin, Http2Script, Http2Stream, Origin, StreamEnd};

/// What a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Client and server, where at least one of them speaks HTTP/2.
pub(crate) const HOPS: [(Version, Version); 3] =
    [(Version::Http2, Version::Http1), (Version::Http1, Version::Http2), (Version::Http2, Version::Http2)];

/// All of them.
pub(crate) const EVERY_HOP: [(Version, Version); 4] = [
    (Version::Http1, Version::Http1),
    (Version::Http2, Version::Http1),
    (Version::Http1, Version::Http2),
    (Version::Http2, Version::Http2),
];

/// An origin.
pub(crate) enum Server {
    Http1(Origin),
    Http2(Http2Origin),
}

impl Server {
    /// The same script for every request.
    pub(crate) async fn start(version: Version, script: Http2Script) -> Self {
        Self::start_each(version, [script]).await
    }

    /// A script for each request; the last one serves all that follow.
    pub(crate) async fn start_each(version: Version, scripts: impl IntoIterator<Item = Http2Script>) -> Self {
        match version {
            Version::Http1 => Self::Http1(Origin::start_each(scripts.into_iter().map(|script| script.as_http1())).await),
            Version::Http2 => Self::Http2(Http2Origin::start_each(scripts).await),
        }
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Http1(origin) => origin.address(),
            Self::Http2(origin) => origin.address(),
        }
    }

    /// A configuration in front of it, to change.
    pub(crate) fn edge(&self) -> EdgeBuilder {
        match self {
            Self::Http1(_) => Edge::with(),
            Self::Http2(_) => Edge::with().h2c(),
        }
    }

    /// Lets one script go on that waits at its gate.
    pub(crate) fn open_gate(&self) {
        match self {
            Self::Http1(origin) => origin.open_gate(),
            Self::Http2(origin) => origin.open_gate(),
        }
    }

    /// Bytes that were taken from it so far.
    pub(crate) fn written(&self) -> u64 {
        match self {
            Self::Http1(origin) => origin.written(),
            Self::Http2(origin) => origin.written(),
        }
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        match self {
            Self::Http1(origin) => origin.requests(),
            Self::Http2(origin) => origin.requests(),
        }
    }

    /// Waits for the head of a request.
    pub(crate) async fn request_head(&self, number: usize) {
        match self {
            Self::Http1(origin) => drop(origin.request_head(number).await),
            Self::Http2(origin) => drop(origin.request_head(number).await),
        }
    }

    /// The values of a field in a request.
    pub(crate) async fn fields(&self, number: usize, name: &str) -> Vec<String> {
        match self {
            Self::Http1(origin) => origin.request_head(number).await.head.all(name).into_iter().map(str::to_owned).collect(),
            Self::Http2(origin) => origin.request_head(number).await.all(name).into_iter().map(str::to_owned).collect(),
        }
    }

    /// The whole body of a request.
    pub(crate) async fn body(&self, number: usize) -> Vec<u8> {
        match self {
            Self::Http1(origin) => origin.request(number).await.body,
            Self::Http2(origin) => origin.request(number).await.body,
        }
    }

    /// Waits until nobody waits for the answer to a request any more: it was given up, or its connection is gone.
    pub(crate) async fn over(&self, number: usize) {
        match self {
            Self::Http1(_) => self.left(number).await,
            Self::Http2(origin) => {
                let request = origin.request_head(number).await;
                let over = |seen: &Seen| {
                    let stream = seen.streams.get(&request.stream);
                    seen.closed.is_some() || stream.is_some_and(|stream| stream.reset.is_some())
                };
                let what = format!("request {number} to be given up");
                origin.frames(request.connection).wait_for(&what, |seen| over(seen).then_some(())).await;
            }
        }
    }

    /// Waits until the proxy gave a request up: it closed the connection, or reset the stream with CANCEL.
    pub(crate) async fn left(&self, number: usize) {
        match self {
            Self::Http1(origin) => drop(origin.closed(origin.request_head(number).await.connection).await),
            Self::Http2(origin) => assert_eq!(origin.reset(number).await, Reason::CANCEL),
        }
    }
}

/// How a response ended, whatever carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As its framing announced.
    Clean,
    /// On HTTP/1: a body without its end.
    Broken,
    /// On HTTP/2: RST_STREAM.
    Reset(Reason),
    /// On HTTP/2: the connection went.
    Lost,
}

/// A client with one request.
pub(crate) enum Viewer {
    Http1(Client, Head),
    Http2(Http2Client, Http2Stream, Http2Head),
}

impl Viewer {
    /// Connects, sends a request, written as HTTP/1.1, and reads the head of its response.
    pub(crate) async fn open(version: Version, address: SocketAddr, request: &str) -> Self {
        match version {
            Version::Http1 => {
                let (client, head) = Client::open(address, request).await;
                Self::Http1(client, head)
            }
            Version::Http2 => {
                let (client, stream, head) = Http2Client::open(address, request).await;
                Self::Http2(client, stream, head)
            }
        }
    }

    /// The status.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Http1(_, head) => head.status(),
            Self::Http2(_, _, head) => head.status,
        }
    }

    /// The values of a field.
    pub(crate) fn fields(&self, name: &str) -> Vec<&str> {
        match self {
            Self::Http1(_, head) => head.all(name),
            Self::Http2(_, _, head) => head.all(name),
        }
    }

    /// Waits until exactly `bytes` came next in the body.
    pub(crate) async fn expects(&mut self, bytes: impl AsRef<[u8]>) {
        match self {
            Self::Http1(client, _) => client.expects(bytes).await,
            Self::Http2(_, stream, _) => stream.expects(bytes).await,
        }
    }

    /// The same after any number of `beat`, which must not begin like `bytes`.
    pub(crate) async fn expects_after(&mut self, beat: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        match self {
            Self::Http1(client, _) => client.expects_after(beat, bytes).await,
            Self::Http2(_, stream, _) => stream.expects_after(beat, bytes).await,
        }
    }

    /// The rest of the body, and how it ended.
    pub(crate) async fn rest_of_body(&mut self) -> (Vec<u8>, Ending) {
        match self {
            Self::Http1(client, _) => {
                let (body, end) = client.rest_of_body().await;
                (body, if end == End::Clean { Ending::Clean } else { Ending::Broken })
            }
            Self::Http2(_, stream, _) => {
                let (body, end) = stream.rest_of_body().await;
                let ending = match end {
                    StreamEnd::Clean => Ending::Clean,
                    StreamEnd::Reset(reason) => Ending::Reset(reason),
                    StreamEnd::Lost => Ending::Lost,
                };
                (body, ending)
            }
        }
    }

    /// The rest of the body is `bytes`, and it ends as announced.
    pub(crate) async fn ends_with(&mut self, bytes: impl AsRef<[u8]>) {
        let (body, ending) = self.rest_of_body().await;
        assert_eq!((super::shown(&body), ending), (super::shown(bytes.as_ref()), Ending::Clean));
    }

    /// The rest of the body is `bytes`, and it is cut: with `reason` where a reason can be given.
    pub(crate) async fn is_cut_after(&mut self, bytes: impl AsRef<[u8]>, reason: Reason) {
        let (body, ending) = self.rest_of_body().await;
        let want = match self {
            Self::Http1(..) => Ending::Broken,
            Self::Http2(..) => Ending::Reset(reason),
        };
        assert_eq!((super::shown(&body), ending), (super::shown(bytes.as_ref()), want));
    }

    /// Leaves: on HTTP/1 it closes, on HTTP/2 it resets the stream and keeps the connection.
    pub(crate) fn leave(self) -> Option<Http2Client> {
        match self {
            Self::Http1(client, _) => {
                drop(client);
                None
            }
            Self::Http2(connection, mut stream, _) => {
                stream.reset(Reason::CANCEL);
                Some(connection)
            }
        }
    }
}
