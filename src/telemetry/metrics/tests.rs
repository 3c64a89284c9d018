//! Metrics: the README's table against the endpoint, accounting by `Drop`, servers that come and go, buckets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::labels::Label;
use super::*;
use crate::message::soft::SoftStatus;
use crate::stream::EndReason;

const README: &str = include_str!("../../../README.md");

fn metrics() -> Arc<Metrics> {
    let labels = Labels { routes: &["0", "1"], upstreams: &["app"], config: "f00d" };
    Arc::new(Metrics::new(&labels).expect("no name twice"))
}

fn server(name: &str) -> ServerState {
    ServerState { upstream: "app".into(), server: name.to_owned(), up: true, ejected: false, streams: 3, requests: 2 }
}

fn text(metrics: &Metrics, servers: Vec<ServerState>) -> String {
    String::from_utf8(metrics.render(servers, 0).expect("consistent")).expect("text")
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "no line {line:?} in:\n{text}");
}

/// Name to type and label names, as the endpoint has them.
fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').expect("a type");
            current = name.to_owned();
            found.insert(current.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{')
            && !line.starts_with('#')
        {
            let (_, known) = found.get_mut(&current).expect("the type comes first");
            for pair in labels.split_once('}').expect("closed").0.split(',') {
                let name = pair.split_once('=').expect("a label").0;
                if name != "le" {
                    known.insert(name.to_owned());
                }
            }
        }
    }
    found
}

/// Name to label names and description, as the README has them.
fn documented() -> BTreeMap<String, (BTreeSet<String>, String)> {
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `ssedge_"));
    rows.map(|row| {
        let (metric, description) = row.split_once("` |").expect("two columns");
        let (name, labels) = metric.split_once('{').unwrap_or((metric, "}"));
        let labels = labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).map(str::to_owned).collect();
        (format!("ssedge_{name}"), (labels, description.to_owned()))
    })
    .collect()
}

#[test]
fn the_table_in_the_readme_is_what_the_endpoint_has() {
    let endpoint: BTreeMap<_, _> =
        families(&text(&metrics(), vec![server("10.0.0.1:1")])).into_iter().map(|(name, (_, labels))| (name, labels)).collect();
    let table: BTreeMap<_, _> = documented().into_iter().map(|(name, (labels, _))| (name, labels)).collect();
    assert!(endpoint.len() > 20, "nothing was looked at: {endpoint:?}");
    assert_eq!(endpoint, table);
}

#[test]
fn the_table_in_the_readme_names_every_value_of_an_enum() {
    #[track_caller]
    fn named<L: Label>(metric: &str) {
        let (_, description) = &documented()[metric];
        for label in L::EVERY {
            assert!(description.contains(&format!("`{}`", label.value())), "{metric} has {:?}: {description}", label.value());
        }
    }
    named::<EndReason>("ssedge_streams_ended_total");
    named::<HeartbeatFrame>("ssedge_heartbeats_total");
    named::<StatusClass>("ssedge_requests_total");
    named::<StreamCap>("ssedge_cap_refusals_total");
    named::<SoftStatus>("ssedge_soft_errors_total");
    named::<ConnectionCap>("ssedge_connections_refused_total");
    named::<Http2End>("ssedge_http2_connections_ended_total");
    named::<ProxyHeaderFault>("ssedge_proxy_header_faults_total");
    named::<SilentBefore>("ssedge_connections_silent_total");
    named::<TlsHandshake>("ssedge_tls_handshakes_total");
    named::<ConnectionKind>("ssedge_upstream_connections_total");
}

#[test]
fn names_say_what_they_count_and_in_which_unit() {
    for (name, (kind, _)) in families(&text(&metrics(), vec![server("10.0.0.1:1")])) {
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
        assert_eq!(kind == "histogram", name.ends_with("_seconds"), "{name} is a {kind}");
    }
}

