//! A connection that speaks HTTP/2 in cleartext, known by its preface (RFC 9113 section 3.3): many requests at once, each a task of its
//! own, so that none waits for another and a panic in one ends no other. The h2 crate does the framing and bounds what a hostile peer
//! may make it keep (resets, CONTINUATION, empty frames), `http2_meter` what it may make it do; heads are judged by us.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Builder, Connection, SendResponse};
use http::Method;
use pingora::http::RequestHeader;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::app::App;
use super::call::Call;
use super::door::DoorSettings;
use super::downstream::{Downstream, LAST_WORDS};
use super::http2_connection::{ClientConnection, Incoming, Next};
use super::http2_end::Http2Record;
use super::http2_meter::{Meter, Metered};
use super::http2_outlet::Outlet;
use super::http2_turns::Turns;
use super::listener::Http2Settings;
use super::record::Client;
use super::reject;
use super::request_body::RequestBody;
use super::upload::Upload;
use crate::clock;
use crate::message::{Refusal, http2};
use crate::telemetry::Http2End;
use crate::telemetry::access_log::Asked;
use crate::transport::Socket;

/// An idle connection is looked at so many times before its time is up, and no more often than that.
const LOOKS: u32 = 5;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
/// What waits in memory for a client on one stream at most: more would only stand between it and the newest event.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset before we looked at them, at least, before the codec ends a connection: after a moment without a CPU it may
/// be all that were open, or more where few may be.
const UNSEEN_RESETS: usize = 128;
/// Tasks of one connection for each stream that it may have open: one may outlive its stream for a moment, and a client that resets as
/// fast as it asks must not have more of them at work than that (CVE-2023-44487).
const TASKS: usize = 4;
/// How many times the connection's window the overhead of small DATA frames may be. The codec ends a connection on which too many lie
/// unread, and its default lets one stalled upload of small messages do that to all other streams. With four, windows bind first for
/// messages from 52 bytes on, and memory stays bounded.
const OVERHEAD: usize = 4;

/// Serves one connection to its end, in a task of its own: what came before, TLS above all, needed a larger one. `ahead` was read of
/// `socket`.
pub(super) fn spawn(app: Arc<App>, settings: DoorSettings, socket: Socket, ahead: Bytes, client: Arc<Client>) {
    tokio::spawn(async move {
        let http2 = client.listener.http2;
        let meter = Arc::new(Meter::new(http2.streams, clock::now()));
        let outlet = Arc::new(Outlet::new(socket));
        let mut record = Http2Record::new(Arc::clone(&app), Arc::clone(&client), Arc::clone(&meter));
        let metered = Metered::new(Arc::clone(&outlet), ahead, Arc::clone(&meter));
        // Boxed: a connection that lives keeps no room for its handshake.
        let handshake = Box::pin(handshake(&app, &settings, http2, metered, &mut record)).await;
        let Some(codec) = handshake else { return };
        let mut connection = ClientConnection::new(codec, outlet, meter, &settings);
        let turns = connection.turns();
        let mut life = std::pin::pin!(live(&app, &mut connection, &client, &mut record));
        std::future::poll_fn(|cx| if turns.lets_others_go_first(cx) { Poll::Pending } else { life.as_mut().poll(cx) }).await;
    });
}

