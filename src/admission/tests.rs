//! Caps of streams: one by one, and with many threads that take and give back at once.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Admission, CapsPolicy, OverCap, Permit, Refusal};

/// As large as the key that the proxy uses.
type Key = [u8; 17];

fn caps(client: Option<u32>, route: Option<u32>) -> CapsPolicy {
    CapsPolicy { streams_per_client: client, streams: route, over_cap: OverCap::Refuse }
}

fn key(client: u8) -> Key {
    [client; 17]
}

/// Streams counted on each route and in all, and entries of clients.
fn counted(admission: &Admission<Key>) -> (Vec<usize>, usize, usize) {
    let shared = &admission.shared;
    (shared.routes.iter().map(super::Count::get).collect(), shared.total.get(), admission.counted_clients())
}

#[test]
fn each_cap_refuses_by_its_name() {
    let admission = Admission::new(2, Some(3));
    let policy = caps(Some(1), Some(2));
    let _a = admission.try_acquire(0, key(1), &policy).unwrap();
    assert_eq!(admission.try_acquire(0, key(1), &policy).unwrap_err(), Refusal::Client);
    let _b = admission.try_acquire(0, key(2), &policy).unwrap();
    assert_eq!(admission.try_acquire(0, key(3), &policy).unwrap_err(), Refusal::Route);
    let _c = admission.try_acquire(1, key(1), &policy).unwrap();
    assert_eq!(admission.try_acquire(1, key(2), &policy).unwrap_err(), Refusal::Total);
    assert_eq!(counted(&admission), (vec![2, 1], 3, 3));
    assert_eq!(Refusal::ALL.map(Refusal::label), ["client", "route", "total"]);
}

#[test]
fn a_dropped_permit_gives_back_all_that_it_took() {
    let admission = Admission::new(1, Some(1));
    let policy = caps(Some(1), Some(1));
    for _ in 0..3 {
        let permit = admission.try_acquire(0, key(1), &policy).unwrap();
        assert_eq!(counted(&admission), (vec![1], 1, 1));
        drop(permit);
        assert_eq!(counted(&admission), (vec![0], 0, 0));
    }
}

#[test]
fn a_refused_stream_keeps_nothing_of_the_caps_that_it_passed() {
    let admission = Admission::new(2, Some(1));
    let held = admission.try_acquire(1, key(9), &caps(None, None)).unwrap();
    assert_eq!(admission.try_acquire(0, key(1), &caps(Some(1), Some(1))).unwrap_err(), Refusal::Total);
    assert_eq!(counted(&admission), (vec![0, 0], 1, 0));
    drop(held);
    let _permit = admission.try_acquire(0, key(1), &caps(Some(1), Some(1))).unwrap();
}

#[test]
fn nothing_is_counted_where_no_cap_is_set() {
    let admission = Admission::new(1, None);
    let permit = admission.try_acquire(0, key(1), &caps(None, None)).unwrap();
    assert!(permit.shared.is_none());
    let _route = admission.try_acquire(0, key(1), &caps(None, Some(9))).unwrap();
    assert_eq!(counted(&admission), (vec![1], 0, 0));
}

#[test]
fn a_cap_of_none_at_all_refuses_and_leaves_no_entry() {
    let admission = Admission::new(1, None);
    assert_eq!(admission.try_acquire(0, key(1), &caps(Some(0), None)).unwrap_err(), Refusal::Client);
    assert_eq!(admission.try_acquire(0, key(1), &caps(None, Some(0))).unwrap_err(), Refusal::Route);
    assert_eq!(counted(&admission), (vec![0], 0, 0));
}

#[test]
fn a_permit_gives_back_what_it_took_though_the_caps_are_others_by_then() {
    let admission = Admission::new(1, None);
    let early = admission.try_acquire(0, key(1), &caps(None, None)).unwrap();
    let counted_one = admission.try_acquire(0, key(1), &caps(Some(1), Some(1))).unwrap();
    drop(early);
    assert_eq!(counted(&admission), (vec![1], 0, 1));
    drop(counted_one);
    assert_eq!(counted(&admission), (vec![0], 0, 0));
}

#[test]
fn a_panic_gives_the_permit_back() {
    let admission = Admission::new(1, Some(1));
    let stream = AssertUnwindSafe(|| {
        let _permit = admission.try_acquire(0, key(1), &caps(Some(1), Some(1))).unwrap();
        std::panic::resume_unwind(Box::new("a stream broke"));
    });
    assert!(catch_unwind(stream).is_err());
    assert_eq!(counted(&admission), (vec![0], 0, 0));
}

#[test]
fn a_permit_is_small_for_it_lives_in_every_stream() {
    assert!(size_of::<Permit<Key>>() <= 40, "{}", size_of::<Permit<Key>>());
}

/// Eight threads take and give back at random. What they hold by their own account, which is the least that is held at any instant, is
/// never over a cap: each adds to the account after it has the permit, and takes off before it gives it back.
#[test]
fn threads_that_race_never_pass_a_cap_and_leave_nothing_behind() {
    const THREADS: u64 = 8;
    const CLIENTS: usize = 3;
    let policies = [caps(Some(2), Some(5)), caps(Some(3), None)];
    let admission = Admission::new(2, Some(7));
    let held: Vec<AtomicUsize> = (0..2 * CLIENTS).map(|_| AtomicUsize::new(0)).collect();
    let in_route: Vec<AtomicUsize> = (0..2).map(|_| AtomicUsize::new(0)).collect();
    let in_all = AtomicUsize::new(0);
    let add = |count: &AtomicUsize, cap: usize| assert!(count.fetch_add(1, Ordering::SeqCst) < cap, "over the cap of {cap}");

    let refused: Vec<HashMap<Refusal, usize>> = thread::scope(|scope| {
        let run = |seed: u64| {
            let (admission, held, in_route, in_all, policies) = (&admission, &held, &in_route, &in_all, &policies);
            move || {
                let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
                let mut mine: Vec<(usize, usize, Permit<Key>)> = Vec::new();
                let mut refused = HashMap::new();
                for _ in 0..20_000 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let (route, client) = ((random >> 8) as usize % 2, (random >> 16) as usize % CLIENTS);
                    if random.is_multiple_of(3) && !mine.is_empty() {
                        let (route, client, permit) = mine.swap_remove((random >> 24) as usize % mine.len());
                        held[route * CLIENTS + client].fetch_sub(1, Ordering::SeqCst);
                        in_route[route].fetch_sub(1, Ordering::SeqCst);
                        in_all.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                        continue;
                    }
                    match admission.try_acquire(route, key(client as u8), &policies[route]) {
                        Ok(permit) => {
                            add(&held[route * CLIENTS + client], policies[route].streams_per_client.unwrap() as usize);
                            add(&in_route[route], policies[route].streams.map_or(usize::MAX, |cap| cap as usize));
                            add(in_all, 7);
                            mine.push((route, client, permit));
                        }
                        Err(refusal) => *refused.entry(refusal).or_default() += 1,
                    }
                }
                for (route, client, _permit) in mine {
                    held[route * CLIENTS + client].fetch_sub(1, Ordering::SeqCst);
                    in_route[route].fetch_sub(1, Ordering::SeqCst);
                    in_all.fetch_sub(1, Ordering::SeqCst);
                }
                refused
            }
        };
        let threads: Vec<_> = (1..=THREADS).map(|seed| scope.spawn(run(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    for refusal in Refusal::ALL {
        assert!(refused.iter().any(|counts| counts.contains_key(&refusal)), "{refusal:?} was never reached, so it was not tried");
    }
    assert_eq!(counted(&admission), (vec![0, 0], 0, 0));
}