#[test]
fn every_series_but_those_of_servers_is_there_before_the_first_request() {
    let text = text(&metrics(), Vec::new());
    for reason in EndReason::ALL {
        has(&text, &format!("ssedge_streams_ended_total{{reason=\"{}\",route=\"1\"}} 0", reason.label()));
    }
    for line in [
        "ssedge_requests_total{class=\"5xx\",route=\"none\"} 0",
        "ssedge_requests_total{class=\"gone\",route=\"0\"} 0",
        "ssedge_cap_refusals_total{cap=\"total\",route=\"0\"} 0",
        "ssedge_heartbeats_total{frame=\"block\",route=\"0\"} 0",
        "ssedge_first_event_seconds_count{route=\"1\"} 0",
        "ssedge_upstream_connections_total{kind=\"reused\",upstream=\"app\"} 0",
        "ssedge_soft_errors_total{route=\"1\",status=\"502\"} 0",
        "ssedge_connections_refused_total{cap=\"client\"} 0",
        "ssedge_http2_connections_ended_total{reason=\"reset_flood\"} 0",
        "ssedge_connections_silent_total{before=\"first_request\"} 0",
        "ssedge_access_log_lines_dropped_total 0",
        "ssedge_config_info{config=\"f00d\"} 1",
    ] {
        has(&text, line);
    }
    assert!(!text.contains("ssedge_server_"), "{text}");
}

#[test]
fn an_open_stream_is_counted_back_and_ends_for_one_reason() {
    let metrics = metrics();
    let route = metrics.route(1).expect("a route");
    let mut stream = route.open_stream();
    stream.received(18, 2);
    stream.beat(HeartbeatFrame::Line);
    stream.first_event(Duration::from_millis(20));
    stream.forwarded(Duration::from_micros(30));
    assert_eq!((metrics.streams_open(), metrics.streams_ended().total()), (1, 0));
    assert!(stream.ended(EndReason::ClientGone));
    assert!(!stream.ended(EndReason::Drained), "one stream has one end");
    drop(stream);
    assert_eq!(metrics.streams_open(), 0);
    assert_eq!(metrics.streams_ended().iter().collect::<Vec<_>>(), [(EndReason::ClientGone, 1)]);
    let text = text(&metrics, Vec::new());
    for line in [
        "ssedge_streams_started_total{route=\"1\"} 1",
        "ssedge_streams_started_total{route=\"0\"} 0",
        "ssedge_streams_ended_total{reason=\"client_gone\",route=\"1\"} 1",
        "ssedge_stream_bytes_total{route=\"1\"} 18",
        "ssedge_stream_events_total{route=\"1\"} 2",
        "ssedge_heartbeats_total{frame=\"line\",route=\"1\"} 1",
        "ssedge_first_event_seconds_bucket{route=\"1\",le=\"0.01\"} 0",
        "ssedge_first_event_seconds_bucket{route=\"1\",le=\"0.025\"} 1",
        "ssedge_forward_delay_seconds_bucket{route=\"1\",le=\"0.000025\"} 0",
        "ssedge_forward_delay_seconds_bucket{route=\"1\",le=\"0.00005\"} 1",
    ] {
        has(&text, line);
    }
}

#[test]
fn a_stream_that_is_dropped_without_an_end_was_aborted() {
    let metrics = metrics();
    drop(metrics.route(0).expect("a route").open_stream());
    assert_eq!(metrics.streams_open(), 0);
    assert_eq!(metrics.streams_ended().to_string(), "1 stream ended: 1 aborted");
}

