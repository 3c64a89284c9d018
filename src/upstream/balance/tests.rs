//! Shares, loads and moves, over many picks. The seeds are fixed, so that a bound that holds once holds always.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::HashOn;
use super::super::server::BusyGuard;
use super::super::testing::members;
use super::*;

const KEYS: u64 = 20_000;

fn anyone(_: &Server) -> bool {
    true
}

fn but<'a>(address: &'a str) -> impl Fn(&Server) -> bool + 'a {
    move |server| server.address() != address
}

/// How often each server was chosen in `picks` picks without a key.
fn shares(balancer: &Balancer, members: &[Member], usable: impl Fn(&Server) -> bool, picks: u64) -> HashMap<String, u64> {
    let mut shares = HashMap::new();
    for _ in 0..picks {
        let chosen = balancer.choose(members, &usable, None).expect("somebody is usable");
        *shares.entry(chosen.server.address().to_owned()).or_default() += 1;
    }
    shares
}

fn home<'m>(balancer: &Balancer, members: &'m [Member], usable: impl Fn(&Server) -> bool, key: u64) -> &'m str {
    let key = stable_hash(&key.to_be_bytes());
    balancer.choose(members, usable, Some(key)).expect("somebody is usable").server.address()
}

#[track_caller]
fn near(actual: u64, expected: u64, percent: u64) {
    assert!(actual.abs_diff(expected) * 100 <= expected * percent, "{actual} is not within {percent} % of {expected}");
}

#[test]
fn nobody_is_chosen_where_nobody_is_usable() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1)]);
    for balance in [Balance::LeastStreams, Balance::RoundRobin, Balance::Random, Balance::Hash(HashOn::Path)] {
        let balancer = Balancer::seeded(balance, 1);
        assert!(balancer.choose(&members, |_| false, Some(1)).is_none());
        assert!(balancer.choose(&[], anyone, Some(1)).is_none());
    }
}

#[test]
fn least_streams_fills_servers_in_proportion_to_their_weights() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 2), ("10.0.0.3:1", 5)]);
    let balancer = Balancer::seeded(Balance::LeastStreams, 1);
    let running: Vec<BusyGuard> =
        (0..800).map(|_| balancer.choose(&members, anyone, None).expect("all are usable").server.busy()).collect();
    let loads: Vec<_> = members.iter().map(|member| member.server.load()).collect();
    assert_eq!(loads, [100, 200, 500]);
    drop(running);
    assert!(members.iter().all(|member| member.server.load() == 0));
}

#[test]
fn least_streams_sends_all_to_a_server_that_came_back_empty_until_it_caught_up() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1)]);
    let balancer = Balancer::seeded(Balance::LeastStreams, 1);
    let mut running: Vec<_> = (0..10).map(|_| members[0].server.busy()).collect();
    for _ in 0..10 {
        let chosen = balancer.choose(&members, anyone, None).expect("both are usable");
        assert_eq!(chosen.server.address(), "10.0.0.2:1");
        running.push(chosen.server.busy());
    }
    assert_eq!(shares(&balancer, &members, anyone, 100), HashMap::from([("10.0.0.1:1".into(), 50), ("10.0.0.2:1".into(), 50)]));
}

#[test]
fn ties_rotate_evenly_also_past_a_server_that_is_down() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1), ("10.0.0.3:1", 1), ("10.0.0.4:1", 1)]);
    let balancer = Balancer::seeded(Balance::LeastStreams, 1);
    let shares = shares(&balancer, &members, but("10.0.0.2:1"), 300);
    assert_eq!(shares.len(), 3);
    assert!(shares.values().all(|share| *share == 100), "{shares:?}");
}

#[test]
fn a_round_robin_is_smooth_and_by_weight() {
    let members = members(&[("10.0.0.1:1", 5), ("10.0.0.2:1", 1), ("10.0.0.3:1", 1)]);
    let balancer = Balancer::seeded(Balance::RoundRobin, 1);
    for _ in 0..3 {
        let turns = (0..7).map(|_| balancer.choose(&members, anyone, None).expect("all are usable").server.address());
        let turns: String = turns.map(|address| &address[7..8]).collect();
        assert_eq!(turns, "1121311", "the heavy one is spread, not in a row");
    }
}

#[test]
fn a_round_robin_passes_over_who_is_not_usable_and_takes_it_back_in() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1), ("10.0.0.3:1", 2)]);
    let balancer = Balancer::seeded(Balance::RoundRobin, 1);
    assert_eq!(
        shares(&balancer, &members, but("10.0.0.2:1"), 30),
        HashMap::from([("10.0.0.1:1".into(), 10), ("10.0.0.3:1".into(), 20)])
    );
    let all = shares(&balancer, &members, anyone, 40);
    assert_eq!(all, HashMap::from([("10.0.0.1:1".into(), 10), ("10.0.0.2:1".into(), 10), ("10.0.0.3:1".into(), 20)]));
}

