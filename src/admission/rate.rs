//! The cap on new connections of one client a second, by the crate `governor`: a second's worth may come at once.
//!
//! What is kept of a client is one instant, and it goes as soon as it says nothing any more. However many addresses come within a second,
//! no more of them than [`MOST_CLIENTS`] are kept; a client beyond them passes, since each of those came once and refusing strangers
//! would do an attacker's work.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::connections::client;

/// Clients that are told apart at once: some 10 MB.
const MOST_CLIENTS: usize = 1 << 17;
/// How often clients are forgotten whose last connections are too old to count.
const SWEEP: Duration = Duration::from_secs(1);

/// Counts the new connections of each client.
#[derive(Debug)]
pub struct ConnectRate<C: Clock = MonotonicClock> {
    clients: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    swept: Mutex<C::Instant>,
}

impl ConnectRate {
    /// At most `rate` connections of one client a second, and as many at once.
    #[must_use]
    pub fn new(rate: NonZeroU32) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock + Clone> ConnectRate<C> {
    fn with_clock(rate: NonZeroU32, clock: C) -> Self {
        let clients = RateLimiter::hashmap_with_clock(Quota::per_second(rate), clock.clone());
        let swept = Mutex::new(clock.now());
        Self { clients, clock, swept }
    }

    /// Whether one more connection from `address` is within its rate. It counts if it is.
    #[must_use]
    pub fn admits(&self, address: IpAddr) -> bool {
        self.sweep();
        self.clients.len() >= MOST_CLIENTS || self.clients.check_key(&client(address)).is_ok()
    }

    /// Forgets who is as good as new.
    fn sweep(&self) {
        let now = self.clock.now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(*swept) < Nanos::from(SWEEP) {
            return;
        }
        *swept = now;
        drop(swept);
        self.clients.retain_recent();
        self.clients.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rate(rate: u32) -> (ConnectRate<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        (ConnectRate::with_clock(NonZeroU32::new(rate).unwrap(), clock.clone()), clock)
    }

    fn admitted(rate: &ConnectRate<FakeRelativeClock>, address: &str, times: usize) -> usize {
        let address = address.parse().unwrap();
        (0..times).filter(|_| rate.admits(address)).count()
    }

    #[test]
    fn a_seconds_worth_may_come_at_once_and_the_next_ones_evenly() {
        let (rate, clock) = rate(5);
        assert_eq!(admitted(&rate, "192.0.2.1", 20), 5);
        assert_eq!(admitted(&rate, "192.0.2.2", 20), 5, "another client has its own");
        for _ in 0..10 {
            clock.advance(Duration::from_millis(199));
            assert_eq!(admitted(&rate, "192.0.2.1", 3), 0);
            clock.advance(Duration::from_millis(1));
            assert_eq!(admitted(&rate, "192.0.2.1", 3), 1);
        }
        clock.advance(Duration::from_secs(10));
        assert_eq!(admitted(&rate, "192.0.2.1", 20), 5, "no more than a second's worth is saved up");
    }

    #[test]
    fn a_whole_64_is_one_client_and_a_mapped_address_is_its_ipv4_address() {
        let (rate, _clock) = rate(1);
        assert_eq!(admitted(&rate, "2001:db8:0:1::1", 1), 1);
        assert_eq!(admitted(&rate, "2001:db8:0:1:ffff::1", 1), 0);
        assert_eq!(admitted(&rate, "2001:db8:0:2::1", 1), 1);
        assert_eq!(admitted(&rate, "192.0.2.1", 1), 1);
        assert_eq!(admitted(&rate, "::ffff:192.0.2.1", 1), 0);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_forgotten_within_two_seconds() {
        let (rate, clock) = rate(1);
        for number in 0..(MOST_CLIENTS as u32 + 5000) {
            assert!(rate.admits(Ipv4Addr::from_bits(number).into()), "each came once");
        }
        assert_eq!(rate.clients.len(), MOST_CLIENTS);
        clock.advance(Duration::from_secs(2));
        assert!(rate.admits(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(rate.clients.len(), 1);
    }

    #[test]
    fn who_is_over_its_rate_is_not_forgotten_by_a_sweep() {
        let (rate, clock) = rate(1);
        assert_eq!(admitted(&rate, "192.0.2.1", 1), 1);
        clock.advance(Duration::from_millis(900));
        assert_eq!(admitted(&rate, "192.0.2.2", 1), 1);
        clock.advance(Duration::from_millis(200));
        // A sweep is due now.
        assert_eq!(admitted(&rate, "192.0.2.2", 1), 0);
        assert_eq!(rate.clients.len(), 2, "both are too young to be forgotten");
    }
}
