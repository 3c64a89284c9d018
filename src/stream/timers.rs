//! The instants that a stream's deadlines are counted from. Data only: no timer runs here, the shell sleeps on the one next deadline.

use std::time::{Duration, Instant};

use super::EndReason;

#[derive(Debug)]
pub(super) struct Timers {
    /// The client last took bytes (or its response head).
    last_written: Instant,
    /// The upstream last sent bytes, or was last let speak again.
    last_upstream: Instant,
    /// The client has been taking nothing of what waits for it.
    stalled_since: Option<Instant>,
    /// The end that is planned.
    planned: Option<(Instant, EndReason)>,
}

impl Timers {
    pub(super) fn new(now: Instant, max_age: Option<Instant>) -> Self {
        Self { last_written: now, last_upstream: now, stalled_since: None, planned: max_age.map(|at| (at, EndReason::MaxAge)) }
    }

    pub(super) fn upstream_spoke(&mut self, now: Instant) {
        self.last_upstream = now;
    }

    pub(super) fn client_took(&mut self, progress: bool, unsent: bool, now: Instant) {
        if progress {
            self.last_written = now;
        }
        match (unsent, self.stalled_since) {
            // The upstream was not read meanwhile, so its silence begins only now.
            (false, Some(_)) => {
                self.stalled_since = None;
                self.last_upstream = now;
            }
            (true, Some(_)) if progress => self.stalled_since = Some(now),
            (true, None) => self.stalled_since = Some(now),
            _ => {}
        }
    }

    /// An earlier plan stands.
    pub(super) fn plan_end(&mut self, at: Instant, reason: EndReason) {
        if self.planned.is_none_or(|(planned, _)| at < planned) {
            self.planned = Some((at, reason));
        }
    }

    pub(super) fn last_written(&self) -> Instant {
        self.last_written
    }

    pub(super) fn planned_deadline(&self) -> Option<Instant> {
        self.planned.map(|(at, _)| at)
    }

    /// The reason of the planned end, once its time has come.
    pub(super) fn due_end(&self, now: Instant) -> Option<EndReason> {
        self.planned.filter(|(at, _)| *at <= now).map(|(_, reason)| reason)
    }

    pub(super) fn stall_deadline(&self, write_stall: Duration) -> Option<Instant> {
        self.stalled_since.map(|since| since + write_stall)
    }

    pub(super) fn stalled(&self, write_stall: Duration, now: Instant) -> bool {
        self.stall_deadline(write_stall).is_some_and(|at| at <= now)
    }

    pub(super) fn silence_deadline(&self, limit: Option<Duration>) -> Option<Instant> {
        limit.map(|limit| self.last_upstream + limit)
    }

    pub(super) fn silent(&self, limit: Option<Duration>, now: Instant) -> bool {
        self.silence_deadline(limit).is_some_and(|at| at <= now)
    }
}