#[test]
fn chance_follows_the_weights() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 3), ("10.0.0.3:1", 4)]);
    let shares = shares(&Balancer::seeded(Balance::Random, 7), &members, anyone, 16_000);
    near(shares["10.0.0.1:1"], 2_000, 10);
    near(shares["10.0.0.2:1"], 6_000, 10);
    near(shares["10.0.0.3:1"], 8_000, 10);
}

#[test]
fn two_processes_do_not_draw_the_same() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1)]);
    let draws = |balancer: Balancer| -> Vec<_> {
        (0..64).map(|_| balancer.choose(&members, anyone, None).expect("both are usable").server.address()).collect()
    };
    assert_ne!(draws(Balancer::new(Balance::Random)), draws(Balancer::new(Balance::Random)));
}

#[test]
fn a_hash_is_even_by_weight_over_thousands_of_keys() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1), ("10.0.0.3:1", 2), ("10.0.0.4:1", 4)]);
    let balancer = Balancer::seeded(Balance::Hash(HashOn::Client), 1);
    let mut shares: HashMap<&str, u64> = HashMap::new();
    for key in 0..KEYS {
        *shares.entry(home(&balancer, &members, anyone, key)).or_default() += 1;
    }
    near(shares["10.0.0.1:1"], KEYS / 8, 10);
    near(shares["10.0.0.2:1"], KEYS / 8, 10);
    near(shares["10.0.0.3:1"], KEYS / 4, 10);
    near(shares["10.0.0.4:1"], KEYS / 2, 10);
}

#[test]
fn a_server_that_goes_moves_only_its_own_clients_and_gets_them_back() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1), ("10.0.0.3:1", 1), ("10.0.0.4:1", 2)]);
    let balancer = Balancer::seeded(Balance::Hash(HashOn::Client), 1);
    let gone = "10.0.0.2:1";
    let mut moved: HashMap<&str, u64> = HashMap::new();
    for key in 0..KEYS {
        let before = home(&balancer, &members, anyone, key);
        let without = home(&balancer, &members, but(gone), key);
        if before == gone {
            *moved.entry(without).or_default() += 1;
        } else {
            assert_eq!(without, before, "key {key} was not its client");
        }
        assert_eq!(home(&balancer, &members, anyone, key), before);
    }
    assert_eq!(moved.len(), 3, "its clients are shared by all others");
    let own = KEYS / 5;
    near(moved["10.0.0.1:1"], own / 4, 15);
    near(moved["10.0.0.3:1"], own / 4, 15);
    near(moved["10.0.0.4:1"], own / 2, 15);
}

#[test]
fn a_hash_knows_addresses_and_not_positions_or_processes() {
    let here = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1), ("10.0.0.3:1", 3)]);
    let there = members(&[("10.0.0.3:1", 3), ("10.0.0.1:1", 1), ("10.0.0.2:1", 1)]);
    let (one, other) = (Balancer::seeded(Balance::Hash(HashOn::Client), 1), Balancer::seeded(Balance::Hash(HashOn::Client), 2));
    assert!((0..1_000).all(|key| home(&one, &here, anyone, key) == home(&other, &there, anyone, key)));
}

#[test]
fn the_hash_of_a_key_never_changes() {
    // Written down: another release that hashed otherwise would move every client of every instance.
    assert_eq!(stable_hash(b""), mix(0xcbf2_9ce4_8422_2325));
    assert_eq!(stable_hash(b"a"), mix(0xaf63_dc4c_8601_ec8c));
    assert_eq!(mix(1), 0x5692_161d_100b_05e5);
}

#[test]
fn a_request_without_a_key_goes_by_chance() {
    let members = members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 1)]);
    let shares = shares(&Balancer::seeded(Balance::Hash(HashOn::Client), 3), &members, anyone, 4_000);
    near(shares["10.0.0.1:1"], 2_000, 10);
}

#[test]
fn threads_that_pick_at_once_lose_no_turn() {
    let members = Arc::new(members(&[("10.0.0.1:1", 1), ("10.0.0.2:1", 3)]));
    let balancer = Arc::new(Balancer::seeded(Balance::RoundRobin, 1));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (members, balancer) = (Arc::clone(&members), Arc::clone(&balancer));
            std::thread::spawn(move || shares(&balancer, &members, anyone, 1_000)["10.0.0.2:1"])
        })
        .collect();
    assert_eq!(threads.into_iter().map(|thread| thread.join().expect("it ends")).sum::<u64>(), 3_000);
}
