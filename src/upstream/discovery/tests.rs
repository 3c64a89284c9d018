//! Names over a scripted resolver: what the list is after each answer, and when it asks again.

use std::sync::atomic::Ordering;

use super::super::testing::{DEADLINE, Nowhere, Scripted, eventually, spec};
use super::super::{Pick, UpstreamSpec};
use super::*;

/// An upstream at work with one name, and its resolver.
fn at_work(resolve: Duration, answers: &[Option<&[&str]>]) -> (Arc<Upstream>, Arc<Scripted>) {
    let lookup = Scripted::new(answers);
    let upstream = Upstream::with_lookup(Arc::new(UpstreamSpec { resolve, ..spec(&["app.test:80"]) }), None, lookup.clone());
    tokio::spawn(Arc::clone(&upstream).run(std::future::pending::<()>()));
    (upstream, lookup)
}

fn listed(upstream: &Upstream) -> Vec<(String, bool)> {
    upstream.snapshot(clock::now()).into_iter().map(|server| (server.address, server.up)).collect()
}

fn up(addresses: &[&str]) -> Vec<(String, bool)> {
    addresses.iter().map(|address| ((*address).to_owned(), true)).collect()
}

async fn settled(upstream: &Upstream) {
    tokio::time::timeout(DEADLINE, upstream.settled()).await.expect("names are looked up at the start");
}

const OFTEN: Duration = Duration::from_millis(5);
const RARELY: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_name_stands_for_all_its_addresses() {
    let (upstream, _) = at_work(RARELY, &[Some(&["10.0.0.2:80", "10.0.0.1:80"])]);
    settled(&upstream).await;
    assert_eq!(listed(&upstream), up(&["10.0.0.1:80", "10.0.0.2:80"]));
    assert!(upstream.pick(&Pick::default(), clock::now()).is_some());
}

#[tokio::test]
async fn a_name_without_an_address_is_a_server_that_is_down_until_it_has_one() {
    let (upstream, _) = at_work(OFTEN, &[None, Some(&[]), Some(&["10.0.0.1:80"])]);
    assert_eq!(listed(&upstream), [("app.test:80".to_owned(), false)]);
    assert!(upstream.pick(&Pick::default(), clock::now()).is_none());
    settled(&upstream).await;
    eventually("the name resolves", || listed(&upstream) == up(&["10.0.0.1:80"])).await;
}

#[tokio::test]
async fn the_list_changes_while_streams_run() {
    let (upstream, _) = at_work(OFTEN, &[Some(&["10.0.0.1:80"]), Some(&["10.0.0.2:80"])]);
    settled(&upstream).await;
    let picked = upstream.pick(&Pick::default(), clock::now()).expect("it is up");
    let mut stream = picked.busy();
    stream.becomes_stream();
    eventually("the first server leaves", || upstream.servers().iter().all(|server| server.address() == "10.0.0.2:80")).await;
    let pinned = Pick { pinned: Some("10.0.0.1:80"), ..Pick::default() };
    let next = upstream.pick(&pinned, clock::now()).expect("the second is up");
    assert_eq!(next.address(), "10.0.0.2:80", "a server that left gets no new work");
    let snapshot = upstream.snapshot(clock::now());
    let departed: Vec<_> =
        snapshot.iter().filter(|server| server.departed).map(|server| (&*server.address, server.streams)).collect();
    assert_eq!(departed, [("10.0.0.1:80", 1)], "its stream runs on");
    drop(stream);
    drop(picked);
    assert_eq!(listed(&upstream), up(&["10.0.0.2:80"]));
}

#[tokio::test]
async fn a_lookup_that_fails_takes_no_address_away() {
    let (upstream, lookup) = at_work(OFTEN, &[Some(&["10.0.0.1:80"]), None, Some(&[]), None]);
    eventually("it was looked up again", || lookup.asked.load(Ordering::Relaxed) > 5).await;
    assert_eq!(listed(&upstream), up(&["10.0.0.1:80"]));
}

#[tokio::test]
async fn a_failed_connect_has_the_name_looked_up_soon_but_not_at_once() {
    let nowhere = Nowhere::new();
    let gone = nowhere.address();
    let (upstream, lookup) = at_work(RARELY, &[Some(&[&gone]), Some(&["10.0.0.2:80"])]);
    settled(&upstream).await;
    let began = clock::now();
    let server = upstream.pick(&Pick::default(), began).expect("it is up");
    for _ in 0..3 {
        upstream.connect(&server, DEADLINE).await.expect_err("nobody listens");
    }
    eventually("the list is the new one", || listed(&upstream).contains(&("10.0.0.2:80".to_owned(), true))).await;
    assert_eq!(lookup.asked.load(Ordering::Relaxed), 2, "three failures, one lookup");
    assert!(
        clock::now().duration_since(began) >= LOOK_AGAIN - Duration::from_millis(50),
        "a storm of failures is no storm of lookups"
    );
}

#[tokio::test]
async fn the_resolver_of_the_system_knows_this_machine() {
    let addresses = SystemLookup.lookup("localhost", 80).await.expect("every machine has it");
    assert!(!addresses.is_empty());
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80), "{addresses:?}");
}
