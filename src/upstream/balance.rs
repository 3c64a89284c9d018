//! Which of the usable servers is next. Pure arithmetic over weights, loads and hashes: no socket, no clock, no allocation.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::roster::Member;
use super::server::Server;
use super::spec::Balance;

/// One way to balance, with what it remembers from pick to pick.
#[derive(Debug)]
pub(super) struct Balancer {
    balance: Balance,
    /// Picks so far.
    turn: AtomicU64,
    seed: u64,
    /// Held while the credits of a round robin are read and written.
    round: Mutex<()>,
}

impl Balancer {
    /// With randomness of this process.
    pub(super) fn new(balance: Balance) -> Self {
        Self::seeded(balance, RandomState::new().hash_one(0_u8))
    }

    /// With randomness that can be repeated.
    pub(super) fn seeded(balance: Balance, seed: u64) -> Self {
        Self { balance, turn: AtomicU64::new(0), seed, round: Mutex::new(()) }
    }

    /// The next server among those that are usable. `key` is what a hash goes by; without one it goes by chance.
    pub(super) fn choose<'m>(
        &self,
        members: &'m [Member],
        usable: impl Fn(&Server) -> bool,
        key: Option<u64>,
    ) -> Option<&'m Member> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let chance = || mix(self.seed.wrapping_add(turn.wrapping_mul(GOLDEN)));
        match self.balance {
            Balance::LeastStreams => least_loaded(members, usable, turn),
            Balance::RoundRobin => {
                let _round = self.round.lock().unwrap_or_else(PoisonError::into_inner);
                next_in_turn(members, usable)
            }
            // A draw by weight is a rendezvous under a key that nobody chose.
            Balance::Random => rendezvous(members, usable, chance()),
            Balance::Hash(_) => rendezvous(members, usable, key.unwrap_or_else(chance)),
        }
    }
}

/// The least load by weight. Of equals the first from a start that rotates over the usable, so that one that is down does not hand
/// its turns to its neighbour.
fn least_loaded(members: &[Member], usable: impl Fn(&Server) -> bool, turn: u64) -> Option<&Member> {
    let all = || members.iter().filter(|member| usable(&member.server));
    let count = all().count() as u64;
    let start = turn.checked_rem(count)? as usize;
    let mut best: Option<(&Member, u64)> = None;
    for member in all().skip(start).chain(all().take(start)) {
        let load = member.server.load() as u64;
        // load / weight < best load / best weight, without the division.
        if best.is_none_or(|(other, least)| load.saturating_mul(other.weight.into()) < least.saturating_mul(member.weight.into())) {
            best = Some((member, load));
        }
    }
    best.map(|(member, _)| member)
}

/// Smooth weighted round robin: each usable server earns its weight, the richest is next and pays what all earned.
fn next_in_turn(members: &[Member], usable: impl Fn(&Server) -> bool) -> Option<&Member> {
    let mut earned = 0;
    let mut richest: Option<(&Member, i64)> = None;
    for member in members.iter().filter(|member| usable(&member.server)) {
        let weight = i64::from(member.weight);
        let credit = member.server.credit.fetch_add(weight, Ordering::Relaxed) + weight;
        earned += weight;
        if richest.is_none_or(|(_, most)| credit > most) {
            richest = Some((member, credit));
        }
    }
    let (member, _) = richest?;
    member.server.credit.fetch_sub(earned, Ordering::Relaxed);
    Some(member)
}

/// Weighted rendezvous hashing: each server draws a waiting time for the key, exponential with its weight as the rate, and the first
/// has it. Shares follow the weights, and a server that goes leaves all other draws as they are.
fn rendezvous(members: &[Member], usable: impl Fn(&Server) -> bool, key: u64) -> Option<&Member> {
    let wait = |member: &Member| {
        let bits = mix(key ^ member.server.identity()) >> 11;
        // Uniform over the open interval (0, 1): 53 bits, each in the middle of its step.
        let uniform = (bits as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / f64::from(member.weight)
    };
    let mut first: Option<(&Member, f64)> = None;
    for member in members.iter().filter(|member| usable(&member.server)) {
        let wait = wait(member);
        if first.is_none_or(|(_, least)| wait < least) {
            first = Some((member, wait));
        }
    }
    first.map(|(member, _)| member)
}

/// The same in every process and release, so that instances with the same servers agree: FNV-1a, then mixed.
pub(super) fn stable_hash(bytes: &[u8]) -> u64 {
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(hash)
}

/// The fraction of the golden ratio: steps of it fill the numbers evenly.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64: every bit of the input moves half of the bits of the output.
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests;
