//! Pins, retries, ejections and servers that are down: who is picked then.

use std::sync::Barrier;
use std::time::Duration;

use super::super::spec::Balance;
use super::super::testing::{EJECTION, members};
use super::*;
use crate::clock;

const ADDRESSES: [&str; 3] = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"];

struct Table {
    members: Vec<Member>,
    balancer: Balancer,
    now: Instant,
}

impl Table {
    fn new() -> Self {
        let members = members(&ADDRESSES.map(|address| (address, 1)));
        Self { members, balancer: Balancer::seeded(Balance::RoundRobin, 1), now: clock::now() }
    }

    fn pick(&self, wanted: Pick<'_>) -> Option<&str> {
        pick(&self.members, &self.balancer, &wanted, self.now).map(|server| server.address())
    }

    fn server(&self, at: usize) -> &Arc<Server> {
        &self.members[at].server
    }

    fn eject(&self, at: usize) {
        for _ in 0..EJECTION.failures {
            self.server(at).connection_died(self.now);
        }
    }

    /// Who gets work, in the order of the list.
    fn picked(&self) -> Vec<&str> {
        let mut picked: Vec<_> = (0..12).filter_map(|_| self.pick(Pick::default())).collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }
}

#[test]
fn a_pinned_server_is_taken_while_it_is_up_and_not_ejected() {
    let table = Table::new();
    let pinned = Pick { pinned: Some(ADDRESSES[1]), ..Pick::default() };
    assert!((0..6).all(|_| table.pick(pinned) == Some(ADDRESSES[1])));
    table.eject(1);
    assert!((0..6).all(|_| table.pick(pinned).is_some_and(|address| address != ADDRESSES[1])));
    table.server(1).succeeded();
    assert_eq!(table.pick(pinned), Some(ADDRESSES[1]));
    table.server(1).set_up(false);
    assert!((0..6).all(|_| table.pick(pinned).is_some_and(|address| address != ADDRESSES[1])));
}

#[test]
fn a_pin_to_a_stranger_is_none() {
    let table = Table::new();
    let pinned = Pick { pinned: Some("10.9.9.9:1"), ..Pick::default() };
    let mut picked: Vec<_> = (0..3).filter_map(|_| table.pick(pinned)).collect();
    picked.sort_unstable();
    assert_eq!(picked, ADDRESSES);
}

#[test]
fn a_server_that_was_tried_is_not_tried_again_not_even_when_pinned() {
    let table = Table::new();
    let mut tried = Vec::new();
    for at in [1, 0, 2] {
        let pinned = Pick { pinned: Some(ADDRESSES[1]), not: &tried, ..Pick::default() };
        assert_eq!(table.pick(pinned), Some(ADDRESSES[at]));
        tried.push(Arc::clone(table.server(at)));
    }
    assert_eq!(table.pick(Pick { not: &tried, ..Pick::default() }), None);
}

#[test]
fn an_ejected_server_gets_no_work_while_another_is_left() {
    let table = Table::new();
    table.eject(0);
    assert_eq!(table.picked(), ADDRESSES[1..]);
    table.eject(2);
    assert_eq!(table.picked(), [ADDRESSES[1]]);
}

#[test]
fn ejection_never_takes_the_last_server_and_prefers_the_pin_even_then() {
    let table = Table::new();
    for at in 0..3 {
        table.eject(at);
    }
    assert_eq!(table.picked(), ADDRESSES);
    let pinned = Pick { pinned: Some(ADDRESSES[2]), ..Pick::default() };
    assert!((0..6).all(|_| table.pick(pinned) == Some(ADDRESSES[2])));
    table.server(1).succeeded();
    assert_eq!(table.picked(), [ADDRESSES[1]], "one that answered ends the need");
}

#[test]
fn a_request_that_tried_all_others_tries_an_ejected_server_before_it_fails() {
    let table = Table::new();
    table.eject(0);
    let tried = [Arc::clone(table.server(1)), Arc::clone(table.server(2))];
    assert_eq!(table.pick(Pick { not: &tried, ..Pick::default() }), Some(ADDRESSES[0]));
}

#[test]
fn servers_that_are_down_by_their_checks_get_nothing_even_when_all_are() {
    let table = Table::new();
    table.server(0).set_up(false);
    assert_eq!(table.picked(), ADDRESSES[1..]);
    table.server(1).set_up(false);
    table.server(2).set_up(false);
    assert_eq!(table.pick(Pick { pinned: Some(ADDRESSES[0]), ..Pick::default() }), None);
}

#[test]
fn after_an_ejection_one_request_is_the_try_and_its_end_decides() {
    let mut table = Table::new();
    table.eject(0);
    table.now += EJECTION.duration;
    let tries = |table: &Table| (0..12).filter(|_| table.pick(Pick::default()) == Some(ADDRESSES[0])).count();
    assert_eq!(tries(&table), 1);
    table.server(0).connection_died(table.now);
    assert_eq!(tries(&table), 0);
    table.now += EJECTION.duration + Duration::from_secs(1);
    assert_eq!(tries(&table), 1);
    table.server(0).succeeded();
    assert_eq!(tries(&table), 4, "a third of the work, as before");
}

#[test]
fn of_requests_that_come_at_once_after_an_ejection_only_one_is_the_try() {
    const ROUNDS: u32 = 3_000;
    let table = Table::new();
    table.eject(0);
    let (start, end) = (Barrier::new(2), Barrier::new(2));
    // Pinned, so that both want the same server; each round is a further ejection's end.
    let tries = || {
        let rounds = 1..=ROUNDS;
        rounds.map(|round| {
            let now = table.now + EJECTION.duration * round;
            start.wait();
            let picked = pick(&table.members, &table.balancer, &Pick { pinned: Some(ADDRESSES[0]), ..Pick::default() }, now);
            end.wait();
            picked.is_some_and(|server| server.address() == ADDRESSES[0])
        })
    };
    let count = || tries().filter(|tried| *tried).count();
    let all: usize =
        std::thread::scope(|scope| [scope.spawn(count), scope.spawn(count)].map(|one| one.join().unwrap()).iter().sum());
    assert_eq!(all, ROUNDS as usize);
}

#[test]
fn a_hash_key_decides_alone() {
    let table = Table { balancer: Balancer::seeded(Balance::Hash(super::super::HashOn::Client), 1), ..Table::new() };
    let home = table.pick(Pick { hash_key: Some(b"192.0.2.7"), ..Pick::default() });
    assert!((0..20).all(|_| table.pick(Pick { hash_key: Some(b"192.0.2.7"), ..Pick::default() }) == home));
    let homes = (0..20_u8).map(|key| table.pick(Pick { hash_key: Some(&[key]), ..Pick::default() }));
    assert!(homes.filter(|other| *other != home).count() > 0, "another key may go elsewhere");
}
