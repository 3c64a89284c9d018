//! Keys of the configuration that have no promise of their own: each shown at work.

use std::time::Duration;

use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, Script, eventually};

/// One route to `origin`, with these keys in it and these beside it.
async fn edge(origin: &Origin, in_route: &str, beside: &str) -> Edge {
    Edge::of(&format!(
        "upstreams: {{ app: {{ servers: [ \"{}\" ] }} }}\nroutes: [ {{ upstream: app{in_route} }} ]\n{beside}",
        origin.address()
    ))
    .await
}

#[tokio::test]
async fn max_age_ends_a_subscription_at_a_boundary_and_leaves_a_post_alone() {
    let script = || Script::stream().event("a").silence(Duration::from_secs(2)).event("b").end();
    let origin = Origin::start_each([script(), script()]).await;
    let edge = edge(&origin, ", max_age: { after: 500ms, jitter: 0% }, heartbeat: off", "").await;
    let (mut subscription, _) = Client::open(edge.address(), SUBSCRIBE).await;
    subscription.ends_with("data: a\n\n", End::Clean).await;
    edge.stream_ended("max_age").await;
    let (mut post, _) = Client::open(edge.address(), ASK).await;
    post.ends_with("data: a\n\ndata: b\n\n", End::Clean).await;
}

#[tokio::test]
async fn max_upstream_silence_ends_abnormally_though_heartbeats_flow() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let edge = edge(&origin, ", max_upstream_silence: 700ms, heartbeat: { interval: 200ms, frame: line }", "").await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    let (body, end) = client.rest_of_body().await;
    assert!(body.starts_with(b"data: a\n\n:\n") && end != End::Clean, "{body:?} and {end:?}");
    edge.stream_ended("upstream_silent").await;
}

#[tokio::test]
async fn strict_no_transform_keeps_heartbeats_out_where_the_upstream_forbids_changes() {
    let quiet = Duration::from_millis(900);
    let origin =
        Origin::start(Script::stream_with("Cache-Control: no-transform\r\n").event("a").silence(quiet).event("b").end()).await;
    let edge = edge(&origin, ", strict_no_transform: true, heartbeat: { interval: 200ms }", "").await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with("data: a\n\ndata: b\n\n", End::Clean).await;
}

#[tokio::test]
async fn a_routes_own_response_head_timeout_comes_before_the_inherited_one() {
    let origin = Origin::start(Script::new().hang()).await;
    let edge = edge(&origin, ", timeouts: { response_head: 300ms }", "timeouts: { response_head: 1h }\n").await;
    let (_client, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 504);
}

#[tokio::test]
async fn an_ordinary_response_that_stops_is_cut_and_an_event_stream_is_not() {
    let stops = Script::new().head("200 OK", "Content-Length: 10\r\n").raw("half").hang();
    let pauses = Script::stream().event("a").silence(Duration::from_millis(1200)).event("b").end();
    let origin = Origin::start_each([stops, pauses]).await;
    let edge = edge(&origin, ", timeouts: { response_body_idle: 400ms }, heartbeat: off", "").await;
    let (mut client, _) = Client::open(edge.address(), GET).await;
    let (body, end) = client.rest_of_body().await;
    assert!(body == b"half" && end != End::Clean, "{body:?} and {end:?}");
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.ends_with("data: a\n\ndata: b\n\n", End::Clean).await;
}

#[tokio::test]
async fn a_request_body_that_stops_is_a_408() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge(&origin, "", "timeouts: { request_body_idle: 300ms }\n").await;
    let (_client, head) = Client::open(edge.address(), "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(head.status(), 408);
}

#[tokio::test]
async fn a_connection_beyond_limits_connections_is_closed_and_one_that_ends_makes_room() {
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge(&origin, "", "limits: { connections: 2 }\n").await;
    let (first, _) = Client::open(edge.address(), GET).await;
    let (_second, _) = Client::open(edge.address(), GET).await;
    let (answer, _) = Client::connect(edge.address()).await.rest().await;
    assert_eq!(answer, b"");
    edge.metric_becomes("ssedge_connections_refused_total", "cap=\"total\"", 1.0).await;
    drop(first);
    edge.metric_becomes("ssedge_connections_open", "", 1.0).await;
    let (_third, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 200);
}

#[tokio::test]
async fn readiness_fails_before_listeners_close() {
    let origin = Origin::start(Script::answer("ok")).await;
    let mut edge = edge(&origin, "", "drain: { lag: 3s, spread: 0s }\n").await;
    edge.signal("TERM");
    edge.draining().await;
    let (_client, head) = Client::open(edge.address(), GET).await;
    assert_eq!(head.status(), 200, "new work is still taken");
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn subscriptions_end_one_after_the_other_over_the_spread() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let mut edge = edge(&origin, "", "drain: { spread: 2s, deadline: 1m }\n").await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
        client.expects("data: a\n\n").await;
        clients.push(client);
    }
    edge.signal("TERM");
    let ends = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let (_, end) = client.rest_of_body().await;
            assert_eq!(end, End::Clean);
        })
    });
    // Four ends in two seconds are half a second apart: two of them are there before the other two.
    let ends: Vec<_> = ends.collect();
    eventually("the first two ends", || (ends.iter().filter(|end| end.is_finished()).count() >= 2).then_some(())).await;
    assert!(ends.iter().any(|end| !end.is_finished()), "all at once");
    for end in ends {
        end.await.unwrap();
    }
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(edge.process().log().contains("4 streams ended: 4 drained"), "{}", edge.process().log());
}

#[tokio::test]
async fn the_access_log_goes_to_a_file_in_json_and_usr1_opens_it_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let moved = folder.path().join("access.log.1");
    let origin = Origin::start(Script::answer("ok")).await;
    let edge = edge(&origin, "", &format!("log: {{ format: json, access: \"{}\" }}\n", path.display())).await;
    Client::open(edge.address(), "GET /before HTTP/1.1\r\nHost: test\r\n\r\n").await;
    let has =
        |file: &std::path::Path, words: &str| std::fs::read_to_string(file).is_ok_and(|text| text.contains(words)).then_some(());
    eventually("the first line", || has(&path, "\"path\":\"/before\"")).await;
    std::fs::rename(&path, &moved).unwrap();
    edge.signal("USR1");
    eventually("the new file", || path.exists().then_some(())).await;
    Client::open(edge.address(), "GET /after HTTP/1.1\r\nHost: test\r\n\r\n").await;
    eventually("the second line", || has(&path, "\"path\":\"/after\"")).await;
    assert!(has(&moved, "/after").is_none());
    assert_eq!(edge.process().stdout().lines().count(), 1, "nothing but the start line");
}

#[tokio::test]
async fn log_level_decides_what_the_process_log_says() {
    let origin = Origin::start(Script::answer("ok")).await;
    let mut quiet = edge(&origin, "", "log: { level: error }\n").await;
    quiet.signal("TERM");
    assert_eq!(quiet.exit_code().await, Some(0));
    assert_eq!(quiet.process().log(), "", "nothing broke");
    let mut usual = edge(&origin, "", "").await;
    usual.signal("TERM");
    assert_eq!(usual.exit_code().await, Some(0));
    assert!(usual.process().log().contains("leaving: "), "{}", usual.process().log());
}