#[test]
fn requests_refusals_and_connections_are_counted_where_they_belong() {
    let metrics = metrics();
    let route = metrics.route(0).expect("a route");
    route.answered(StatusClass::of(204));
    route.answered(StatusClass::of(429));
    route.answered(StatusClass::ClientGone);
    route.request_took(Duration::from_millis(2));
    route.refused(StreamCap::Client);
    route.softened(SoftStatus::BadGateway);
    metrics.answered_without_route(StatusClass::of(404));
    metrics.connection_refused(ConnectionCap::Total);
    let upstream = metrics.upstream("app").expect("an upstream");
    upstream.connected(ConnectionKind::Fresh);
    upstream.connect_failed();
    let open = metrics.open_connection();
    drop(metrics.open_connection());
    let text = text(&metrics, Vec::new());
    drop(open);
    for line in [
        "ssedge_requests_total{class=\"2xx\",route=\"0\"} 1",
        "ssedge_requests_total{class=\"4xx\",route=\"0\"} 1",
        "ssedge_requests_total{class=\"gone\",route=\"0\"} 1",
        "ssedge_requests_total{class=\"4xx\",route=\"none\"} 1",
        "ssedge_request_seconds_count{route=\"0\"} 1",
        "ssedge_cap_refusals_total{cap=\"client\",route=\"0\"} 1",
        "ssedge_soft_errors_total{route=\"0\",status=\"502\"} 1",
        "ssedge_connections_refused_total{cap=\"total\"} 1",
        "ssedge_upstream_connections_total{kind=\"fresh\",upstream=\"app\"} 1",
        "ssedge_upstream_connections_total{kind=\"reused\",upstream=\"app\"} 0",
        "ssedge_upstream_connect_failures_total{upstream=\"app\"} 1",
        "ssedge_connections_open 1",
        "ssedge_connections_accepted_total 2",
    ] {
        has(&text, line);
    }
    assert!(metrics.route(2).is_none() && metrics.upstream("other").is_none());
}

#[test]
fn a_status_belongs_to_the_class_of_its_first_digit() {
    let classes = [101, 200, 299, 304, 404, 499, 500, 599].map(|status| StatusClass::of(status).value());
    assert_eq!(classes, ["1xx", "2xx", "2xx", "3xx", "4xx", "4xx", "5xx", "5xx"]);
}

#[test]
fn a_server_that_is_gone_leaves_no_series_behind() {
    let metrics = metrics();
    let down = ServerState { up: false, ejected: true, ..server("10.0.0.2:1") };
    let before = text(&metrics, vec![server("10.0.0.1:1"), down]);
    has(&before, "ssedge_server_up{server=\"10.0.0.1:1\",upstream=\"app\"} 1");
    has(&before, "ssedge_server_up{server=\"10.0.0.2:1\",upstream=\"app\"} 0");
    has(&before, "ssedge_server_ejected{server=\"10.0.0.2:1\",upstream=\"app\"} 1");
    has(&before, "ssedge_server_streams{server=\"10.0.0.1:1\",upstream=\"app\"} 3");
    has(&before, "ssedge_server_requests{server=\"10.0.0.1:1\",upstream=\"app\"} 2");
    let after = text(&metrics, vec![server("10.0.0.1:1")]);
    assert!(after.contains("10.0.0.1:1") && !after.contains("10.0.0.2:1"), "{after}");
}

#[test]
fn what_the_access_log_dropped_is_told_as_it_is_at_the_scrape() {
    let metrics = metrics();
    for dropped in [7, 9] {
        let text = String::from_utf8(metrics.render([], dropped).expect("consistent")).expect("text");
        has(&text, &format!("ssedge_access_log_lines_dropped_total {dropped}"));
    }
}

#[test]
fn buckets_rise_and_reach_from_what_is_usual_to_the_longest_timeout() {
    let text = text(&metrics(), Vec::new());
    for (name, usual, longest) in [
        ("ssedge_first_event_seconds", 0.02, 300.0),
        ("ssedge_forward_delay_seconds", 0.000_04, 60.0),
        ("ssedge_request_seconds", 0.003, 300.0),
    ] {
        let prefix = format!("{name}_bucket{{route=\"0\",le=\"");
        let bounds = text.lines().filter_map(|line| line.strip_prefix(prefix.as_str())?.split_once('"')?.0.parse::<f64>().ok());
        let bounds: Vec<f64> = bounds.filter(|bound| bound.is_finite()).collect();
        assert!((8..=16).contains(&bounds.len()), "{name} has {bounds:?}");
        assert!(bounds.is_sorted_by(|a, b| a < b), "{name} has {bounds:?}");
        assert!(bounds[0] < usual && bounds.last() == Some(&longest), "{name} has {bounds:?}");
    }
}
