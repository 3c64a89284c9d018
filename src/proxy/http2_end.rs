//! How an HTTP/2 connection of a client ended: counted once for each, by `Drop` at the latest, and told in one line.

use std::sync::Arc;

use h2::Reason;

use super::app::App;
use super::http2_meter::{Meter, Offence};
use super::record::Client;
use crate::clock;
use crate::message::http2_budget::Flood;
use crate::telemetry::Http2End;

/// An HTTP/2 connection that lives.
#[derive(Debug)]
pub(super) struct Http2Record {
    app: Arc<App>,
    client: Arc<Client>,
    meter: Arc<Meter>,
    told: bool,
}

impl Http2Record {
    /// The connection of `client` speaks HTTP/2.
    pub(super) fn new(app: Arc<App>, client: Arc<Client>, meter: Arc<Meter>) -> Self {
        Self { app, client, meter, told: false }
    }

    /// It ended, with `detail` for whoever reads the log. Only the first call counts.
    ///
    /// A line for abusers once in a while and none for others: whoever comes with many connections must not fill the log.
    pub(super) fn ended(&mut self, end: Http2End, detail: &dyn std::fmt::Display) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.app.metrics.http2_ended(end);
        let (client, reason) = (self.client.address, end.label());
        match end.is_abuse().then(|| self.app.abuse.happened(clock::now())).flatten() {
            Some(times) => {
                tracing::info!(%client, reason, %detail, times, "HTTP/2 connections were ended for what their clients sent");
            }
            None => tracing::debug!(%client, reason, %detail, "an HTTP/2 connection ended"),
        }
    }

    /// It broke.
    pub(super) fn broke(&mut self, error: &h2::Error) {
        self.ended(of_error(error, &self.meter), error);
    }

    /// We ended it.
    pub(super) fn offended(&mut self, offence: Offence) {
        match offence {
            Offence::NoSettings => self.ended(Http2End::ProtocolError, &"its first frame was no SETTINGS"),
            Offence::Flood(flood) => {
                self.ended(of_flood(flood), &"more frames than listeners[].h2.streams and its traffic explain")
            }
        }
    }
}

impl Drop for Http2Record {
    fn drop(&mut self) {
        self.ended(Http2End::Aborted, &"its task was dropped");
    }
}

fn of_flood(flood: Flood) -> Http2End {
    match flood {
        Flood::Pings => Http2End::PingFlood,
        Flood::Settings => Http2End::SettingsFlood,
        Flood::Priorities => Http2End::PriorityFlood,
        Flood::Resets => Http2End::ResetFlood,
        Flood::WindowUpdates => Http2End::WindowUpdateFlood,
        Flood::EmptyFrames => Http2End::EmptyFrameFlood,
        Flood::OtherFrames => Http2End::OtherFrameFlood,
        Flood::Errors => Http2End::ErrorFlood,
    }
}

fn of_error(error: &h2::Error, meter: &Meter) -> Http2End {
    if error.is_remote() {
        return Http2End::ClientError;
    }
    match error.reason() {
        None => Http2End::ClientLost,
        Some(Reason::FLOW_CONTROL_ERROR) => Http2End::FlowControlError,
        Some(Reason::FRAME_SIZE_ERROR) => Http2End::FrameSizeError,
        Some(Reason::COMPRESSION_ERROR) => Http2End::CompressionError,
        Some(Reason::STREAM_CLOSED) => Http2End::StreamClosed,
        Some(Reason::ENHANCE_YOUR_CALM) => of_calm(&meter.last_words()),
        Some(_) => Http2End::ProtocolError,
    }
}

/// The codec has one code for all that is too much, and a word with it that only the client is told: nothing else tells them apart.
/// The integration tests hold each word to its flood.
fn of_calm(words: &[u8]) -> Http2End {
    let known = [
        (&b"too_many_r"[..], Http2End::ResetFlood),
        (b"too_many_i", Http2End::ErrorFlood),
        (b"too_many_c", Http2End::ContinuationFlood),
        (b"too_many_d", Http2End::EmptyFrameFlood),
        (b"header_lis", Http2End::HeadBomb),
    ];
    known.into_iter().find(|(word, _)| *word == words).map_or(Http2End::Flood, |(_, end)| end)
}