/// Begins a connection; `None` if nothing comes of it.
async fn handshake(
    app: &App,
    settings: &DoorSettings,
    http2: Http2Settings,
    metered: Metered,
    record: &mut Http2Record,
) -> Option<Connection<Metered, Bytes>> {
    let streams = http2.streams as usize;
    let handshake = Builder::new()
        .max_concurrent_streams(http2.streams)
        .initial_window_size(http2.stream_window)
        .initial_connection_window_size(http2.connection_window)
        .max_header_list_size(u32::try_from(settings.request_head_bytes).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        // Streams that we reset and still know for a second: what their client had sent by then is ignored. All that can be open at once.
        .max_concurrent_reset_streams(streams)
        .max_pending_accept_reset_streams(streams.max(UNSEEN_RESETS))
        // Counted over its life, which would end a long one for little; the meter counts them over time.
        .max_local_error_reset_streams(None)
        .data_frame_budget((http2.connection_window as usize).saturating_mul(OVERHEAD))
        .handshake(metered);
    tokio::select! {
        begun = tokio::time::timeout(settings.request_head, handshake) => match begun {
            Ok(Ok(codec)) => return Some(codec),
            Ok(Err(error)) => record.broke(&error),
            Err(_) => record.ended(Http2End::SlowFrame, &"no preface within timeouts.request_head"),
        },
        () = app.drain.cut_off() => record.ended(Http2End::DrainCut, &"it had not begun"),
    }
    None
}

/// All of a connection behind its handshake.
async fn live(app: &Arc<App>, connection: &mut ClientConnection, client: &Arc<Client>, record: &mut Http2Record) {
    tokio::select! {
        over = requests(app, connection, client, record) => match over {
            Over::Closed => return,
            Over::Refused(reason) => connection.abrupt_shutdown(reason),
        },
        () = app.drain.cut_off() => record.ended(Http2End::DrainCut, &"its streams are cut"),
    }
    // Streams are being reset: their last frames go out.
    let _ = tokio::time::timeout(2 * LAST_WORDS, connection.over()).await;
}

/// How a connection is over.
enum Over {
    /// Both sides have said all.
    Closed,
    /// The client is told why.
    Refused(Reason),
}

/// Accepts requests until the connection is over.
async fn requests(app: &Arc<App>, connection: &mut ClientConnection, client: &Arc<Client>, record: &mut Http2Record) -> Over {
    let http2 = &client.listener.http2;
    let places = Arc::new(Semaphore::new((http2.streams as usize).saturating_mul(TASKS).min(Semaphore::MAX_PERMITS)));
    let pause = (http2.idle / LOOKS).max(SHORTEST_PAUSE);
    let mut leaving = None;
    let mut used = clock::now();
    let mut look = used + pause;
    loop {
        tokio::select! {
            // What ends with the drain is written by `next`: its client reads GOAWAY first, and never opens a stream in between.
            biased;
            // No new streams; those that are open end in their own time.
            () = app.drain.draining(), if leaving != Some(Http2End::Drained) => {
                leaving = Some(Http2End::Drained);
                connection.graceful_shutdown();
                look = clock::now() + LAST_WORDS;
            }
            next = connection.next() => match next {
                Next::Request(mut incoming) => {
                    used = clock::now();
                    // Who does not want it any more gets nobody to work.
                    if is_reset(&mut incoming.1) {
                        continue;
                    }
                    let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                        incoming.1.send_reset(Reason::REFUSED_STREAM);
                        continue;
                    };
                    tokio::spawn(request_task(Arc::clone(app), Arc::clone(client), incoming, connection.turns(), place));
                }
                Next::Over => {
                    record.ended(leaving.unwrap_or(Http2End::ClientClosed), &"all was said");
                    return Over::Closed;
                }
                Next::Broke(error) => {
                    record.broke(&error);
                    return Over::Closed;
                }
                Next::Offence(offence) => {
                    record.offended(offence);
                    return Over::Refused(offence.code());
                }
                Next::Slow => {
                    record.ended(Http2End::SlowFrame, &"a frame or a head was begun and not finished");
                    return Over::Refused(Reason::NO_ERROR);
                }
            },
            () = tokio::time::sleep_until(look.into()) => {
                let now = clock::now();
                if leaving.is_some() {
                    // The last GOAWAY waits for an answer that a client which is really gone never gives: it would hold the process for
                    // nobody.
                    if !connection.has_streams() {
                        record.ended(leaving.unwrap_or(Http2End::ClientClosed), &"the client did not answer");
                        return Over::Closed;
                    }
                    look = now + LAST_WORDS;
                } else if is_idle(connection, &mut used, now, http2.idle) {
                    leaving = Some(Http2End::Idle);
                    connection.graceful_shutdown();
                    look = now + LAST_WORDS;
                } else {
                    look = now + pause;
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

/// Whether the client has reset its stream by now.
fn is_reset(respond: &mut SendResponse<Bytes>) -> bool {
    respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// One request. What is dropped here unfinished is reset.
async fn request_task(app: Arc<App>, client: Arc<Client>, incoming: Incoming, turns: Arc<Turns>, _place: OwnedSemaphorePermit) {
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
            Box::pin(app.handle(Call::new(down, upload, client), head)).await;
        }
        // Boxed: few requests need the room.
        Err(refusal) => Box::pin(refuse(app, &client, refusal, method, &path, respond, turns)).await,
    }
}

/// Answers a request that cannot be served.
async fn refuse(
    app: &App,
    client: &Client,
    refusal: Refusal,
    method: Method,
    path: &str,
    respond: SendResponse<Bytes>,
    turns: Arc<Turns>,
) {
    let peer = client.address.ip().to_canonical();
    let asked = Asked::without_route(peer, Some(method.as_str()), None, Some(path.as_bytes()));
    app.answered_without_route(asked, refusal.status, refusal.reason, Duration::ZERO);
    // Nothing of the head is believed: the answer needs none.
    let Ok(nothing) = RequestHeader::build(method, b"/", None) else { return };
    let mut down = Downstream::http2(nothing, respond, turns);
    // The client may be gone: nobody is left to tell.
    let _ = reject::answer(&mut down, refusal.status, Some(refusal.reason), false).await;
}
