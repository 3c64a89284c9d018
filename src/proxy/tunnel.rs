//! A connection that switched protocols (RFC 9110 section 7.8), a WebSocket mostly: bytes go both ways as they come, until both sides
//! have closed, one breaks, or neither speaks for `timeouts.tunnel_idle`. Nothing is known of what they mean, so a drain can only wait
//! for them, up to its deadline.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::ask::Answered;
use super::call::Call;
use super::door::After;
use super::downstream::Body;
use super::exchange::Exchange;
use super::record::{Outcome, RequestRecord};
use super::relay::reset_on_close;
use super::server_response::ServerStream;
use crate::clock;
use crate::message::response;
use crate::message::upgrade::{self, Protocol};
use crate::transport::Socket;

/// Bytes of one read at most, one way; held only while they are on their way.
const READ_SIZE: usize = 16 * 1024;

impl Exchange<'_> {
    /// The server switched to `protocol`: its head goes out, then both connections belong to a tunnel.
    pub(super) async fn tunnel(
        &self,
        mut call: Box<Call>,
        answered: Box<Answered>,
        mut record: Box<RequestRecord>,
        protocol: &Protocol,
    ) -> After {
        let Answered { response, mut header, busy, pin, .. } = *answered;
        record.status(101);
        record.outcome(Outcome::ClientGone);
        response::strip_hop_by_hop(&mut header);
        if let Some(pin) = pin {
            // The value was built to be one.
            let _ = header.append_header(http::header::SET_COOKIE, pin);
        }
        if upgrade::grant_client(&mut header, protocol).is_err() {
            return self.unanswered(call, record, 502, "its switch of protocols cannot be passed on").await;
        }
        if call.down.write_head(header, Body::None, false).await.is_err() {
            return After::Gone;
        }
        let Call { down, upload, client } = *call;
        // What the client sent behind its head, and what the server sent behind its own.
        let to_server = upload.into_ahead();
        let (Some((wire, _)), Some(ServerStream::Http1(server, to_client))) = (down.into_connection(), response.into_stream())
        else {
            return After::Gone;
        };
        let (Some(client_socket), Some(server_socket)) = (wire.into_own(), server.unshared().into_own()) else {
            return After::Gone;
        };
        let open = self.context.metrics.open_tunnel();
        let drain = self.app.drain.clone();
        let idle = self.route.timeouts.tunnel_idle;
        // A task of its own: what served the request is freed.
        tokio::spawn(async move {
            let _held = (client, busy, open);
            let meter = Meter::new();
            let outcome = tokio::select! {
                outcome = run(&client_socket, &server_socket, to_server, to_client, idle, &meter) => outcome,
                () = drain.cut_off() => Outcome::Cut,
            };
            if outcome != Outcome::Tunnel {
                // What broke off on one side must not look whole on the other.
                reset_on_close(&client_socket, true);
                reset_on_close(&server_socket, true);
            }
            record.forwarded(usize::try_from(meter.to_client.load(Ordering::Relaxed)).unwrap_or(usize::MAX));
            record.outcome(outcome);
        });
        After::Gone
    }
}

/// What went through, and when something last did.
struct Meter {
    started: Instant,
    to_client: AtomicU64,
    to_server: AtomicU64,
    /// Milliseconds after `started`.
    last: AtomicU64,
}

impl Meter {
    fn new() -> Self {
        Self { started: clock::now(), to_client: AtomicU64::new(0), to_server: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    fn count(&self, direction: &AtomicU64, bytes: usize) {
        direction.fetch_add(bytes as u64, Ordering::Relaxed);
        let since = clock::now().saturating_duration_since(self.started).as_millis();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Resolves once nothing went through for `idle`.
    async fn idle(&self, idle: Duration) {
        loop {
            let end = self.started + Duration::from_millis(self.last.load(Ordering::Relaxed)) + idle;
            if clock::now() >= end {
                return;
            }
            tokio::time::sleep_until(end.into()).await;
        }
    }
}

/// Both ways until both are closed.
async fn run(client: &Socket, server: &Socket, to_server: Bytes, to_client: Bytes, idle: Duration, meter: &Meter) -> Outcome {
    let both = async {
        tokio::try_join!(
            async { pump(client, server, to_server, meter, &meter.to_server).await.map_err(|broken| broken.outcome(true)) },
            async { pump(server, client, to_client, meter, &meter.to_client).await.map_err(|broken| broken.outcome(false)) },
        )
    };
    tokio::select! {
        done = both => done.map_or_else(|outcome| outcome, |_| Outcome::Tunnel),
        () = meter.idle(idle) => Outcome::Tunnel,
    }
}

/// Which end of one direction broke.
enum Broken {
    Source,
    Target,
}

impl Broken {
    fn outcome(self, from_client: bool) -> Outcome {
        match (self, from_client) {
            (Self::Source, true) | (Self::Target, false) => Outcome::ClientGone,
            (Self::Source, false) | (Self::Target, true) => Outcome::UpstreamLost,
        }
    }
}

/// One way, beginning with `first`, until `from` closes; then `to` is closed for writing.
async fn pump(from: &Socket, to: &Socket, first: Bytes, meter: &Meter, count: &AtomicU64) -> Result<(), Broken> {
    send(to, &first, meter, count).await?;
    drop(first);
    let mut buffer = Vec::new();
    loop {
        let read = poll_fn(|cx| {
            buffer.resize(READ_SIZE, 0);
            let read = from.poll_read_shared(cx, &mut buffer);
            if read.is_pending() {
                // Nothing is held while nothing comes.
                buffer = Vec::new();
            }
            read
        });
        match read.await {
            Ok(0) => break,
            Ok(n) => send(to, &buffer[..n], meter, count).await?,
            Err(_) => return Err(Broken::Source),
        }
    }
    poll_fn(|cx| to.poll_close_write(cx)).await.map_err(|_| Broken::Target)
}

async fn send(to: &Socket, mut bytes: &[u8], meter: &Meter, count: &AtomicU64) -> Result<(), Broken> {
    while !bytes.is_empty() {
        let n = poll_fn(|cx| to.poll_write_shared(cx, bytes)).await.map_err(|_| Broken::Target)?;
        bytes = &bytes[n..];
        meter.count(count, n);
    }
    poll_fn(|cx| to.poll_flush_shared(cx)).await.map_err(|_| Broken::Target)
}
