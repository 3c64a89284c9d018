//! An HTTP/2 connection by prior knowledge: a task for each stream (RFC 9113).

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::rc::Rc;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::{Request, Response, header};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::Shared;
use super::play::{Sink, play};
use super::request::number;
use super::scenario::{Asked, Reply, reply};

/// Streams of a connection at once: proxies keep to it, so that many streams may share one.
const MOST_STREAMS: u32 = 10_000;

/// Serves a connection of which `read` was read, to its end.
pub(super) async fn serve(stream: TcpStream, read: Vec<u8>, shared: Rc<Shared>) {
    let (reader, writer) = stream.into_split();
    let io = tokio::io::join(Cursor::new(read).chain(reader), writer);
    let Ok(mut connection) = Builder::new().max_concurrent_streams(MOST_STREAMS).handshake::<_, Bytes>(io).await else {
        return;
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(answer(request, respond, Rc::clone(&shared)));
    }
}

/// Answers one request. How it failed is the client's to tell.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: Rc<Shared>) {
    let (parts, mut body) = request.into_parts();
    let last_event_id = parts.headers.get("last-event-id").and_then(|value| number(value.as_bytes()));
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let reply = reply(&Asked { method: parts.method.as_str(), target, last_event_id });
    while let Some(Ok(data)) = body.data().await {
        // A connection that is gone needs no window.
        let _ = body.flow_control().release_capacity(data.len());
    }
    let is_head = parts.method == http::Method::HEAD;
    drop((parts.uri, parts.headers, body));
    let response = match &reply {
        Reply::Whole(whole) => {
            let mut builder = Response::builder().status(whole.status).header(header::CONTENT_TYPE, whole.content_type);
            if let Some(allow) = whole.allow {
                builder = builder.header(header::ALLOW, allow);
            }
            builder.header(header::CONTENT_LENGTH, whole.body.len()).body(())
        }
        Reply::Stream(_) => {
            Response::builder().header(header::CONTENT_TYPE, "text/event-stream").header(header::CACHE_CONTROL, "no-cache").body(())
        }
    };
    let Some(mut stream) = response.ok().and_then(|response| respond.send_response(response, is_head).ok()) else {
        return;
    };
    drop(respond);
    match reply {
        _ if is_head => {}
        Reply::Whole(whole) => {
            let _ = stream.send_data(whole.body.into(), true);
        }
        Reply::Stream(plan) => {
            let _ = play(plan, &shared, &mut stream).await;
        }
    }
}

impl Sink for SendStream<Bytes> {
    async fn open(&mut self) -> io::Result<()> {
        // The head went out with the response.
        Ok(())
    }

    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut piece = Vec::new();
        write(&mut piece);
        let mut piece = Bytes::from(piece);
        while !piece.is_empty() {
            self.reserve_capacity(piece.len());
            let mut room = self.capacity();
            if room == 0 {
                let granted = poll_fn(|context| self.poll_capacity(context)).await;
                room = granted.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?;
            }
            let part = piece.split_to(room.min(piece.len()));
            self.send_data(part, false).map_err(io::Error::other)?;
        }
        // The connection's task writes it; a stream that is never short of room must let it.
        tokio::task::coop::consume_budget().await;
        Ok(())
    }

    async fn gone(&mut self) {
        // Reset or lost is all the same.
        let _ = poll_fn(|context| self.poll_reset(context)).await;
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.send_data(Bytes::new(), true).map_err(io::Error::other)
    }
}
