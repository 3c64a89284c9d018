//! Trailer fields, which go from HTTP/2 to HTTP/2 only: what may not stand behind a body is left out (RFC 9110 section 6.5.1).
//!
//! Whoever merges trailers into the head would find there what nobody judged: another length, another host, credentials, the name of
//! another client. So all that frames, routes, authenticates or types a message, says how its head was to be read, or speaks of the
//! client belongs into the head or nowhere. To leave trailers out is every intermediary's right; it must never change one.

use http::{HeaderMap, HeaderName};

use super::forwarded::speaks_of_the_client;
use super::grammar::{MAX_FIELD_NAME, is_forbidden_control, is_token, trim};
use super::hop_by_hop::is_hop_by_hop;

/// Most trailer fields that may pass, as in a request's head.
const MAX_TRAILERS: usize = super::request_head::MAX_FIELDS;

/// Never behind a body, beside the fields of a connection, `Content-*` and what speaks of the client.
const ONLY_IN_HEADS: [&str; 41] = [
    // Routing, and what a server is to do before it reads the body.
    "host",
    "expect",
    "max-forwards",
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "last-event-id",
    "origin",
    "referer",
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    // Authentication, and state that stands for it.
    "authorization",
    "www-authenticate",
    "cookie",
    "set-cookie",
    "strict-transport-security",
    // How a response is to be taken.
    "age",
    "cache-control",
    "pragma",
    "expires",
    "date",
    "location",
    "retry-after",
    "vary",
    "warning",
    "allow",
    "last-modified",
    "link",
    "refresh",
    "clear-site-data",
    "alt-svc",
    "x-accel-buffering",
    "x-content-type-options",
    "x-frame-options",
    // Of the message itself, and of who handled it.
    "via",
    "mime-version",
];

/// `trailers` with what may pass; `None` if that is nothing.
#[must_use]
pub fn filtered(trailers: Option<HeaderMap>) -> Option<HeaderMap> {
    let trailers = trailers?;
    let mut kept = HeaderMap::with_capacity(trailers.keys_len());
    for (name, value) in trailers.iter().filter(|(name, value)| may_pass(name, value.as_bytes())).take(MAX_TRAILERS) {
        kept.append(name, value.clone());
    }
    (!kept.is_empty()).then_some(kept)
}

fn may_pass(name: &HeaderName, value: &[u8]) -> bool {
    let name = name.as_str();
    // RFC 9530 sections 2 and 3 define the digest of the content for this very place.
    let types_the_body = name.starts_with("content-") && name != "content-digest";
    let is_well_formed = is_token(name.as_bytes())
        && name.len() <= MAX_FIELD_NAME
        && trim(value).len() == value.len()
        && !value.iter().any(|&byte| is_forbidden_control(byte));
    let of_the_head = types_the_body
        || is_hop_by_hop(name.as_bytes())
        || speaks_of_the_client(name.as_bytes())
        || name.starts_with("access-control-")
        || name.starts_with("sec-")
        || ONLY_IN_HEADS.contains(&name);
    is_well_formed && !of_the_head
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{MAX_TRAILERS, filtered};

    fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn what_belongs_behind_a_body_passes_with_its_doubles() {
        let fine = fields(&[
            ("grpc-status", "0"),
            ("grpc-message", "a, b"),
            ("grpc-status-details-bin", "CAU="),
            ("server-timing", "db;dur=53"),
            ("x-sum", "7"),
            ("x-sum", "8"),
            ("content-digest", "sha-256=::"),
            ("repr-digest", "sha-256=::"),
            // RFC 9110 sections 8.8.3 and 11.6.3 let these two stand here.
            ("etag", "\"e\""),
            ("authentication-info", "x"),
            ("x-empty", ""),
        ]);
        assert_eq!(filtered(Some(fine.clone())), Some(fine));
    }

    #[test]
    fn what_belongs_into_the_head_is_left_out() {
        for name in [
            "host",
            "content-length",
            "content-type",
            "content-encoding",
            "content-range",
            "content-location",
            "content-security-policy",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "proxy-authorization",
            "proxy-connection",
            "authorization",
            "www-authenticate",
            "cookie",
            "set-cookie",
            "cache-control",
            "expect",
            "range",
            "if-none-match",
            "location",
            "vary",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-real-ip",
            "last-event-id",
            "access-control-allow-origin",
            "sec-websocket-accept",
        ] {
            let mut trailers = fields(&[("x-sum", "7")]);
            trailers.append(name, HeaderValue::from_static("1"));
            assert_eq!(filtered(Some(trailers)), Some(fields(&[("x-sum", "7")])), "{name}");
        }
    }

    #[test]
    fn values_that_no_head_may_have_are_left_out() {
        for value in [" 7", "7\t", "\t"] {
            assert_eq!(filtered(Some(fields(&[("x-sum", value)]))), None, "{value:?}");
        }
    }

    #[test]
    fn nothing_left_is_no_trailers_and_too_many_are_cut_off() {
        assert_eq!(filtered(None), None);
        assert_eq!(filtered(Some(HeaderMap::new())), None);
        assert_eq!(filtered(Some(fields(&[("host", "a")]))), None);
        let many = std::iter::repeat_n((HeaderName::from_static("x-sum"), HeaderValue::from_static("7")), MAX_TRAILERS + 1);
        assert_eq!(filtered(Some(many.collect())).map(|trailers| trailers.len()), Some(MAX_TRAILERS));
    }
}
