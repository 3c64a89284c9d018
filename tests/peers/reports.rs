//! What load, h2load and programs print.

use crate::pure::load_json::{Ends, Line, Report, line};
use crate::pure::{h2load, version};

const REPORT: &str = r#"{"kind":"report","url":"http://127.0.0.1:1/","protocol":"http/1.1","seconds":3.5,
  "streams":{"wanted":2,"opened":2,"refused":{},"failed":{},"open":2,"clean":0,"cut":{}},
  "events":40,"events_per_second":11.4,"heartbeats":3,"bytes":5120,"reconnects":0,
  "integrity":{"ids":40,"missing":0,"doubled":0,"disordered":0},
  "connect_ms":null,"first_byte_ms":null,"first_event_ms":null,
  "latency_ms":{"count":40,"min":0.05,"p50":0.1,"p90":0.2,"p99":0.3,"p999":0.4,"max":0.5},"all_first_events_ms":12.5}"#;

/// The report, with one thing in it changed.
fn report(from: &str, to: &str) -> Report {
    assert!(REPORT.contains(from), "{from}");
    let Ok(Line::Report(report)) = line(&REPORT.replacen(from, to, 1)) else { unreachable!("it is a report") };
    *report
}

#[test]
fn a_progress_line_says_what_is_open_and_how_much_came() {
    let Ok(Line::Progress(progress)) = line(r#"{"kind":"progress","seconds":1.0,"open":7,"events":9,"bytes":100}"#) else {
        unreachable!("it is a progress line");
    };
    assert_eq!((progress.open, progress.events), (7, 9));
}

#[test]
fn a_line_of_anything_else_is_an_error_that_shows_it() {
    assert!(line("panicked at").is_err_and(|error| error.contains("panicked at")));
}

#[test]
fn a_report_without_a_fault_passes_and_has_its_times() {
    let report = report("", "");
    assert_eq!(report.judge(Ends::Open), Ok(()));
    assert_eq!((report.events, report.heartbeats, report.all_first_events_ms), (40, 3, Some(12.5)));
    assert!(report.latency_ms.is_some_and(|times| times.p50 < 0.11 && times.p99 > 0.29));
}

#[test]
fn every_fault_of_a_run_fails_it() {
    for (from, to, says) in [
        (r#""missing":0"#, r#""missing":4"#, "4 events are missing"),
        (r#""doubled":0"#, r#""doubled":4"#, "4 events came twice"),
        (r#""disordered":0"#, r#""disordered":4"#, "4 events came out of order"),
        (r#""ids":40"#, r#""ids":0"#, "no event could be judged"),
        (r#""events":40"#, r#""events":1"#, "1 events came on 2 streams"),
        (r#""opened":2"#, r#""opened":1"#, "1 of 2 streams were opened"),
        (r#""open":2"#, r#""open":1"#, "1 streams were open at the end"),
        (r#""clean":0"#, r#""clean":1"#, "ended by the server"),
        (r#""cut":{}"#, r#""cut":{"reset":1}"#, "reset"),
        (r#""refused":{}"#, r#""refused":{"429":1}"#, "429"),
        (r#""failed":{}"#, r#""failed":{"timeout":1}"#, "timeout"),
        (r#""reconnects":0"#, r#""reconnects":1"#, "come back"),
    ] {
        let verdict = report(from, to).judge(Ends::Open);
        assert!(verdict.as_ref().is_err_and(|fault| fault.contains(says)), "{to}: {verdict:?}");
    }
}

#[test]
fn under_churn_streams_may_end_but_events_may_not_be_lost() {
    assert_eq!(report(r#""open":2"#, r#""open":1"#).judge(Ends::Churn), Ok(()));
    assert_eq!(report(r#""reconnects":0"#, r#""reconnects":9"#).judge(Ends::Churn), Ok(()));
    assert!(report(r#""missing":0"#, r#""missing":1"#).judge(Ends::Churn).is_err());
}

const H2LOAD: &str = "\nfinished in 2.00s, 61300.20 req/s, 7.77MB/s\n\
    requests: 122600 total, 122664 started, 122600 done, 122600 succeeded, 0 failed, 0 errored, 0 timeout\n\
    status codes: 122600 2xx, 0 3xx, 0 4xx, 0 5xx\ntraffic: 1.1MB\n";

#[test]
fn the_rate_of_h2load_is_read() {
    assert_eq!(h2load::outcome(H2LOAD), Ok(h2load::Outcome { per_second: 61300.20, requests: 122_600 }));
}

#[test]
fn a_request_that_failed_fails_the_run_of_h2load() {
    for (from, to) in
        [("0 failed", "1 failed"), ("0 errored", "1 errored"), ("122600 2xx", "122599 2xx"), ("122600 succeeded", "0 succeeded")]
    {
        assert!(H2LOAD.contains(from));
        assert!(h2load::outcome(&H2LOAD.replace(from, to)).is_err(), "{to}");
    }
    assert!(h2load::outcome("").is_err());
}

#[test]
fn versions_are_found_in_what_programs_say_of_themselves() {
    for (text, version) in [
        ("nginx version: nginx/1.22.1\n", "1.22.1"),
        ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12"),
        ("envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
        ("v2.11.7 h1:yj0Y4fYZGPkSvibBJ1sTWE33xC0fxztVyXEW5iIdUT4=\n", "2.11.7"),
        ("Version:      3.7.15\nCodename:     langres\n", "3.7.15"),
    ] {
        assert_eq!(version::in_text(text).as_deref(), Some(version), "{text}");
    }
    assert_eq!(version::in_text("no number"), None);
}
