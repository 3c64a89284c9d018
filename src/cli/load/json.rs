//! The progress and the report as JSON, an object a line (RFC 8259). Keys only come, they never go or change their meaning.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::histogram::Distribution;
use super::report::{Integrity, Report};
use super::totals::Progress;

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line<'a> {
    Progress { seconds: f64, open: u64, events: u64, bytes: u64 },
    Report(Box<Whole<'a>>),
}

#[derive(Debug, Serialize)]
struct Whole<'a> {
    url: &'a str,
    protocol: &'static str,
    tls: Option<&'a str>,
    seconds: f64,
    connections: u64,
    streams: Streams,
    events: u64,
    events_per_second: f64,
    heartbeats: u64,
    bytes: u64,
    reconnects: u64,
    disconnects: &'a BTreeMap<String, u32>,
    integrity: Integrity,
    connect_ms: Option<Times>,
    first_byte_ms: Option<Times>,
    first_event_ms: Option<Times>,
    latency_ms: Option<Times>,
    all_first_events_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Streams {
    wanted: u32,
    opened: u64,
    not_begun: u64,
    refused: BTreeMap<String, u32>,
    failed: BTreeMap<String, u32>,
    open: u32,
    clean: u32,
    dismissed: u32,
    cut: BTreeMap<String, u32>,
}

/// A distribution, in milliseconds.
#[derive(Debug, Serialize)]
struct Times {
    count: u64,
    min: f64,
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Times {
    fn of(times: &Distribution) -> Option<Self> {
        let at = |share| times.quantile(share).map(milliseconds);
        Some(Self {
            count: times.count(),
            min: at(0.0)?,
            p50: at(0.5)?,
            p90: at(0.9)?,
            p99: at(0.99)?,
            p999: at(0.999)?,
            max: at(1.0)?,
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn named<K: ToString>(counts: &BTreeMap<K, u32>) -> BTreeMap<String, u32> {
    counts.iter().map(|(why, count)| (why.to_string(), *count)).collect()
}

/// The line that is printed while a load runs.
pub(super) fn progress(progress: &Progress) -> String {
    let Progress { seconds, open, events, bytes, .. } = *progress;
    line(&Line::Progress { seconds, open, events, bytes })
}

/// The line that ends it.
pub(super) fn report(report: &Report) -> String {
    let outcomes = &report.outcomes;
    line(&Line::Report(Box::new(Whole {
        url: &report.url,
        protocol: report.protocol,
        tls: report.tls.as_deref(),
        seconds: report.lasted.as_secs_f64(),
        connections: report.connected,
        streams: Streams {
            wanted: report.wanted,
            opened: report.opened,
            not_begun: report.not_begun,
            refused: named(&outcomes.refused),
            failed: named(&outcomes.failed),
            open: outcomes.open,
            clean: outcomes.clean,
            dismissed: outcomes.dismissed,
            cut: named(&outcomes.cut),
        },
        events: report.events,
        events_per_second: report.per_second(report.events),
        heartbeats: report.heartbeats,
        bytes: report.bytes,
        reconnects: report.reconnects,
        disconnects: &outcomes.disconnects,
        integrity: report.integrity,
        connect_ms: Times::of(&report.connect),
        first_byte_ms: Times::of(&report.first_byte),
        first_event_ms: Times::of(&report.first_event),
        latency_ms: Times::of(&report.latency),
        all_first_events_ms: report.all_first_events.map(milliseconds),
    })))
}

fn line(line: &Line<'_>) -> String {
    serde_json::to_string(line).expect("numbers, strings and maps with string keys have a JSON form") + "\n"
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::super::outcome::{Cut, Failure, Outcome};
    use super::super::report::tests::report as sample;
    use super::*;

    fn parsed(line: &str) -> serde_json::Value {
        assert_eq!(line.matches('\n').count(), 1);
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_report_has_the_keys_that_tools_read() {
        let ends = [
            Outcome::Open,
            Outcome::Clean,
            Outcome::Refused { status: 429 },
            Outcome::Failed(Failure::Closed),
            Outcome::Cut(Cut::Reset(8)),
        ];
        let mut report = sample(&ends);
        let latency = Histogram::default();
        (1..=10).for_each(|ms| latency.record(Duration::from_millis(ms)));
        report.latency = Distribution::of([&latency]);
        report.events = 50;
        report.all_first_events = Some(Duration::from_micros(1500));
        let value = parsed(&super::report(&report));
        assert_eq!(value["kind"], "report");
        assert_eq!((&value["events"], &value["events_per_second"], &value["seconds"]), (&50.into(), &5.0.into(), &10.0.into()));
        assert_eq!(value["streams"]["refused"], serde_json::json!({ "429": 1 }));
        assert_eq!(value["streams"]["failed"], serde_json::json!({ "closed without an answer": 1 }));
        assert_eq!(value["streams"]["cut"], serde_json::json!({ "reset with CANCEL": 1 }));
        assert_eq!(
            (&value["streams"]["open"], &value["streams"]["clean"], &value["streams"]["wanted"]),
            (&1.into(), &1.into(), &5.into())
        );
        assert_eq!((&value["latency_ms"]["count"], &value["latency_ms"]["min"]), (&10.into(), &1.0.into()));
        assert_eq!(value["latency_ms"]["max"], 10.0);
        assert_eq!(value["all_first_events_ms"], 1.5);
        for never in ["connect_ms", "first_byte_ms", "first_event_ms", "tls"] {
            assert!(value[never].is_null() && value.get(never).is_some(), "{never}");
        }
        for known in ["url", "protocol", "heartbeats", "bytes", "reconnects", "disconnects", "connections", "integrity"] {
            assert!(value.get(known).is_some_and(|value| !value.is_null()), "{known}");
        }
        assert_eq!(value["integrity"], serde_json::json!({ "ids": 0, "missing": 0, "doubled": 0, "disordered": 0 }));
    }

    #[test]
    fn a_line_of_progress_is_small() {
        let now = Progress { seconds: 1.5, begun: 9, open: 2, failed: 1, events: 3, bytes: 4 };
        assert_eq!(progress(&now), "{\"kind\":\"progress\",\"seconds\":1.5,\"open\":2,\"events\":3,\"bytes\":4}\n");
    }
}
