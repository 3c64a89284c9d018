//! Fields that belong to one connection and end at this hop (RFC 9110 section 7.6.1), the same for both directions.
//!
//! What `Connection` names is dropped too, but never a field that a message cannot do without: whoever writes `Connection: Authorization`
//! or `Connection: X-Forwarded-For` wants a field gone that somebody behind us relies on.

use http::HeaderMap;
use http::header::CONNECTION;

use super::grammar::list;

/// Dropped always. The RFC's own list, the two older names that it still warns of, what an h2c upgrade carries (RFC 7540 section 3.2,
/// dropped by RFC 9113), and the credentials of a proxy, which are for the proxy that they reach: us. `Proxy` is no field of HTTP at
/// all: what runs behind a CGI would read it as its own `HTTP_PROXY` (CVE-2016-5385).
const HOP_BY_HOP: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
];

/// Never dropped because `Connection` names it: it frames, routes, types or authenticates the message, or says where it came from. The
/// same holds for `X-Forwarded-*`, and for `Sec-WebSocket-*`, without which an upgrade that passes would be no handshake any more.
const END_TO_END: [&str; 22] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-range",
    "accept",
    "authorization",
    "www-authenticate",
    "cache-control",
    "cookie",
    "set-cookie",
    "date",
    "etag",
    "vary",
    "location",
    "origin",
    "last-event-id",
    "mcp-session-id",
    "via",
    "forwarded",
    "x-real-ip",
    "x-accel-buffering",
];

/// The fields of one head that end here.
#[derive(Debug)]
pub(super) struct HopByHop<'a> {
    /// Named by `Connection`, present in the head, and not protected: so never more than the head has fields.
    named: Vec<&'a [u8]>,
}

impl<'a> HopByHop<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut named = Vec::new();
        for option in headers.get_all(CONNECTION).iter().flat_map(|value| list(value.as_bytes())) {
            let present = str::from_utf8(option).is_ok_and(|name| headers.contains_key(name));
            if present && !is_end_to_end(option) && !is_hop_by_hop(option) && !contains(&named, option) {
                named.push(option);
            }
        }
        Self { named }
    }

    /// Whether the field `name`, in any case, is dropped.
    pub(super) fn includes(&self, name: &[u8]) -> bool {
        is_hop_by_hop(name) || contains(&self.named, name)
    }
}

/// Whether `options`, the value of a `Connection` field, may name fields beside those that end at every hop.
pub(super) fn names_fields(options: &[u8]) -> bool {
    list(options).any(|option| !option.is_empty() && !option.eq_ignore_ascii_case(b"close") && !is_hop_by_hop(option))
}

/// Whether the field `name`, in any case, ends at every hop.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    is_one_of(name, &HOP_BY_HOP)
}

fn is_end_to_end(name: &[u8]) -> bool {
    let is_of = |family: &[u8]| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family));
    is_of(b"x-forwarded-") || is_of(b"sec-websocket-") || is_one_of(name, &END_TO_END)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|candidate| candidate.as_bytes().eq_ignore_ascii_case(name))
}

fn contains(names: &[&[u8]], name: &[u8]) -> bool {
    names.iter().any(|candidate| candidate.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::HopByHop;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_fields_of_a_connection_are_dropped_in_any_case() {
        let headers = HeaderMap::new();
        let dropped = HopByHop::of(&headers);
        for name in [
            "Connection",
            "KEEP-ALIVE",
            "Proxy-Connection",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "HTTP2-Settings",
            "Proxy",
        ] {
            assert!(dropped.includes(name.as_bytes()), "{name}");
        }
        assert!(!dropped.includes(b"Accept"));
    }

    #[test]
    fn what_connection_names_is_dropped_over_several_lines_and_lists() {
        let headers =
            head(&[("connection", "close, X-One ,"), ("connection", "x-two"), ("x-one", "1"), ("x-two", "2"), ("x-three", "3")]);
        let dropped = HopByHop::of(&headers);
        assert!(dropped.includes(b"x-oNe") && dropped.includes(b"X-Two"));
        assert!(!dropped.includes(b"X-Three") && !dropped.includes(b"close"));
    }

    #[test]
    fn connection_cannot_remove_what_the_next_hop_relies_on() {
        let names =
            ["host", "authorization", "cookie", "content-length", "last-event-id", "x-forwarded-for", "forwarded", "cache-control"];
        let list = HeaderValue::from_str(&names.join(",")).unwrap();
        let mut headers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("v"))).collect();
        headers.insert("connection", list);
        let dropped = HopByHop::of(&headers);
        for name in names {
            assert!(!dropped.includes(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn a_long_list_of_options_costs_no_more_than_the_fields_that_exist() {
        let mut headers = head(&[("x-one", "1")]);
        headers.insert("connection", HeaderValue::from_str(&"x-one,absent,".repeat(4000)).unwrap());
        assert_eq!(HopByHop::of(&headers).named.len(), 1);
    }
}
