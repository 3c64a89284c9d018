//! A connection that speaks HTTP/2 in cleartext, known by its preface (RFC 9113 section 3.3): many requests at once, each a task of its
//! own, so that none waits for another and a panic in one ends no other. The h2 crate does the framing and bounds what a hostile peer
//! may make it keep (resets, CONTINUATION, empty frames); heads are judged by us.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use pingora::http::RequestHeader;

use super::app::App;
use super::door::DoorSettings;
use super::downstream::{Downstream, LAST_WORDS};
use super::http2_turns::Turns;
use super::record::Client;
use super::reject;
use super::request_body::RequestBody;
use super::upload::Upload;
use crate::clock;
use crate::message::http2;
use crate::telemetry::access_log::Asked;
use crate::transport::Transport;

/// An idle connection is looked at so many times before its time is up, and no more often than that.
const LOOKS: u32 = 5;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// What waits in memory for a client on one stream at most: more would only stand between it and the newest event.
const SEND_BUFFER: usize = 64 * 1024;
/// What comes for a stream that we reset and no longer know costs a reset each, and beyond so many over its life, for each stream that
/// may be open, the codec ends a connection. Uploads that are answered early are daily life on a connection that a proxy before us
/// shares among its clients, so it is far above the default of 1,024 for all.
const STRAY_FRAMES: usize = 512;
/// How many times the connection's window the overhead of small DATA frames may be. The codec ends a connection on which too many lie
/// unread, and its default lets one stalled upload of small messages do that to all other streams. With four, windows bind first for
/// messages from 52 bytes on, and memory stays bounded.
const OVERHEAD: usize = 4;

type ClientConnection = Connection<Transport, Bytes>;
type Incoming = (http::Request<RecvStream>, SendResponse<Bytes>);

/// Serves one connection to its end.
pub(super) async fn serve(app: &Arc<App>, settings: &DoorSettings, transport: Transport, client: Arc<Client>) {
    let http2 = &client.listener.http2;
    let streams = http2.streams as usize;
    let handshake = Builder::new()
        .max_concurrent_streams(http2.streams)
        .initial_window_size(http2.stream_window)
        .initial_connection_window_size(http2.connection_window)
        .max_header_list_size(u32::try_from(settings.request_head_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        // Streams that we reset and still know for a second: what their client had sent by then is ignored. All that can be open at once.
        .max_concurrent_reset_streams(streams)
        .max_local_error_reset_streams(Some(streams.saturating_mul(STRAY_FRAMES)))
        .data_frame_budget((http2.connection_window as usize).saturating_mul(OVERHEAD))
        .handshake(transport);
    let mut connection = match tokio::time::timeout(settings.request_head, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(client = %client.address, %error, "no HTTP/2 connection"),
        Err(_) => return tracing::debug!(client = %client.address, "no HTTP/2 connection within timeouts.request_head"),
    };
    let turns = Arc::new(Turns::default());
    tokio::select! {
        () = requests(app, &mut connection, &client, &turns) => return,
        () = app.drain.cut_off() => {}
    }
    // Streams are being reset: their last frames go out.
    let _ = tokio::time::timeout(2 * LAST_WORDS, async { while next(&mut connection, &turns).await.is_some() {} }).await;
}

/// The next request; all of the connection's reading and writing happens here.
async fn next(connection: &mut ClientConnection, turns: &Turns) -> Option<Result<Incoming, h2::Error>> {
    std::future::poll_fn(|cx| turns.turn(cx, |cx| connection.poll_accept(cx))).await
}

/// Accepts requests until the connection is over.
async fn requests(app: &Arc<App>, connection: &mut ClientConnection, client: &Arc<Client>, turns: &Arc<Turns>) {
    let mut leaving = false;
    let idle = client.listener.http2.idle;
    let pause = (idle / LOOKS).max(SHORTEST_PAUSE);
    let mut used = clock::now();
    let mut look = used + pause;
    loop {
        tokio::select! {
            // What ends with the drain is written by `next`: its client reads GOAWAY first, and never opens a stream in between.
            biased;
            // No new streams; those that are open end in their own time.
            () = app.drain.draining(), if !leaving => {
                leaving = true;
                connection.graceful_shutdown();
                look = clock::now() + LAST_WORDS;
            }
            accepted = next(connection, turns) => match accepted {
                Some(Ok(incoming)) => {
                    used = clock::now();
                    tokio::spawn(request_task(Arc::clone(app), Arc::clone(client), incoming, Arc::clone(turns)));
                }
                Some(Err(error)) => return tracing::debug!(client = %client.address, %error, "an HTTP/2 connection broke"),
                None => return,
            },
            () = tokio::time::sleep_until(look.into()), if leaving => {
                // The last GOAWAY waits for an answer that a client which is really gone never gives: it would hold the process for
                // nobody.
                if !connection.has_streams() {
                    return;
                }
                look = clock::now() + LAST_WORDS;
            }
            () = tokio::time::sleep_until(look.into()), if !leaving => {
                let now = clock::now();
                look = now + pause;
                if is_idle(connection, &mut used, now, idle) {
                    leaving = true;
                    connection.graceful_shutdown();
                    look = now + LAST_WORDS;
                }
            }
        }
    }
}

/// Whether no stream is open, and none was for long enough.
fn is_idle(connection: &ClientConnection, used: &mut Instant, now: Instant, idle: Duration) -> bool {
    if connection.has_streams() {
        *used = now;
    }
    now.saturating_duration_since(*used) >= idle
}

/// One request. What is dropped here unfinished is reset.
async fn request_task(app: Arc<App>, client: Arc<Client>, incoming: Incoming, turns: Arc<Turns>) {
    tokio::select! {
        () = serve_request(&app, client, incoming, turns) => {}
        () = app.drain.cut_off() => {}
    }
}

async fn serve_request(app: &App, client: Arc<Client>, (request, respond): Incoming, turns: Arc<Turns>) {
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    match http2::request(parts, body.is_end_stream()) {
        Ok((header, head)) => {
            let down = Downstream::http2(header, respond, turns);
            let upload = Upload::new(RequestBody::http2(body), head.framing.has_body());
            Box::pin(app.handle(down, upload, head, client)).await;
        }
        Err(refusal) => {
            let peer = client.address.ip().to_canonical();
            let asked = Asked::without_route(peer, Some(method.as_str()), None, Some(path.as_bytes()));
            app.answered_without_route(asked, refusal.status, refusal.reason, Duration::ZERO);
            // Nothing of the head is believed: the answer needs none.
            let Ok(nothing) = RequestHeader::build(method, b"/", None) else { return };
            let mut down = Downstream::http2(nothing, respond, turns);
            // The client may be gone: nobody is left to tell.
            let _ = reject::answer(&mut down, refusal.status, Some(refusal.reason), false).await;
        }
    }
}
