//! HTTP/1 request heads, judged (RFC 9112).
//!
//! Pure. It takes what a proxy or a client of a measurement sends, and refuses what could be read in two ways.

use super::scenario::Asked;

/// Bytes of a head; 431 beyond.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Fields of a head; 431 beyond.
const MAX_FIELDS: usize = 100;

/// A head that was judged.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) asked: Asked<'a>,
    /// Bytes of the head.
    pub(super) len: usize,
    pub(super) body: Body,
    /// The client understands chunked bodies.
    pub(super) is_1_1: bool,
    /// The client would send another request.
    pub(super) keep_alive: bool,
    /// It waits for a word before it sends the body.
    pub(super) expects_continue: bool,
}

/// The body behind a head. It is thrown away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    Length(u64),
    /// Nobody looks for its end: the connection serves nothing more.
    Chunked,
}

impl<'a> Head<'a> {
    /// Judges what was read so far; `None` until the head is complete. An error is the status to answer with.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, u16> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Request::new(&mut fields);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) if len <= MAX_HEAD => len,
            Ok(httparse::Status::Partial) if bytes.len() <= MAX_HEAD => return Ok(None),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(431),
            Err(_) => return Err(400),
        };
        let is_1_1 = parsed.version == Some(1);
        let asked =
            Asked { method: parsed.method.ok_or(400u16)?, target: origin_form(parsed.path.ok_or(400u16)?), last_event_id: None };
        let mut head = Self { asked, len, body: Body::Length(0), is_1_1, keep_alive: is_1_1, expects_continue: false };
        let (mut hosts, mut length, mut is_chunked) = (0, None, false);
        for field in parsed.headers.iter() {
            let value = field.value.trim_ascii();
            let is = |name| field.name.eq_ignore_ascii_case(name);
            if is("host") {
                hosts += 1;
            } else if is("content-length") {
                let value = number(value).ok_or(400u16)?;
                if length.replace(value).is_some() {
                    return Err(400);
                }
            } else if is("transfer-encoding") {
                if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(400);
                }
                is_chunked = true;
            } else if is("connection") {
                let has =
                    |option: &[u8]| value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(option));
                // Tools that load with HTTP/1.0 ask for it (RFC 9112 section 9.3).
                head.keep_alive = (head.keep_alive || has(b"keep-alive")) && !has(b"close");
            } else if is("expect") {
                head.expects_continue = is_1_1 && value.eq_ignore_ascii_case(b"100-continue");
            } else if is("last-event-id") {
                head.asked.last_event_id = number(value);
            }
        }
        if hosts > 1 || (is_1_1 && hosts == 0) || (is_chunked && length.is_some()) || (is_chunked && !is_1_1) {
            return Err(400);
        }
        if is_chunked {
            head.body = Body::Chunked;
            head.keep_alive = false;
        } else {
            head.body = Body::Length(length.unwrap_or(0));
        }
        Ok(Some(head))
    }
}

/// The path and query of a target that may be absolute.
fn origin_form(target: &str) -> &str {
    match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => rest.find('/').map_or("/", |at| &rest[at..]),
        _ => target,
    }
}

/// Plain digits: no sign, no list.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    if !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head<'_> {
        Head::parse(text.as_bytes()).expect("a good head").expect("a whole head")
    }

    #[test]
    fn a_head_is_the_same_however_it_is_cut() {
        let text = "POST /llm?rate=5 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nLast-Event-ID: 12\r\nConnection: x, Close\r\n\r\n";
        for cut in 0..text.len() {
            assert!(matches!(Head::parse(&text.as_bytes()[..cut]), Ok(None)), "cut at {cut}");
        }
        let head = head(text);
        assert_eq!((head.len, head.body, head.keep_alive), (text.len(), Body::Length(3), false));
        assert_eq!((head.asked.method, head.asked.target, head.asked.last_event_id), ("POST", "/llm?rate=5", Some(12)));
    }

    #[test]
    fn an_absolute_target_is_as_good_as_its_path() {
        assert_eq!(head("GET http://a:1/x?y=http://b/ HTTP/1.1\r\nHost: a\r\n\r\n").asked.target, "/x?y=http://b/");
        assert_eq!(head("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").asked.target, "/");
        assert_eq!(head("GET /x?y=http://b/ HTTP/1.1\r\nHost: a\r\n\r\n").asked.target, "/x?y=http://b/");
    }

    #[test]
    fn who_would_send_another_request_says_so_by_version_or_by_word() {
        for (text, keep_alive) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", false),
        ] {
            assert_eq!(head(text).keep_alive, keep_alive, "{text:?}");
        }
    }

    #[test]
    fn malformed_and_ambiguous_heads_are_refused() {
        for (text, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ] {
            assert_eq!(Head::parse(text.as_bytes()).expect_err(text), status, "{text:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(MAX_FIELDS));
        let long = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(MAX_HEAD));
        assert_eq!((Head::parse(many.as_bytes()).expect_err("many"), Head::parse(long.as_bytes()).expect_err("long")), (431, 431));
    }
}
