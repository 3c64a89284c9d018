//! Words that stand for values: which there are and what each means. One table a key, for all who need it: [`super::schema`] offers
//! them, [`super::resolve`] reads them, [`super::dump()`] writes them. No word is named anywhere else.

use super::{LogFormat, LogLevel};
use crate::admission::OverCap;
use crate::affinity::SameSite;
use crate::message::forwarded::ForwardedPolicy;
use crate::stream::FrameChoice;
use crate::upstream::Protocol;

/// What may be written, and what it means.
pub(super) type Words<T> = [(&'static str, T)];

/// `log.level`.
pub(super) const LEVELS: [(&str, LogLevel); 4] =
    [("error", LogLevel::Error), ("warn", LogLevel::Warn), ("info", LogLevel::Info), ("debug", LogLevel::Debug)];

/// `log.format`.
pub(super) const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Formats that a later release brings.
pub(super) const LATER_FORMATS: &[&str] = &["combined"];

/// `forwarded`; the last is `off`, which `false` says too.
pub(super) const FORWARDED: [(&str, ForwardedPolicy); 3] =
    [("x_forwarded", ForwardedPolicy::XForwarded), ("rfc7239", ForwardedPolicy::Rfc7239), ("off", ForwardedPolicy::Off)];

/// `listeners[].proxy_protocol`: whether it is accepted.
pub(super) const PROXY_PROTOCOLS: [(&str, bool); 2] = [("off", false), ("accept", true)];

/// `upstreams.NAME.balance`, without what `hash_on` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BalanceWord {
    LeastStreams,
    RoundRobin,
    Random,
    Hash,
}

/// `upstreams.NAME.balance`.
pub(super) const BALANCES: [(&str, BalanceWord); 4] = [
    ("least_streams", BalanceWord::LeastStreams),
    ("round_robin", BalanceWord::RoundRobin),
    ("random", BalanceWord::Random),
    ("hash", BalanceWord::Hash),
];

/// `upstreams.NAME.protocol`: what servers speak, and whether it goes over TLS without a word of `tls`.
pub(super) const PROTOCOLS: [(&str, (Protocol, bool)); 3] =
    [("http1", (Protocol::Http1, false)), ("h2c", (Protocol::Http2, false)), ("h2", (Protocol::Http2, true))];

/// `listeners[].tls.client_auth`, without what `client_ca` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientAuthWord {
    None,
    Optional,
    Required,
}

/// `listeners[].tls.client_auth`.
pub(super) const CLIENT_AUTHS: [(&str, ClientAuthWord); 3] =
    [("none", ClientAuthWord::None), ("optional", ClientAuthWord::Optional), ("required", ClientAuthWord::Required)];

/// `routes[].heartbeat.frame`.
pub(super) const FRAMES: [(&str, FrameChoice); 3] =
    [("auto", FrameChoice::Auto), ("line", FrameChoice::Line), ("block", FrameChoice::Block)];

/// `routes[].sticky.same_site`.
pub(super) const SAME_SITES: [(&str, SameSite); 3] =
    [("lax", SameSite::Lax), ("strict", SameSite::Strict), ("none", SameSite::None)];

/// `routes[].caps.over_cap`.
pub(super) const OVER_CAPS: [(&str, OverCap); 1] = [("refuse", OverCap::Refuse)];

/// What a later release does over the cap.
pub(super) const LATER_OVER_CAPS: &[&str] = &["evict_oldest", "soft"];

/// The words of a table, without their meaning.
pub(super) const fn words<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = table[at].0;
        at += 1;
    }
    words
}

/// The word for `value`.
pub(super) fn word_for<T: PartialEq>(table: &Words<T>, value: &T) -> &'static str {
    table.iter().find(|(_, meaning)| meaning == value).map_or("", |(word, _)| word)
}
