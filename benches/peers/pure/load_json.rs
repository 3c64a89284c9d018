//! What `ssedge load --json` writes: a progress line every second, and the report at the end, which is judged here: every event of every
//! stream, or the run does not count.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A line of its output.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Line {
    /// Where it stands, once a second.
    Progress(Progress),
    /// What it came to.
    Report(Box<Report>),
}

/// Counters so far.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Progress {
    /// Streams that are open.
    pub open: u64,
    /// Events over all streams.
    pub events: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Report {
    /// What became of the streams.
    pub streams: Streams,
    /// Events over all streams.
    pub events: u64,
    /// Comments.
    pub heartbeats: u64,
    /// Streams that came back.
    pub reconnects: u64,
    /// Whether all events came, once and in order.
    pub integrity: Integrity,
    /// From the moment when an event was due until it was read, ms; none where the origin stamps nothing.
    pub latency_ms: Option<Times>,
    /// From the begin until the last stream had its first event, ms.
    pub all_first_events_ms: Option<f64>,
}

/// What became of the streams.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Streams {
    /// How many were asked for.
    pub wanted: u64,
    /// How many got a 200.
    pub opened: u64,
    /// Other answers, by status.
    pub refused: BTreeMap<String, u64>,
    /// Those without an answer, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Open when the run ended.
    pub open: u64,
    /// Ended by the server, properly.
    pub clean: u64,
    /// Ended in any other way, by reason.
    pub cut: BTreeMap<String, u64>,
}

/// Whether all events came, by their ids.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Integrity {
    /// Events whose id could be compared with the one before.
    pub ids: u64,
    /// Ids that were left out.
    pub missing: u64,
    /// Ids that came twice.
    pub doubled: u64,
    /// Ids that went back.
    pub disordered: u64,
}

/// Percentiles, ms.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Times {
    /// The median.
    pub p50: f64,
    /// What one in a hundred exceeds.
    pub p99: f64,
}

/// How the streams of a run may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// All are open until the end.
    Open,
    /// Some are cut and come back, as in a soak; but no event may be lost, doubled or out of order.
    Churn,
}

/// Reads one line.
pub(crate) fn line(text: &str) -> Result<Line, String> {
    serde_json::from_str(text).map_err(|error| format!("not a line of `ssedge load --json`: {error}: {text}"))
}

impl Report {
    /// Fails with everything that is wrong with the run.
    pub(crate) fn judge(&self, ends: Ends) -> Result<(), String> {
        let (streams, integrity) = (&self.streams, &self.integrity);
        let mut faults = Vec::new();
        let mut hold = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        hold(self.events >= streams.opened, format!("{} events came on {} streams", self.events, streams.opened));
        // An event is judged by the one before it: there is nothing to judge where each stream has had one.
        hold(integrity.ids > 0 || self.events <= streams.opened, "no event could be judged by its id".to_owned());
        hold(integrity.missing == 0, format!("{} events are missing", integrity.missing));
        hold(integrity.doubled == 0, format!("{} events came twice", integrity.doubled));
        hold(integrity.disordered == 0, format!("{} events came out of order", integrity.disordered));
        if ends == Ends::Open {
            hold(streams.opened == streams.wanted, format!("{} of {} streams were opened", streams.opened, streams.wanted));
            hold(streams.refused.is_empty(), format!("streams were refused: {:?}", streams.refused));
            hold(streams.failed.is_empty(), format!("streams failed: {:?}", streams.failed));
            hold(streams.cut.values().all(|&count| count == 0), format!("streams were cut: {:?}", streams.cut));
            hold(streams.clean == 0, format!("{} streams were ended by the server", streams.clean));
            hold(streams.open == streams.wanted, format!("{} streams were open at the end", streams.open));
            hold(self.reconnects == 0, format!("{} streams had to come back", self.reconnects));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    }
}
