//! The demo origin: its listener, its paths and the stream.
//!
//! One task for each connection, one schedule for all. On shutdown streams end cleanly, at an event boundary and with the final
//! chunk; nothing here may outlive [`Origin::serve`].

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, header};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::broadcast::{Broadcast, Pace};
use super::http::{Connection, NoRequest, Request, Response};
use crate::clock;
use crate::sse::LineEnd;
use crate::sse::encode::retry_line;

/// The page, one file without external resources.
const PAGE: &str = include_str!("page.html");

/// The reconnection time, in milliseconds.
const RETRY_MS: u64 = 2000;

/// Connections that may wait to be accepted; the usual 128 overflow when a few hundred clients come at once, and each then waits a
/// second for its next try.
const ACCEPT_QUEUE: u32 = 1024;

/// Between two tries to accept after a failure, most likely for want of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// How long nobody answers in a restart: about what a small application takes for one.
const OUTAGE: Duration = Duration::from_secs(3);

/// How long connections may take to end on shutdown; then they are dropped.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// An event stream server with ids, named events, a reconnection time and `Last-Event-ID`.
///
/// | path | method | answer |
/// |---|---|---|
/// | `/` | GET | the page |
/// | `/events` | GET | the stream: `tick` and `pause` at its [`Pace`], and each `note` |
/// | `/publish` | POST | sends the body, text of at most 4 KiB, to everybody as a `note` |
/// | `/restart` | POST | it goes away for three seconds, as if it were killed: see [`Origin::serve`] |
/// | `/healthz` | GET | `ok` |
///
/// HEAD goes where GET goes. All clients see the same events under the same ids.
#[derive(Debug)]
pub struct Origin {
    listener: TcpListener,
    address: SocketAddr,
    pace: Pace,
}

impl Origin {
    /// Binds `address`; port 0 takes a free one. Async, since it needs the runtime around it.
    ///
    /// # Errors
    ///
    /// What the system says when the address cannot be bound.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = reserve(address)?.listen(ACCEPT_QUEUE)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, pace: Pace::default() })
    }

    /// The same origin with events at another pace.
    #[must_use]
    pub fn with_pace(self, pace: Pace) -> Self {
        Self { pace, ..self }
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done, then ends all streams cleanly; returns within about a second after it.
    ///
    /// A restart cuts all connections in the middle of what they do, and refuses new ones for a while. What happens meanwhile is not
    /// lost, as with an application that keeps its events elsewhere: clients that come back with `Last-Event-ID` get it.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let broadcast = Arc::new(Broadcast::new());
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut schedule = pin!(broadcast.run_schedule(self.pace));
        let mut listener = self.listener;
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                never = &mut schedule => match never {},
                stream = accept(&listener) => {
                    connections.spawn(serve_connection(stream, Arc::clone(&broadcast)));
                }
                Some(_) = connections.join_next() => {}
                () = broadcast.restart_asked() => {
                    drop(listener);
                    connections.shutdown().await;
                    tokio::select! {
                        () = &mut shutdown => return,
                        never = &mut schedule => match never {},
                        back = listen_again(self.address) => listener = back,
                    }
                }
            }
        }
        drop(listener);
        broadcast.close();
        let _ = timeout(SHUTDOWN_GRACE, async { while connections.join_next().await.is_some() {} }).await;
    }
}

/// The address, taken: whoever connects is refused until it listens.
fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Refuses connections for [`OUTAGE`], then listens. The address is kept meanwhile, so that nobody else can get it.
async fn listen_again(address: SocketAddr) -> TcpListener {
    let mut reserved = reserve(address);
    tokio::time::sleep(OUTAGE).await;
    loop {
        match reserved.and_then(|socket| socket.listen(ACCEPT_QUEUE)) {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
        }
        reserved = reserve(address);
    }
}

