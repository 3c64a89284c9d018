//! How the process leaves: readiness first, then the listeners; subscriptions end at a boundary, everything else at its own end; what
//! is left at the deadline is cut and looks cut; the exit code is 0 (design `config.md`, "Signals", and the "TERM and INT").

use std::time::Duration;

use ssedge::clock;
use tokio::net::TcpStream;

use crate::support::{ASK, Client, Edge, End, GET, Origin, SUBSCRIBE, SUBSCRIBE_1_0, Script, settled, within};

const ENDED: &str = "ssedge_streams_ended_total";
/// Shorter than any timeout that could end things by itself, `timeouts.request_head` being the shortest.
const AT_ONCE: Duration = Duration::from_secs(9);

#[tokio::test]
async fn with_nothing_open_it_leaves_at_once() {
    for signal in ["TERM", "INT"] {
        let origin = Origin::start(Script::answer("ok")).await;
        let mut edge = Edge::start(origin.address()).await;
        let begin = clock::now();
        edge.signal(signal);
        assert_eq!(edge.exit_code().await, Some(0), "after {signal}");
        assert!(begin.elapsed() < AT_ONCE, "it waited for nothing: {:?}", begin.elapsed());
    }
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_it_back() {
    let origin = Origin::start(Script::answer("ok")).await;
    let mut edge = Edge::start(origin.address()).await;
    let untouched = Client::connect(edge.address()).await;
    let (mut used, _) = Client::open(edge.address(), GET).await;
    used.ends_with("ok", End::Clean).await;
    let begin = clock::now();
    edge.signal("TERM");
    assert_eq!(used.rest().await, (Vec::new(), End::Clean));
    untouched.rest().await;
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < AT_ONCE, "it waited for nobody: {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_subscription_ends_with_its_final_chunk_while_the_upstream_is_silent() {
    let origin = Origin::start(Script::stream().event("a").hang()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n").await;
    let (mut old, _) = Client::open(edge.address(), SUBSCRIBE_1_0).await;
    old.expects("data: a\n\n").await;
    edge.signal("TERM");
    client.ends_with("", End::Clean).await;
    old.ends_with("", End::Clean).await;
    origin.closed(0).await;
    origin.closed(1).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_subscription_without_an_event_yet_ends_with_its_final_chunk() {
    let origin = Origin::start(Script::stream().hang()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    edge.signal("TERM");
    client.ends_with("", End::Clean).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn an_event_that_was_begun_is_finished_first_and_no_other_is_begun() {
    let origin = Origin::start(Script::stream().chunk("data: ha").gate().chunk("lf\n\ndata: next\n\n").hang()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: ha").await;
    edge.signal("TERM");
    edge.draining().await;
    origin.open_gate();
    client.ends_with("lf\n\n", End::Clean).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_stream_that_a_post_asked_for_runs_to_its_own_end() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").gate().event("c").end()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), ASK).await;
    client.expects("data: a\n\n").await;
    edge.signal("TERM");
    edge.draining().await;
    origin.open_gate();
    client.expects("data: b\n\n").await;
    origin.open_gate();
    client.ends_with("data: c\n\n", End::Clean).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_its_connection_closed() {
    let origin = Origin::start(Script::new().gate().head("200 OK", "Content-Length: 4\r\n").raw("done")).await;
    let mut edge = Edge::start(origin.address()).await;
    let mut client = Client::send_to(edge.address(), GET).await;
    origin.request(0).await;
    edge.signal("TERM");
    edge.draining().await;
    origin.open_gate();
    let head = client.head().await;
    assert_eq!((head.status(), head.list("connection")), (200, vec!["close".to_owned()]));
    client.ends_with("done", End::Clean).await;
    assert_eq!(client.rest().await, (Vec::new(), End::Clean));
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn while_it_drains_it_is_alive_but_not_ready_and_takes_no_one_new() {
    let origin = Origin::start(Script::stream().event("a").gate().end()).await;
    let mut edge = Edge::start(origin.address()).await;
    let (mut subscription, _) = Client::open(edge.address(), SUBSCRIBE).await;
    subscription.expects("data: a\n\n").await;
    let (mut finite, _) = Client::open(edge.address(), ASK).await;
    finite.expects("data: a\n\n").await;
    assert_eq!(edge.admin("GET /readyz").await.0.status(), 200);

    edge.signal("TERM");
    edge.draining().await;
    subscription.ends_with("", End::Clean).await;
    edge.metric_becomes(ENDED, "reason=\"drained\"", 1.0).await;
    edge.metric_becomes("ssedge_streams_open", "", 1.0).await;
    assert_eq!(edge.admin("GET /healthz").await.0.status(), 200);
    let address = edge.address();
    within("new connections to be refused", async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;

    // One permit was not used: the subscription was gone before its gate.
    origin.open_gate();
    finite.ends_with("", End::Clean).await;
    assert_eq!(edge.exit_code().await, Some(0));
}

#[tokio::test]
async fn what_is_left_at_the_deadline_is_cut_and_looks_cut() {
    let scripts = [Script::stream().event("a").hang(), Script::stream().chunk("data: half").hang(), Script::new().hang()];
    let origin = Origin::start_each(scripts).await;
    let mut edge = Edge::with().drain_deadline("500ms").start(origin.address()).await;
    let (mut finite, _) = Client::open(edge.address(), ASK).await;
    finite.expects("data: a\n\n").await;
    let (mut unfinished, _) = Client::open(edge.address(), SUBSCRIBE).await;
    unfinished.expects("data: half").await;
    let waiting = Client::send_to(edge.address(), GET).await;
    origin.request(2).await;
    let begin = clock::now();
    edge.signal("TERM");
    assert_ne!(finite.rest_of_body().await.1, End::Clean);
    assert_ne!(unfinished.rest_of_body().await.1, End::Clean);
    assert!(begin.elapsed() >= Duration::from_millis(500), "cut before the deadline");
    let (answer, _) = waiting.rest().await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(20), "that was the default deadline");
    let log = edge.process().stdout();
    let cut = |kind: &str, reason: &str| log.lines().filter(|line| line.contains(kind) && line.contains(reason)).count();
    assert_eq!(cut("kind=stream_close", "reason=drain_cut"), 2, "each stream's end is logged once with its reason:\n{log}");
    assert_eq!(cut("kind=request", "cut at the end of the drain"), 1, "and so is the request's:\n{log}");
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_it_beyond_the_deadline() {
    let origin = Origin::start(Script::stream().flood(32 << 20).hang()).await;
    let mut edge = Edge::with().drain_deadline("500ms").start(origin.address()).await;
    let mut client = Client::connect_slow(edge.address()).await;
    client.send(SUBSCRIBE).await;
    client.head().await;
    settled("the origin to be stopped", || origin.written()).await;
    let begin = clock::now();
    edge.signal("TERM");
    assert_eq!(edge.exit_code().await, Some(0));
    assert!(begin.elapsed() < Duration::from_secs(20), "that was the default deadline");
    assert_ne!(client.rest_of_body().await.1, End::Clean);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let origin = Origin::start(Script::stream().event("a").hang()).await;
        let mut edge = Edge::with().drain_deadline("1h").start(origin.address()).await;
        let (mut client, _) = Client::open(edge.address(), ASK).await;
        client.expects("data: a\n\n").await;
        edge.signal(first);
        edge.draining().await;
        edge.signal(second);
        edge.exit_code().await;
        assert_ne!(client.rest_of_body().await.1, End::Clean);
    }
}

#[tokio::test]
async fn other_signals_are_logged_and_end_nothing() {
    let origin = Origin::start(Script::stream().event("a").gate().event("b").end()).await;
    let edge = Edge::start(origin.address()).await;
    let (mut client, _) = Client::open(edge.address(), SUBSCRIBE).await;
    client.expects("data: a\n\n").await;
    for signal in ["USR1", "HUP", "QUIT"] {
        edge.signal(signal);
        edge.process().logs(signal).await;
    }
    assert_eq!(edge.admin("GET /readyz").await.0.status(), 200);
    origin.open_gate();
    client.ends_with("data: b\n\n", End::Clean).await;
    let (mut next, _) = Client::open(edge.address(), SUBSCRIBE).await;
    next.expects("data: a\n\n").await;
}
