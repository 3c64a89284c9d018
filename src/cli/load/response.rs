//! The response head, and where the body behind it ends (RFC 9112 section 6.3).
//!
//! What could be read in two ways is malformed: the proxy that is measured must never produce it.

use super::chunked::{Chunked, Malformed};
use super::number;
use crate::sse::is_event_stream;

/// Fields of a response head.
const MAX_FIELDS: usize = 100;

/// A response head that was judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResponseHead {
    pub(super) status: u16,
    /// Its media type is that of an event stream.
    pub(super) is_event_stream: bool,
    pub(super) body: Body,
    /// Bytes of the head.
    pub(super) len: usize,
}

impl ResponseHead {
    /// Judges what was read so far; `None` until the head is complete. Interim responses (1xx) are heads of their own.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let len = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err("a response head that is no HTTP/1.1"),
        };
        let status = parsed.code.ok_or("a response head without a status")?;
        let mut is_stream = false;
        let mut length = None;
        let mut is_chunked = false;
        for field in parsed.headers.iter() {
            let value = field.value.trim_ascii();
            if field.name.eq_ignore_ascii_case("content-type") {
                is_stream = is_event_stream(value);
            } else if field.name.eq_ignore_ascii_case("content-length") {
                let value = number(value).ok_or("a Content-Length that is no number")?;
                if length.replace(value).is_some() {
                    return Err("more than one Content-Length");
                }
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err("a Transfer-Encoding other than chunked");
                }
                is_chunked = true;
            }
        }
        let body = match (is_chunked, length) {
            (true, Some(_)) => return Err("both Transfer-Encoding and Content-Length"),
            (true, None) => Body::Chunked(Chunked::new()),
            (false, Some(length)) => Body::Length(length),
            (false, None) => Body::UntilClose,
        };
        Ok(Some(Self { status, is_event_stream: is_stream, body, len }))
    }
}

/// A body, and where it ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// With the final chunk.
    Chunked(Chunked),
    /// After so many bytes more.
    Length(u64),
    /// With the connection.
    UntilClose,
}

impl Body {
    /// Hands the data in `input` to `data`, in order.
    pub(super) fn read(&mut self, mut input: &[u8], mut data: impl FnMut(&[u8])) -> Result<(), Malformed> {
        match self {
            Self::Chunked(chunked) => {
                while let Some(piece) = chunked.next(&mut input)? {
                    data(piece);
                }
            }
            Self::Length(left) => {
                *left = left.checked_sub(input.len() as u64).ok_or("bytes beyond the Content-Length")?;
                data(input);
            }
            Self::UntilClose => data(input),
        }
        Ok(())
    }

    /// Whether the body has ended by itself, with no need for a close.
    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Chunked(chunked) => chunked.is_complete(),
            Self::Length(left) => *left == 0,
            Self::UntilClose => false,
        }
    }

    /// Whether a close now is a proper end.
    pub(super) fn may_close(&self) -> bool {
        self.is_complete() || matches!(self, Self::UntilClose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_same_however_it_is_cut() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: Chunked\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(ResponseHead::parse(&head[..cut]), Ok(None), "cut at {cut}");
        }
        let body = Body::Chunked(Chunked::new());
        assert_eq!(ResponseHead::parse(head), Ok(Some(ResponseHead { status: 200, is_event_stream: true, body, len: head.len() })));
    }

    #[test]
    fn ambiguous_framing_is_malformed() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length:\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert!(ResponseHead::parse(head.as_bytes()).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn a_body_ends_where_its_framing_says() {
        let mut body = Body::Length(3);
        assert_eq!(body.read(b"ab", |_| ()), Ok(()));
        assert!(!body.is_complete() && !body.may_close());
        assert_eq!(body.read(b"c", |_| ()), Ok(()));
        assert!(body.is_complete() && body.may_close());
        assert!(body.read(b"d", |_| ()).is_err());
        assert!(!Body::UntilClose.is_complete() && Body::UntilClose.may_close());
    }
}
