//! Hosts, compared without case, port and the dot at the end that a fully qualified name may have (RFC 3986 section 3.2.2).
//!
//! It must never take a request for a name that the file does not give: a wildcard is one label and not empty.

use std::net::Ipv6Addr;

use super::HostPattern;

impl HostPattern {
    /// Whether `name`, as [`name`] gives it, is meant.
    pub(super) fn takes(&self, name: &[u8]) -> bool {
        match self {
            Self::Exact(host) => name.eq_ignore_ascii_case(host.as_bytes()) || is_same_address(name, host.as_bytes()),
            Self::Wildcard(suffix) => name
                .split_at_checked(name.len().wrapping_sub(suffix.len()))
                .filter(|(_, end)| end.eq_ignore_ascii_case(suffix.as_bytes()))
                .and_then(|(label, _)| label.strip_suffix(b"."))
                .is_some_and(|label| !label.is_empty() && !label.contains(&b'.')),
        }
    }
}

/// The host in `authority`, without its port and one dot at its end. An IPv6 address keeps its brackets.
pub(super) fn name(authority: &[u8]) -> &[u8] {
    let is_end = if authority.starts_with(b"[") { b']' } else { b':' };
    let end = authority.iter().position(|&byte| byte == is_end);
    let host = match end {
        Some(at) if is_end == b']' => &authority[..=at],
        Some(at) => &authority[..at],
        None => authority,
    };
    host.strip_suffix(b".").unwrap_or(host)
}

/// Whether both are the same IPv6 address, which has many spellings.
fn is_same_address(one: &[u8], other: &[u8]) -> bool {
    let address = |text: &[u8]| -> Option<Ipv6Addr> {
        let inner = text.strip_prefix(b"[")?.strip_suffix(b"]")?;
        str::from_utf8(inner).ok()?.parse().ok()
    };
    address(one).is_some_and(|one| address(other) == Some(one))
}

#[cfg(test)]
mod tests {
    use super::{HostPattern, name};

    fn takes(pattern: &HostPattern, authority: &str) -> bool {
        pattern.takes(name(authority.as_bytes()))
    }

    #[test]
    fn a_name_is_compared_without_case_port_and_last_dot() {
        let pattern = HostPattern::Exact("a.example.com".into());
        for host in
            ["a.example.com", "A.Example.COM", "a.example.com:8080", "a.example.com.", "a.example.com.:443", "a.example.com:"]
        {
            assert!(takes(&pattern, host), "{host}");
        }
        for host in ["example.com", "b.a.example.com", "a.example.com..", "a.example.comx", "xa.example.com", ""] {
            assert!(!takes(&pattern, host), "{host}");
        }
    }

    #[test]
    fn a_wildcard_is_exactly_one_label() {
        let pattern = HostPattern::Wildcard("example.com".into());
        for host in ["a.example.com", "A.EXAMPLE.com.:1", "xn--a.example.com"] {
            assert!(takes(&pattern, host), "{host}");
        }
        for host in ["example.com", ".example.com", "a.b.example.com", "aexample.com", "a.example.org", "com", "", "..example.com"]
        {
            assert!(!takes(&pattern, host), "{host}");
        }
    }

    #[test]
    fn an_ipv6_address_is_itself_in_any_spelling() {
        let pattern = HostPattern::Exact("[2001:db8::1]".into());
        for host in ["[2001:db8::1]", "[2001:DB8::1]:80", "[2001:db8:0:0:0:0:0:1]:80"] {
            assert!(takes(&pattern, host), "{host}");
        }
        for host in ["[2001:db8::2]", "2001:db8::1", "[2001:db8::1", "[]"] {
            assert!(!takes(&pattern, host), "{host}");
        }
    }
}
