//! The stream engine: what to do with one event stream. Pure: it takes `(input, now)` and gives [`Action`]s; it owns no socket, no
//! clock and no byte of the stream, and it never waits.
//!
//! The contract with its shell (`proxy::relay`, later the h2 relay and the fan-out writer):
//!
//! 1. Each call of a `handle_*` appends actions to a list that the caller owns (one list a worker, not one a stream: tens of thousands
//!    of streams are idle). Ranges in them point into the chunk of that same call.
//! 2. The shell carries them out in order and then reports with [`StreamState::handle_written`] how far the client took it. While
//!    bytes are unsent it reads no more from the upstream: that is the backpressure.
//! 3. [`StreamState::poll_timeout`] is the only deadline; [`StreamState::handle_timeout`] may come early or twice without effect.
//! 4. [`Action::End`] comes exactly once, last, and only when the client has all that it should get.
//!
//! The rules are those of the design's `sse.md`, section 2 (WHATWG HTML section 9.2 is the grammar under them).

mod bom;
mod facts;
mod heartbeat;
mod policy;
mod timers;

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::sse::{EventId, Position, Scan, Scanner};

pub use facts::{StreamFacts, StreamKind};
pub use heartbeat::Beat;
pub use policy::{FrameChoice, HeartbeatPolicy, MaxAge, StreamPolicy};

use bom::{BomFilter, Verdict};
use timers::Timers;

/// What the shell is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Write these bytes of the chunk to the client.
    Forward(Range<usize>),
    /// Keep these bytes of the chunk: what becomes of them is decided later.
    Hold(Range<usize>),
    /// Write what is held.
    Release,
    /// Forget what is held.
    Discard,
    /// Write this heartbeat.
    Inject(Beat),
    /// Close the stream: with a proper end when [`EndReason::is_clean`], abnormally otherwise.
    End(EndReason),
}

/// Why a stream ended. Each stream has exactly one; the same name is the metric label and the log field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The upstream ended its response properly.
    UpstreamEnd,
    /// The upstream's connection broke, or its body was shorter than it said.
    UpstreamLost,
    /// The upstream's framing cannot be read (RFC 9112 section 7.1).
    UpstreamMalformed,
    /// The upstream said nothing for `max_upstream_silence`.
    UpstreamSilent,
    /// The client closed.
    ClientGone,
    /// The client took nothing for `write_stall`.
    WriteStall,
    /// The client's request, which may go on behind the head of its response, grew beyond `limits.request_body`.
    UploadTooLarge,
    /// Planned: the age limit.
    MaxAge,
    /// Planned: we leave.
    Drained,
    /// What was left at the drain's deadline.
    DrainCut,
    /// The relay itself was dropped before its end: a panic or the end of the process.
    Aborted,
}

impl EndReason {
    /// All of them, for metrics that exist before the first stream ends.
    pub const ALL: [Self; 11] = [
        Self::UpstreamEnd,
        Self::UpstreamLost,
        Self::UpstreamMalformed,
        Self::UpstreamSilent,
        Self::ClientGone,
        Self::WriteStall,
        Self::UploadTooLarge,
        Self::MaxAge,
        Self::Drained,
        Self::DrainCut,
        Self::Aborted,
    ];

    /// Whether the client gets a proper end (the final chunk). A lost stream never does: a clean end would lie to it.
    #[must_use]
    pub fn is_clean(self) -> bool {
        matches!(self, Self::UpstreamEnd | Self::MaxAge | Self::Drained)
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::UpstreamEnd => "upstream_end",
            Self::UpstreamLost => "upstream_lost",
            Self::UpstreamMalformed => "upstream_malformed",
            Self::UpstreamSilent => "upstream_silent",
            Self::ClientGone => "client_gone",
            Self::WriteStall => "write_stall",
            Self::UploadTooLarge => "upload_too_large",
            Self::MaxAge => "max_age",
            Self::Drained => "drained",
            Self::DrainCut => "drain_cut",
            Self::Aborted => "aborted",
        }
    }
}

/// How the upstream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamEnd {
    /// As its framing announced.
    Clean,
    /// Before that.
    Lost,
    /// Its framing cannot be read.
    Malformed,
}

/// How the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEnd {
    /// It closed, or its connection broke.
    Closed,
    /// The kernel gave it up: what we sent was not acknowledged, or its window stayed closed, for `write_stall`.
    TimedOut,
    /// It sent more than it may.
    TooLarge,
}

/// What went through a stream so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events (blocks with data) that the upstream sent.
    pub events: u64,
    /// Heartbeats that we sent.
    pub heartbeats: u64,
}

