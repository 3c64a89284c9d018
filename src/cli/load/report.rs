//! What a load found, and the exit code.

use std::time::Duration;

use super::histogram::Distribution;
use super::outcome::Outcomes;
use super::plan::Plan;
use super::table::Table;
use super::totals::Board;

/// The end of a load.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) url: String,
    /// As ALPN names it (RFC 7301 section 6).
    pub(super) protocol: &'static str,
    /// Version and cipher suite; nothing if no handshake succeeded.
    pub(super) tls: Option<String>,
    pub(super) lasted: Duration,
    /// Streams.
    pub(super) wanted: u32,
    /// Connections that stood.
    pub(super) connected: u64,
    pub(super) opened: u64,
    /// Streams that opened again.
    pub(super) reconnects: u64,
    pub(super) outcomes: Outcomes,
    /// Streams that did not begin before the load ended.
    pub(super) not_begun: u64,
    pub(super) events: u64,
    pub(super) heartbeats: u64,
    pub(super) bytes: u64,
    pub(super) integrity: Integrity,
    pub(super) connect: Distribution,
    pub(super) first_byte: Distribution,
    pub(super) first_event: Distribution,
    pub(super) latency: Distribution,
    /// From the begin to the first event of the last stream to have one; nothing if a stream had none.
    pub(super) all_first_events: Option<Duration>,
}

/// Ids that were compared with those before, and what was wrong.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Integrity {
    pub(super) ids: u64,
    pub(super) missing: u64,
    pub(super) doubled: u64,
    pub(super) disordered: u64,
}

impl Integrity {
    pub(super) fn faults(self) -> u64 {
        self.missing.saturating_add(self.doubled).saturating_add(self.disordered)
    }
}

impl Report {
    /// Of a load that is over.
    pub(super) fn new(url: &str, plan: &Plan, board: &Board, lasted: Duration) -> Self {
        let first_event = board.times(|totals| &totals.first_event);
        let has_all = first_event.count() == u64::from(plan.wanted);
        Self {
            url: url.to_owned(),
            protocol: if plan.is_http2 { "h2" } else { "http/1.1" },
            tls: plan.dial.tls_seen.get().cloned(),
            lasted,
            wanted: plan.wanted,
            connected: board.sum(|totals| &totals.connected),
            opened: board.sum(|totals| &totals.opened),
            reconnects: board.sum(|totals| &totals.reopened),
            outcomes: board.outcomes(),
            not_begun: u64::from(plan.wanted).saturating_sub(board.sum(|totals| &totals.begun)),
            events: board.sum(|totals| &totals.events),
            heartbeats: board.sum(|totals| &totals.comments),
            bytes: board.sum(|totals| &totals.bytes),
            integrity: Integrity {
                ids: board.sum(|totals| &totals.ids),
                missing: board.sum(|totals| &totals.missing),
                doubled: board.sum(|totals| &totals.doubled),
                disordered: board.sum(|totals| &totals.disordered),
            },
            connect: board.times(|totals| &totals.connect),
            first_byte: board.times(|totals| &totals.first_byte),
            first_event,
            latency: board.times(|totals| &totals.latency),
            all_first_events: has_all.then(|| board.newest_first_event()),
        }
    }

    /// 0 when every stream opened, lived or ended properly, and was whole; else 1.
    pub(super) fn exit_code(&self) -> u8 {
        let outcomes = &self.outcomes;
        let is_fine = outcomes.open + outcomes.clean + outcomes.dismissed == self.wanted && self.integrity.faults() == 0;
        if is_fine { super::super::FINE } else { super::super::FAILED }
    }

    /// So many in a second, over the whole load.
    pub(super) fn per_second(&self, count: u64) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }

    /// For people.
    pub(super) fn table(&self) -> Table<'_> {
        Table(self)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::outcome::{Cut, Failure, Outcome};
    use super::*;
    use crate::clock;

    /// A report of streams that ended so, ten seconds after they began.
    pub(in crate::cli::load) fn report(ends: &[Outcome]) -> Report {
        let board = Board::new(clock::now(), 2);
        ends.iter().for_each(|outcome| board.threads[0].outcomes().add(outcome.clone()));
        let none = || board.times(|totals| &totals.latency);
        Report {
            url: "http://a/".to_owned(),
            protocol: "http/1.1",
            tls: None,
            lasted: Duration::from_secs(10),
            wanted: u32::try_from(ends.len()).unwrap(),
            connected: 0,
            opened: 0,
            reconnects: 0,
            outcomes: board.outcomes(),
            not_begun: 0,
            events: 0,
            heartbeats: 0,
            bytes: 0,
            integrity: Integrity { ids: 0, missing: 0, doubled: 0, disordered: 0 },
            connect: none(),
            first_byte: none(),
            first_event: none(),
            latency: none(),
            all_first_events: None,
        }
    }

    #[test]
    fn only_streams_that_live_or_end_properly_and_whole_are_fine() {
        assert_eq!(report(&[Outcome::Open, Outcome::Clean, Outcome::Dismissed]).exit_code(), 0);
        for bad in [Outcome::Cut(Cut::Closed), Outcome::Refused { status: 503 }, Outcome::Failed(Failure::NoAnswer)] {
            assert_eq!(report(&[Outcome::Open, bad.clone()]).exit_code(), 1, "{bad:?}");
        }
        let faults: [fn(&mut Integrity); 3] =
            [|integrity| integrity.missing = u64::MAX, |integrity| integrity.doubled = 1, |integrity| integrity.disordered = 1];
        for fault in faults {
            let mut report = report(&[Outcome::Open]);
            fault(&mut report.integrity);
            assert_eq!(report.exit_code(), 1);
        }
        let mut report = report(&[Outcome::Open]);
        report.wanted = 2;
        assert_eq!(report.exit_code(), 1, "one never began");
    }
}