/// The next connection; a failure to accept is waited out.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, broadcast: Arc<Broadcast>) {
    // Events are small and each is written at once: none may wait for the previous one's acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let mut connection = Connection::new(stream);
    loop {
        let request = tokio::select! {
            request = connection.read_request() => request,
            () = broadcast.closed() => return,
        };
        let open = match request {
            Ok(request) => answer(&mut connection, &request, &broadcast).await.unwrap_or(false),
            Err(NoRequest::Refused(status)) => {
                if connection.write_response(&Response::plain(status), true, false).await.is_ok() {
                    connection.linger().await;
                }
                return;
            }
            Err(NoRequest::Gone) => return,
        };
        if !open {
            return;
        }
    }
}

/// Answers one request; whether the connection may serve another.
async fn answer(connection: &mut Connection, request: &Request, broadcast: &Broadcast) -> io::Result<bool> {
    let is_read = request.method == Method::GET || request.method == Method::HEAD;
    let response = match request.path.as_str() {
        "/publish" if request.method == Method::POST => publish(&request.body, broadcast),
        "/restart" if request.method == Method::POST => {
            let answer = Response::text(StatusCode::ACCEPTED, format!("gone for {} seconds\n", OUTAGE.as_secs()));
            connection.write_response(&answer, true, false).await?;
            broadcast.ask_restart();
            return Ok(false);
        }
        "/publish" | "/restart" => not_allowed(&[(header::ALLOW, "POST")]),
        "/" | "/events" | "/healthz" if !is_read => not_allowed(&[(header::ALLOW, "GET, HEAD")]),
        "/events" => {
            connection.write_stream_head(request).await?;
            if request.method == Method::GET {
                stream_events(connection, request, broadcast).await?;
            }
            return Ok(false);
        }
        "/" => page(),
        "/healthz" => Response::text(StatusCode::OK, "ok\n"),
        _ => Response::plain(StatusCode::NOT_FOUND),
    };
    connection.write_response(&response, request.method != Method::HEAD, request.keep_alive).await?;
    Ok(request.keep_alive)
}

fn page() -> Response {
    Response {
        status: StatusCode::OK,
        content_type: "text/html; charset=utf-8",
        fields: &[
            (header::CACHE_CONTROL, "no-cache"),
            (
                header::CONTENT_SECURITY_POLICY,
                "default-src 'none'; connect-src 'self'; img-src data:; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
            ),
        ],
        body: Bytes::from_static(PAGE.as_bytes()),
    }
}

fn not_allowed(allow: &'static [(header::HeaderName, &'static str)]) -> Response {
    Response { fields: allow, ..Response::plain(StatusCode::METHOD_NOT_ALLOWED) }
}

fn publish(body: &[u8], broadcast: &Broadcast) -> Response {
    let Ok(text) = str::from_utf8(body) else {
        return Response::text(StatusCode::BAD_REQUEST, "The body must be text in UTF-8.\n");
    };
    let text = text.trim();
    if text.is_empty() {
        return Response::text(StatusCode::BAD_REQUEST, "The body is empty: send the text of the note.\n");
    }
    let id = broadcast.send("note", text, clock::wall());
    Response::text(StatusCode::OK, format!("sent to everybody as event {id}\n"))
}

/// Writes events until the client closes or the origin does.
async fn stream_events(connection: &mut Connection, request: &Request, broadcast: &Broadcast) -> io::Result<()> {
    let mut backlog = broadcast.subscribe();
    let mut position = backlog.borrow().start(request.last_event_id);
    let mut is_first = true;
    loop {
        let batch = backlog.borrow_and_update().after(position);
        let mut piece = Vec::new();
        if is_first && !batch.events.is_empty() {
            // Without a blank line of its own: some clients take a block without data for an empty event.
            retry_line(RETRY_MS, LineEnd::Lf, &mut piece);
            is_first = false;
        }
        if batch.missed > 0 {
            piece.extend_from_slice(format!(": {} events are no longer kept here\n", batch.missed).as_bytes());
        }
        piece.extend(batch.events.iter().flatten());
        position = batch.position;
        if !piece.is_empty() {
            connection.write_piece(&piece, request.chunked).await?;
        }
        if batch.last {
            return connection.write_end(request.chunked).await;
        }
        if batch.events.is_empty() {
            tokio::select! {
                _ = backlog.changed() => {}
                () = connection.client_closed() => return Ok(()),
            }
        }
    }
}