/// Where a stream stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The upstream is read.
    Open,
    /// The upstream is not read any more; the client still takes what is unsent.
    Ending(EndReason),
    /// `End` was given.
    Ended,
}

/// One event stream.
#[derive(Debug)]
pub struct StreamState {
    policy: Arc<StreamPolicy>,
    facts: StreamFacts,
    scanner: Scanner,
    timers: Timers,
    phase: Phase,
    /// Bytes wait for the client.
    unsent: bool,
    /// We wrote the LF of a pair whose CR was the upstream's last byte: should its LF come, it is swallowed.
    pair_completed: bool,
    bom: BomFilter,
    tally: Tally,
}

impl StreamState {
    /// A stream whose response head has just been sent. `jitter` is any random number: it places the planned end within its spread.
    #[must_use]
    pub fn new(policy: Arc<StreamPolicy>, facts: StreamFacts, jitter: u16, now: Instant) -> Self {
        let planned = policy.max_age.filter(|_| facts.may_end_early()).map(|age| facts::planned_end(age, jitter, now));
        Self {
            policy,
            facts,
            scanner: Scanner::new(),
            timers: Timers::new(now, planned),
            phase: Phase::Open,
            unsent: false,
            pair_completed: false,
            bom: BomFilter::Off,
            tally: Tally::default(),
        }
    }

    /// The upstream sent `chunk`, bytes of the body without framing. Nothing is copied.
    pub fn handle_upstream(&mut self, chunk: &[u8], now: Instant, actions: &mut Vec<Action>) {
        if self.phase != Phase::Open || chunk.is_empty() {
            return;
        }
        self.timers.upstream_spoke(now);
        let scan = if self.facts.opaque { Scan::default() } else { self.scanner.scan(chunk) };
        self.tally.events += u64::from(scan.events);

        let start = self.skip_what_we_replaced(chunk, actions);
        let end = match self.timers.due_end(now) {
            Some(reason) => scan.first_boundary.filter(|&at| at >= start).map(|at| (at, reason)),
            None => None,
        };
        match end {
            Some((at, reason)) => {
                self.forward(start..at, actions);
                self.end_when_sent(reason, actions);
            }
            None => self.forward(start..chunk.len(), actions),
        }
    }

    /// The upstream's body is over.
    pub fn handle_upstream_end(&mut self, how: UpstreamEnd, actions: &mut Vec<Action>) {
        if self.phase != Phase::Open {
            return;
        }
        if self.bom.rule_out() {
            self.release(actions);
        }
        let reason = match how {
            UpstreamEnd::Clean => EndReason::UpstreamEnd,
            UpstreamEnd::Lost => EndReason::UpstreamLost,
            UpstreamEnd::Malformed => EndReason::UpstreamMalformed,
        };
        self.end_when_sent(reason, actions);
    }

    /// The client took `written` bytes since the last report (framing included); whether some are still `unsent`.
    pub fn handle_written(&mut self, written: usize, unsent: bool, now: Instant, actions: &mut Vec<Action>) {
        if self.phase == Phase::Ended {
            return;
        }
        self.unsent = unsent;
        self.timers.client_took(written > 0, unsent, now);
        if let (Phase::Ending(reason), false) = (self.phase, unsent) {
            self.end(reason, actions);
        }
    }

    /// The client's connection is over.
    pub fn handle_client_gone(&mut self, how: ClientEnd, actions: &mut Vec<Action>) {
        let reason = match how {
            ClientEnd::Closed => EndReason::ClientGone,
            ClientEnd::TimedOut => EndReason::WriteStall,
            ClientEnd::TooLarge => EndReason::UploadTooLarge,
        };
        self.end(reason, actions);
    }

    /// We are leaving: a stream that may end early does so at its first boundary from `end_by` on; others run to their own end.
    pub fn handle_drain(&mut self, end_by: Instant, now: Instant, actions: &mut Vec<Action>) {
        if self.facts.may_end_early() {
            self.timers.plan_end(end_by, EndReason::Drained);
            self.handle_timeout(now, actions);
        }
    }

    /// The drain's deadline: over, abnormally.
    pub fn handle_cut(&mut self, actions: &mut Vec<Action>) {
        self.end(EndReason::DrainCut, actions);
    }

