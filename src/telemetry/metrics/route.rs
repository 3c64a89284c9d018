//! What is counted of a route: its requests and its event streams. The handles are resolved once, so that counting on the way of an
//! event is one atomic addition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry};

use super::labels::{CounterPer, HeartbeatFrame, StatusClass, StreamCap};
use super::registry::{counters, gauges, histograms};
use crate::message::soft::SoftStatus;
use crate::stream::EndReason;

/// Seconds to the first event: a page's own stream needs milliseconds, a language model up to minutes.
const FIRST_EVENT: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
/// Seconds of an event with us: microseconds as a rule, `timeouts.write_stall` (60 s) at the worst.
const FORWARD_DELAY: &[f64] =
    &[0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.1, 1.0, 10.0, 60.0];
/// Seconds of an ordinary request: from what a cache answers to `timeouts.response_head` (300 s).
const REQUEST: &[f64] = &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The value of `route` for a request that reached no route. Routes are named by numbers, so none is called so.
const NO_ROUTE: &str = "none";

/// The metrics of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    requests: CounterPer<StatusClass>,
    request_seconds: Histogram,
    refusals: CounterPer<StreamCap>,
    soft: CounterPer<SoftStatus>,
    open: IntGauge,
    started: IntCounter,
    ended: CounterPer<EndReason>,
    events: IntCounter,
    bytes: IntCounter,
    heartbeats: CounterPer<HeartbeatFrame>,
    first_event: Histogram,
    forward_delay: Histogram,
    undecodable: IntCounter,
    undecodable_seen: AtomicBool,
    tunnels: IntCounter,
    tunnels_open: IntGauge,
}

impl RouteMetrics {
    /// A request has its answer: once for each request, event streams and our own refusals included.
    pub fn answered(&self, class: StatusClass) {
        self.requests.inc(class);
    }

    /// An ordinary request took so long, from its head to the last byte of its answer. Not for streams: how long those last says
    /// nothing about us.
    pub fn request_took(&self, time: Duration) {
        self.request_seconds.observe(time.as_secs_f64());
    }

    /// A stream was refused. The request counts as answered besides.
    pub fn refused(&self, cap: StreamCap) {
        self.refusals.inc(cap);
    }

    /// A browser's EventSource got a soft answer in place of `status`. The request counts as answered with 200 besides.
    pub fn softened(&self, status: SoftStatus) {
        self.soft.inc(status);
    }

    /// An event stream begins; it is open for as long as the value lives.
    #[must_use]
    pub fn open_stream(self: &Arc<Self>) -> OpenStream {
        self.started.inc();
        self.open.inc();
        OpenStream { route: Arc::clone(self), ended: false }
    }

    /// An event stream comes in a coding that cannot be decoded here. True for the first one of the route.
    pub fn undecodable(&self) -> bool {
        self.undecodable.inc();
        !self.undecodable_seen.swap(true, Ordering::Relaxed)
    }

    /// A connection switched protocols; it is open for as long as the value lives.
    #[must_use]
    pub fn open_tunnel(self: &Arc<Self>) -> OpenTunnel {
        self.tunnels.inc();
        self.tunnels_open.inc();
        OpenTunnel { route: Arc::clone(self) }
    }

    /// Event streams open now.
    #[must_use]
    pub fn streams_open(&self) -> u64 {
        u64::try_from(self.open.get()).unwrap_or_default()
    }

    /// Event streams that ended for `reason`.
    #[must_use]
    pub fn streams_ended(&self, reason: EndReason) -> u64 {
        self.ended.get(reason)
    }

    /// Heartbeats sent in this frame.
    #[must_use]
    pub fn heartbeats(&self, frame: HeartbeatFrame) -> u64 {
        self.heartbeats.get(frame)
    }
}

/// An event stream that is open. One that is dropped without an end counts as [`EndReason::Aborted`].
#[derive(Debug)]
pub struct OpenStream {
    route: Arc<RouteMetrics>,
    ended: bool,
}

impl OpenStream {
    /// So much payload came from the upstream.
    pub fn received(&self, bytes: u64, events: u64) {
        self.route.bytes.inc_by(bytes);
        self.route.events.inc_by(events);
    }

    /// A heartbeat was sent.
    pub fn beat(&self, frame: HeartbeatFrame) {
        self.route.heartbeats.inc(frame);
    }

    /// The first event went to the client, so long after the head of its request had been read. Once a stream.
    pub fn first_event(&self, after: Duration) {
        self.route.first_event.observe(after.as_secs_f64());
    }

    /// What a [`super::DelaySampler`] gave.
    pub fn forwarded(&self, delay: Duration) {
        self.route.forward_delay.observe(delay.as_secs_f64());
    }

    /// It is over. Only the first call counts, and says so by true.
    pub fn ended(&mut self, reason: EndReason) -> bool {
        if std::mem::replace(&mut self.ended, true) {
            return false;
        }
        self.route.ended.inc(reason);
        true
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.ended(EndReason::Aborted);
        self.route.open.dec();
    }
}

