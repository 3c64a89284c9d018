//! A strict, incremental reader of HTTP/1 bodies (RFC 9112 sections 6 and 7.1). It accepts only what a careful sender writes: a proxy
//! that repairs or bends framing is found out here.

use super::head::Head;

/// Where the reader stands in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
    Complete,
}

impl Body {
    /// The body of a request.
    pub(crate) fn of_request(head: &Head) -> Result<Self, String> {
        Ok(Self::framed(head)?.unwrap_or(Self::Complete))
    }

    /// The body of a response; `to_head`: its request was a HEAD.
    pub(crate) fn of_response(head: &Head, to_head: bool) -> Result<Self, String> {
        let status = head.status();
        if to_head || status < 200 || status == 204 || status == 304 {
            return Ok(Self::Complete);
        }
        Ok(Self::framed(head)?.unwrap_or(Self::UntilClose))
    }

    fn framed(head: &Head) -> Result<Option<Self>, String> {
        match (head.all("transfer-encoding").as_slice(), head.all("content-length").as_slice()) {
            ([], []) => Ok(None),
            ([], ["0"]) => Ok(Some(Self::Complete)),
            ([], [length]) => length.parse().map(|length| Some(Self::Length(length))).map_err(|_| format!("no length: {length}")),
            ([coding], []) if coding.eq_ignore_ascii_case("chunked") => Ok(Some(Self::ChunkSize)),
            _ => Err(format!("more than one framing, or an unknown one: {}", super::shown(&head.raw))),
        }
    }

    /// Moves what belongs to the body from `input` to `out`, without framing.
    pub(crate) fn read(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        let mut at = 0;
        while let Some(used) = self.step(&input[at..], out)? {
            at += used;
        }
        input.drain(..at);
        Ok(())
    }

    /// One step, or `None` when more input is needed (or none is wanted any more).
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Option<usize>, String> {
        let line = |limit: usize| match input.windows(2).take(limit).position(|pair| pair == b"\r\n") {
            Some(end) => Ok(Some(&input[..end])),
            None if input.len() > limit => Err(format!("no line: {}", super::shown(input))),
            None => Ok(None),
        };
        match *self {
            Self::Complete => Ok(None),
            _ if input.is_empty() => Ok(None),
            Self::UntilClose => {
                out.extend_from_slice(input);
                Ok(Some(input.len()))
            }
            Self::Length(left) | Self::ChunkData(left) => {
                let used = input.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                out.extend_from_slice(&input[..used]);
                let left = left - used as u64;
                *self = match (*self, left) {
                    (Self::Length(_), 0) => Self::Complete,
                    (Self::Length(_), _) => Self::Length(left),
                    (_, 0) => Self::ChunkEnd,
                    (_, _) => Self::ChunkData(left),
                };
                Ok(Some(used))
            }
            Self::ChunkSize => {
                let Some(line) = line(16)? else { return Ok(None) };
                let text = std::str::from_utf8(line).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
                let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
                *self = match size {
                    Some(0) => Self::Trailer,
                    Some(size) => Self::ChunkData(size),
                    None => return Err(format!("not a chunk size: {}", super::shown(line))),
                };
                Ok(Some(line.len() + 2))
            }
            Self::ChunkEnd => match input {
                [b'\r', b'\n', ..] => {
                    *self = Self::ChunkSize;
                    Ok(Some(2))
                }
                [b'\r'] => Ok(None),
                _ => Err(format!("a chunk longer than its size: {}", super::shown(input))),
            },
            Self::Trailer => {
                let Some(line) = line(8192)? else { return Ok(None) };
                if line.is_empty() {
                    *self = Self::Complete;
                }
                Ok(Some(line.len() + 2))
            }
        }
    }
}