    /// Time has passed. Early and repeated calls have no effect.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.timers.stalled(self.policy.write_stall, now) {
            return self.end(EndReason::WriteStall, actions);
        }
        if self.phase != Phase::Open {
            return;
        }
        if !self.unsent && self.timers.silent(self.policy.max_upstream_silence, now) {
            return self.end_when_sent(EndReason::UpstreamSilent, actions);
        }
        if let Some(reason) = self.timers.due_end(now).filter(|_| self.at_boundary()) {
            return self.end_when_sent(reason, actions);
        }
        if self.next_beat().is_some_and(|due| due <= now) {
            self.beat(actions);
        }
    }

    /// The next instant at which [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let stall = self.timers.stall_deadline(self.policy.write_stall);
        match self.phase {
            Phase::Ended => None,
            Phase::Ending(_) => stall,
            Phase::Open => {
                let silence = self.timers.silence_deadline(self.policy.max_upstream_silence).filter(|_| !self.unsent);
                let planned = self.timers.planned_deadline().filter(|_| self.at_boundary());
                [stall, silence, planned, self.next_beat()].into_iter().flatten().min()
            }
        }
    }

    /// Whether the upstream is to be read: not while bytes wait for the client, not once the end is decided.
    #[must_use]
    pub fn wants_upstream(&self) -> bool {
        self.phase == Phase::Open && !self.unsent
    }

    /// What went through so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// The last event id that the client has (WHATWG HTML section 9.2.6); `None` if there is none, or one too long to keep.
    #[must_use]
    pub fn last_event_id(&self) -> Option<&[u8]> {
        match self.scanner.last_event_id() {
            EventId::Set(id) => Some(id),
            EventId::Unset | EventId::Oversize => None,
        }
    }

    /// What was known of the stream when it opened.
    #[must_use]
    pub fn facts(&self) -> &StreamFacts {
        &self.facts
    }

    /// The bytes of a [`Beat`], appended to `out`.
    pub fn encode(&self, beat: Beat, out: &mut Vec<u8>) {
        let text = self.policy.heartbeat.as_ref().map_or("", |policy| policy.text.as_str());
        beat.encode(text, out);
    }

    /// Settles what earlier injections left open: a BOM that is not the first thing any more, an LF that we already wrote. Returns
    /// where the rest of the chunk begins.
    fn skip_what_we_replaced(&mut self, chunk: &[u8], actions: &mut Vec<Action>) -> usize {
        if std::mem::take(&mut self.pair_completed) && chunk[0] == b'\n' {
            return 1;
        }
        match self.bom.judge(chunk) {
            Verdict::None { release } => {
                if release {
                    self.release(actions);
                }
                0
            }
            Verdict::Stripped { discard, end } => {
                if discard {
                    actions.push(Action::Discard);
                }
                end
            }
            Verdict::Undecided(range) => {
                let end = range.end;
                actions.push(Action::Hold(range));
                end
            }
        }
    }

    /// Whether an end here tears nothing: all that was sent is whole events, or comments behind them (upstreams beat too).
    fn at_boundary(&self) -> bool {
        match self.scanner.position() {
            Position::EventStart | Position::AfterCr { ends_block: true } => true,
            Position::LineStart => !self.scanner.block_has_event_fields(),
            Position::AfterCr { ends_block: false } | Position::MidLine => false,
        }
    }

    /// When the next heartbeat is due, if one may be sent at all from here.
    fn next_beat(&self) -> Option<Instant> {
        let policy = self.policy.heartbeat.as_ref()?;
        if self.unsent || !self.facts.may_inject(self.policy.strict_no_transform) || self.scanner.is_finished() {
            return None;
        }
        let patience = heartbeat::patience(self.scanner.position(), self.at_boundary())?;
        Some(self.timers.last_written() + policy.interval * patience)
    }

    fn beat(&mut self, actions: &mut Vec<Action>) {
        let Some(policy) = self.policy.heartbeat.as_ref() else { return };
        let line_only = self.facts.line_frames_only || self.scanner.saw_id();
        let beat = heartbeat::choose(policy.frame, line_only, &self.scanner, self.pair_completed);
        if self.scanner.bytes_seen() == 0 {
            self.bom.arm();
        }
        self.pair_completed |= beat.completes_pair;
        self.tally.heartbeats += 1;
        self.unsent = true;
        actions.push(Action::Inject(beat));
    }

    fn forward(&mut self, range: Range<usize>, actions: &mut Vec<Action>) {
        if range.is_empty() {
            return;
        }
        self.unsent = true;
        actions.push(Action::Forward(range));
    }

    fn release(&mut self, actions: &mut Vec<Action>) {
        self.unsent = true;
        actions.push(Action::Release);
    }

    fn end_when_sent(&mut self, reason: EndReason, actions: &mut Vec<Action>) {
        if self.unsent {
            self.phase = Phase::Ending(reason);
        } else {
            self.end(reason, actions);
        }
    }

    fn end(&mut self, reason: EndReason, actions: &mut Vec<Action>) {
        if self.phase != Phase::Ended {
            self.phase = Phase::Ended;
            actions.push(Action::End(reason));
        }
    }
}