/// A tunnel that is open.
#[derive(Debug)]
pub struct OpenTunnel {
    route: Arc<RouteMetrics>,
}

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        self.route.tunnels_open.dec();
    }
}

/// The families from which routes take their handles.
pub(super) struct RouteFamilies {
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    refusals: IntCounterVec,
    soft: IntCounterVec,
    open: IntGaugeVec,
    started: IntCounterVec,
    ended: IntCounterVec,
    events: IntCounterVec,
    bytes: IntCounterVec,
    heartbeats: IntCounterVec,
    first_event: HistogramVec,
    forward_delay: HistogramVec,
    undecodable: IntCounterVec,
    tunnels: IntCounterVec,
    tunnels_open: IntGaugeVec,
}

impl RouteFamilies {
    pub(super) fn new(to: &Registry) -> Result<Self, prometheus::Error> {
        const BY_ROUTE: &[&str] = &["route"];
        Ok(Self {
            requests: counters(
                to,
                "ssedge_requests_total",
                "Requests answered, event streams and refusals included, by class of the status.",
                &["route", "class"],
            )?,
            request_seconds: histograms(
                to,
                "ssedge_request_seconds",
                "Ordinary requests, from the head of the request to the last byte of the answer.",
                BY_ROUTE,
                REQUEST,
            )?,
            refusals: counters(
                to,
                "ssedge_cap_refusals_total",
                "Event streams refused, by the cap that was met.",
                &["route", "cap"],
            )?,
            soft: counters(
                to,
                "ssedge_soft_errors_total",
                "Soft answers to browsers' EventSources, by the status in whose place they were given.",
                &["route", "status"],
            )?,
            open: gauges(to, "ssedge_streams_open", "Event streams open now.", BY_ROUTE)?,
            started: counters(to, "ssedge_streams_started_total", "Event streams started.", BY_ROUTE)?,
            ended: counters(to, "ssedge_streams_ended_total", "Event streams that ended, by reason.", &["route", "reason"])?,
            events: counters(to, "ssedge_stream_events_total", "Events received from upstreams.", BY_ROUTE)?,
            bytes: counters(to, "ssedge_stream_bytes_total", "Payload bytes of event streams received from upstreams.", BY_ROUTE)?,
            heartbeats: counters(to, "ssedge_heartbeats_total", "Heartbeats sent to clients, by frame.", &["route", "frame"])?,
            first_event: histograms(
                to,
                "ssedge_first_event_seconds",
                "From the head of the request to the first event of its stream.",
                BY_ROUTE,
                FIRST_EVENT,
            )?,
            forward_delay: histograms(
                to,
                "ssedge_forward_delay_seconds",
                "From the read of the upstream to the write that the client accepted, of sampled reads.",
                BY_ROUTE,
                FORWARD_DELAY,
            )?,
            undecodable: counters(
                to,
                "ssedge_streams_undecodable_total",
                "Event streams in a coding that cannot be decoded here, forwarded without heartbeats.",
                BY_ROUTE,
            )?,
            tunnels: counters(to, "ssedge_tunnels_total", "Connections that switched protocols, WebSockets mostly.", BY_ROUTE)?,
            tunnels_open: gauges(to, "ssedge_tunnels_open", "Connections that switched protocols and are open now.", BY_ROUTE)?,
        })
    }

    /// The handles of the route `name`.
    pub(super) fn route(&self, name: &str) -> RouteMetrics {
        RouteMetrics {
            requests: CounterPer::new(|class| self.requests.with_label_values(&[name, class])),
            request_seconds: self.request_seconds.with_label_values(&[name]),
            refusals: CounterPer::new(|cap| self.refusals.with_label_values(&[name, cap])),
            soft: CounterPer::new(|status| self.soft.with_label_values(&[name, status])),
            open: self.open.with_label_values(&[name]),
            started: self.started.with_label_values(&[name]),
            ended: CounterPer::new(|reason| self.ended.with_label_values(&[name, reason])),
            events: self.events.with_label_values(&[name]),
            bytes: self.bytes.with_label_values(&[name]),
            heartbeats: CounterPer::new(|frame| self.heartbeats.with_label_values(&[name, frame])),
            first_event: self.first_event.with_label_values(&[name]),
            forward_delay: self.forward_delay.with_label_values(&[name]),
            undecodable: self.undecodable.with_label_values(&[name]),
            undecodable_seen: AtomicBool::new(false),
            tunnels: self.tunnels.with_label_values(&[name]),
            tunnels_open: self.tunnels_open.with_label_values(&[name]),
        }
    }

    /// Requests that reached no route.
    pub(super) fn no_route(&self) -> CounterPer<StatusClass> {
        CounterPer::new(|class| self.requests.with_label_values(&[NO_ROUTE, class]))
    }
}
