//! Pins: a sealed cookie that brings a client back to its server. It seals the server's address, never an index, so that a reordered
//! list or another instance with the same secrets keeps every pin; without the secret it can be neither read nor made. Pure.
//!
//! The value is sealed by AES-256-GCM with a random nonce, bound to the cookie's name (`seal.rs`). Inside stand the time and the server,
//! padded so that the length says next to nothing. It must never pin by a cookie that we did not seal, and whatever is wrong with one,
//! it is as if there were none.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderValue};
use pingora::http::RequestHeader;

use crate::message::cookie::{strip, values};

mod seal;

use seal::Seal;

/// Sealed text is a multiple of so many bytes: nearly every server, by name or address, makes one such block.
const BLOCK: usize = 64;

/// Longest value that is looked at, in bytes. The longest that we seal is below: a host name has at most 253 bytes.
const MAX_VALUE: usize = 1024;

/// How far ahead of ours the clock of another instance may be. A pin from further ahead is none.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// How a route pins its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StickyPolicy {
    /// The cookie's name.
    pub cookie: String,
    /// The first seals, all open. Each has at least 32 bytes.
    pub secrets: Vec<Secret>,
    /// How long a pin lasts; renewed past half of it.
    pub max_age: Duration,
    /// `SameSite`.
    pub same_site: SameSite,
    /// `Domain`.
    pub domain: Option<String>,
}

/// `SameSite` of a cookie (RFC 6265bis section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// Sent on top-level navigations and from the same site.
    #[default]
    Lax,
    /// Sent from the same site only.
    Strict,
    /// Sent always; such a cookie is always `Secure`.
    None,
}

impl SameSite {
    fn as_str(self) -> &'static str {
        match self {
            Self::Lax => "Lax",
            Self::Strict => "Strict",
            Self::None => "None",
        }
    }
}

/// Something that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a client's cookie says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The server, as it was sealed. It may be gone, or never have been in this list.
    pub server: String,
    /// Since it was sealed.
    pub age: Duration,
}

/// Seals and opens the pins of one route.
pub struct Sealer {
    name: String,
    /// Seals. Tried first.
    current: Seal,
    /// Open only.
    former: Vec<Seal>,
    max_age: Duration,
    /// What stands after the value in `Set-Cookie`.
    attributes: String,
    always_secure: bool,
}

impl Sealer {
    /// For the routes with this policy. Derives keys: build it once, not for each request.
    ///
    /// # Panics
    /// If there is no secret, one has fewer than 32 bytes, or the name or domain cannot stand in a field. `config` lets none of these
    /// through.
    #[must_use]
    pub fn new(policy: &StickyPolicy) -> Self {
        let mut keys = policy.secrets.iter().map(|secret| Seal::derive_from(secret.0.as_bytes()));
        let current = keys.next().expect("a sticky policy has a secret");
        // Rounded up, since `Max-Age=0` would delete the cookie.
        let seconds = policy.max_age.as_secs() + u64::from(policy.max_age.subsec_nanos() > 0);
        let mut attributes = format!("; Path=/; Max-Age={}; HttpOnly; SameSite={}", seconds.max(1), policy.same_site.as_str());
        if let Some(domain) = &policy.domain {
            attributes.push_str("; Domain=");
            attributes.push_str(domain);
        }
        HeaderValue::from_str(&format!("{}{attributes}", policy.cookie))
            .expect("the cookie's name and domain can stand in a field");
        Self {
            name: policy.cookie.clone(),
            current,
            former: keys.collect(),
            max_age: policy.max_age,
            attributes,
            always_secure: policy.same_site == SameSite::None,
        }
    }

    /// The pin in the request's cookies: the first one that is ours, not too old and not from the future.
    #[must_use]
    pub fn open(&self, headers: &HeaderMap, now: SystemTime) -> Option<Pin> {
        let sealed =
            values(headers, &self.name).filter(|value| value.len() <= MAX_VALUE).filter_map(|value| str::from_utf8(value).ok());
        sealed.filter_map(|value| self.open_value(value, now)).next()
    }

    /// The `Set-Cookie` value that pins to `server` from `now` on. `secure` when the client came by https.
    #[must_use]
    pub fn seal(&self, server: &str, now: SystemTime, secure: bool) -> HeaderValue {
        let sealed = self.current.close(&self.name, &write(server, now));
        let secure = if secure || self.always_secure { "; Secure" } else { "" };
        // By hand: `format!` was half of what a pin costs.
        let text = [&self.name, "=", &sealed, &self.attributes, secure].concat();
        let mut value = HeaderValue::try_from(text).expect("the name and attributes were tried in `new`, and base64 is plain");
        value.set_sensitive(true);
        value
    }

    /// Whether a pin of this age is to be sealed anew: past half of what it lasts.
    #[must_use]
    pub fn needs_renewal(&self, age: Duration) -> bool {
        age > self.max_age / 2
    }

    /// Takes the pin out of a request that goes upstream, where nobody needs it; other cookies stay byte for byte.
    ///
    /// # Errors
    /// If the head cannot be written back, which no built head causes. Then it must not be sent.
    pub fn strip(&self, request: &mut RequestHeader) -> pingora::Result<()> {
        strip(request, &self.name)
    }

    fn open_value(&self, value: &str, now: SystemTime) -> Option<Pin> {
        let mut seals = std::iter::once(&self.current).chain(&self.former);
        let text = seals.find_map(|seal| seal.open(&self.name, value))?;
        let (server, sealed_at) = read(&text)?;
        let age = match now.duration_since(sealed_at) {
            Ok(age) => age,
            Err(ahead) if ahead.duration() <= CLOCK_SKEW => Duration::ZERO,
            Err(_) => return None,
        };
        (age <= self.max_age).then(|| Pin { server: server.to_owned(), age })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("name", &self.name).field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

/// Whether a response with these fields may carry a pin: not one that shared caches keep and give to others, `Cache-Control: public` or
/// with `s-maxage` (RFC 9111 section 5.2.2).
#[must_use]
pub fn may_set(response: &HeaderMap) -> bool {
    let directives = response.get_all(CACHE_CONTROL).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    let mut names = directives.map(|directive| directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii());
    !names.any(|name| name.eq_ignore_ascii_case(b"public") || name.eq_ignore_ascii_case(b"s-maxage"))
}

/// What is sealed: the milliseconds since 1970, the length of the server and the server, then spaces up to a whole block.
fn write(server: &str, now: SystemTime) -> String {
    let millis = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut text = String::with_capacity(2 * BLOCK);
    // To memory, which does not fail.
    let _ = write!(text, "{millis} {} ", server.len());
    text.push_str(server);
    let padding = text.len().next_multiple_of(BLOCK) - text.len();
    text.extend(std::iter::repeat_n(' ', padding));
    text
}

/// The reverse. Whoever holds the secret wrote it, which may be another version of us: so nothing is taken for granted.
fn read(text: &str) -> Option<(&str, SystemTime)> {
    let (millis, rest) = text.split_once(' ')?;
    let (length, rest) = rest.split_once(' ')?;
    let server = rest.get(..length.parse().ok()?)?;
    let sealed_at = UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))?;
    (!server.is_empty()).then_some((server, sealed_at))
}

#[cfg(test)]
mod tests;
