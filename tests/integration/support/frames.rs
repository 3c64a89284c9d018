//! HTTP/2 frames (RFC 9113 section 4) as they are on the wire: written by hand, so that what no library sends can be sent, and read by
//! a tap beside the library that drives a connection, so that it is the wire that is judged and not what the library makes of it.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::{End, within};

/// What a client sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// SETTINGS that tests ask for.
pub(crate) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame that fits").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A SETTINGS frame.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = values.iter().flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A HEADERS frame whose fields are literals without indexing (RFC 7541 section 6.2.2), in their order, however wrong they are.
pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// The fields of a field block, as literals.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            string_length(&mut block, text.len());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// The length of a string that is not Huffman coded (RFC 7541 sections 5.1 and 5.2).
fn string_length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else { return block.push(u8::try_from(length).expect("below 127")) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).expect("seven bits") | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).expect("seven bits"));
}

/// A DATA frame.
pub(crate) fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

/// An RST_STREAM frame.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// A WINDOW_UPDATE frame.
pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// A GOAWAY frame.
pub(crate) fn go_away(last_stream: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[last_stream.to_be_bytes(), code.to_be_bytes()].concat())
}

/// What one peer sent on one stream.
#[derive(Debug, Default, Clone)]
pub(crate) struct StreamSeen {
    /// Field blocks as they were: the head, further 1xx, trailers.
    pub(crate) blocks: Vec<Vec<u8>>,
    /// Bytes of DATA, and in how many frames.
    pub(crate) data: u64,
    pub(crate) frames: u64,
    /// END_STREAM came.
    pub(crate) ended: bool,
    /// So many GOAWAYs came before that.
    pub(crate) told: usize,
    /// The code of its RST_STREAM.
    pub(crate) reset: Option<u32>,
    /// What WINDOW_UPDATEs granted.
    pub(crate) granted: u64,
}

impl StreamSeen {
    /// The status of the first head, if the block begins with one of the static table (RFC 7541 appendix A) or a literal that is not
    /// Huffman coded.
    pub(crate) fn status(&self) -> Option<u16> {
        match *self.blocks.first()?.as_slice() {
            [indexed @ 0x88..=0x8e, ..] => Some([200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)]),
            [0x08 | 0x48, 3, a, b, c, ..] => std::str::from_utf8(&[a, b, c]).ok()?.parse().ok(),
            // The digits of every status code have five or six bits in the Huffman code: three of them take two or three bytes.
            [0x08 | 0x48, 0x82 | 0x83, ref coded @ ..] => digits(coded),
            _ => None,
        }
    }
}

/// Three digits, Huffman coded (RFC 7541 appendix B).
fn digits(coded: &[u8]) -> Option<u16> {
    // Padded with ones, as the code itself is.
    let bits: Vec<u8> = coded.iter().chain([&0xff]).flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let number =
            |length: usize| bits.get(at..at + length).map(|bits| bits.iter().fold(0_u16, |sum, bit| sum * 2 + u16::from(*bit)));
        let (digit, length) = match (number(5)?, number(6)?) {
            (digit @ 0..=2, _) => (digit, 5),
            (_, code @ 0x19..=0x1f) => (code - 0x19 + 3, 6),
            _ => return None,
        };
        (at, value) = (at + length, value * 10 + digit);
    }
    Some(value)
}

/// What one peer sent on a connection so far.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Of the preface, if one is due: how much of it came.
    preface: usize,
    unread: Vec<u8>,
    /// The parts of a field block that is not complete.
    block: Vec<u8>,
    /// Its first SETTINGS.
    pub(crate) settings: Option<Vec<(u16, u32)>>,
    /// Settings of ours that it acknowledged.
    pub(crate) acknowledged: usize,
    pub(crate) streams: BTreeMap<u32, StreamSeen>,
    /// What WINDOW_UPDATEs granted to the connection.
    pub(crate) granted: u64,
    /// Last stream and code of each GOAWAY.
    pub(crate) go_aways: Vec<(u32, u32)>,
    /// Pings that are no answers.
    pub(crate) pings: usize,
    /// What came back in answers to pings.
    pub(crate) pongs: Vec<Vec<u8>>,
    /// How the peer closed the connection.
    pub(crate) closed: Option<End>,
    /// What cannot be HTTP/2.
    pub(crate) problems: Vec<String>,
}

impl Seen {
    /// The value of a setting.
    pub(crate) fn setting(&self, key: u16) -> Option<u32> {
        self.settings.as_ref()?.iter().find(|(have, _)| *have == key).map(|(_, value)| *value)
    }

    fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let preface = self.unread.len().min(PREFACE.len() - self.preface);
        if self.unread[..preface] != PREFACE[self.preface..self.preface + preface] {
            self.problems.push(format!("no preface: {}", super::shown(&self.unread)));
        }
        self.unread.drain(..preface);
        self.preface += preface;
        while let [a, b, c, kind, flags, d, e, f, g, ..] = self.unread[..] {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if self.unread.len() < 9 + length {
                return;
            }
            let payload: Vec<u8> = self.unread.drain(..9 + length).skip(9).collect();
            self.frame(kind, flags, u32::from_be_bytes([d & 0x7f, e, f, g]), &payload);
        }
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) {
        let number =
            |at: usize| payload.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")));
        if payload.len() > 16_384 {
            self.problems.push(format!("a frame of {} bytes, more than was allowed", payload.len()));
        }
        match (kind, id) {
            (SETTINGS, _) if flags & ACK != 0 => self.acknowledged += 1,
            (SETTINGS, _) => {
                let pairs = payload.as_chunks::<6>().0.iter();
                let pairs = pairs.map(|[a, b, c, d, e, f]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f])));
                self.settings.get_or_insert(pairs.collect());
            }
            (PING, _) if flags & ACK != 0 => self.pongs.push(payload.to_vec()),
            (PING, _) => self.pings += 1,
            (GOAWAY, _) => self.go_aways.push((number(0), number(4))),
            (WINDOW_UPDATE, 0) => self.granted += u64::from(number(0)),
            (_, 0) => self.problems.push(format!("a frame of kind {kind} on no stream")),
            _ => self.stream_frame(kind, flags, id, payload, number(0)),
        }
    }

    fn stream_frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8], number: u32) {
        let told = self.go_aways.len();
        let stream = self.streams.entry(id).or_default();
        if matches!(kind, DATA | HEADERS) && (stream.ended || stream.reset.is_some()) {
            self.problems.push(format!("a frame of kind {kind} after the end of stream {id}"));
        }
        let was_over = stream.ended;
        match kind {
            DATA => {
                stream.data += payload.len() as u64;
                stream.frames += 1;
                stream.ended |= flags & END_STREAM != 0;
            }
            HEADERS | CONTINUATION => {
                self.block.extend_from_slice(payload);
                stream.ended |= kind == HEADERS && flags & END_STREAM != 0;
                if flags & END_HEADERS != 0 {
                    stream.blocks.push(std::mem::take(&mut self.block));
                }
            }
            RST_STREAM => {
                // A library may answer what was still on its way with another one: the first counts.
                stream.reset.get_or_insert(number);
            }
            WINDOW_UPDATE => stream.granted += u64::from(number),
            _ => {}
        }
        if !was_over && stream.ended {
            stream.told = told;
        }
    }
}

/// What one peer sends, to be waited for.
#[derive(Debug)]
pub(crate) struct Frames {
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

impl Frames {
    /// Of a peer that sends the preface first, or of one that does not.
    fn new(with_preface: bool) -> Arc<Self> {
        let preface = if with_preface { 0 } else { PREFACE.len() };
        Arc::new(Self { seen: Mutex::new(Seen { preface, ..Seen::default() }), changed: watch::channel(()).0 })
    }

    /// Looks at what came so far.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().expect("nobody panics with it"))
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().expect("nobody panics with it"));
        self.changed.send_replace(());
    }

    /// Waits until `check` has an answer.
    pub(crate) async fn wait_for<T>(&self, what: &str, check: impl FnMut(&Seen) -> Option<T>) -> T {
        within(what, self.wait(check)).await
    }

    /// As [`Self::wait_for`], for as long as it takes.
    pub(crate) async fn wait<T>(&self, mut check: impl FnMut(&Seen) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(value) = self.look(&mut check) {
                return value;
            }
            changed.changed().await.expect("we hold the sender");
        }
    }

    /// What cannot be HTTP/2, from here on forgiven.
    pub(crate) fn take_problems(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("nobody panics with it").problems)
    }

    /// Bytes that came from outside.
    fn take(&self, bytes: &[u8]) {
        self.change(|seen| seen.take(bytes));
    }

    /// The peer is gone.
    fn close(&self, end: End) {
        self.change(|seen| {
            seen.closed.get_or_insert(end);
        });
    }
}

/// A socket whose bytes are recorded on their way from and to whoever drives it.
pub(crate) struct Tap {
    stream: Arc<TcpStream>,
    received: Arc<Frames>,
    /// What the kernel took.
    sent: Arc<Frames>,
}

impl Tap {
    /// Of a server: it receives the preface.
    pub(crate) fn of_server(stream: &Arc<TcpStream>) -> Self {
        Self { stream: Arc::clone(stream), received: Frames::new(true), sent: Frames::new(false) }
    }

    /// Of a client.
    pub(crate) fn of_client(stream: &Arc<TcpStream>) -> Self {
        Self { stream: Arc::clone(stream), received: Frames::new(false), sent: Frames::new(true) }
    }

    /// The same socket once more, for when the first is dropped and its end is still to be seen.
    pub(crate) fn twin(&self) -> Self {
        Self { stream: Arc::clone(&self.stream), received: self.received(), sent: self.sent() }
    }

    /// Says that nothing more will be sent, and reads to the end.
    pub(crate) async fn see_end(mut self) {
        // It may be gone already.
        let _ = socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write);
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(1..) = self.read(&mut buffer).await {}
    }

    /// What came.
    pub(crate) fn received(&self) -> Arc<Frames> {
        Arc::clone(&self.received)
    }

    /// What went out.
    pub(crate) fn sent(&self) -> Arc<Frames> {
        Arc::clone(&self.sent)
    }
}

/// From here on, to be dropped is to reset.
pub(crate) fn reset_when_dropped(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).expect("linger");
}

impl AsyncRead for Tap {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(context))?;
            match self.stream.try_read(into.initialize_unfilled()) {
                Ok(count) => {
                    let from = into.filled().len();
                    into.advance(count);
                    match count {
                        0 => self.received.close(End::Clean),
                        _ => self.received.take(&into.filled()[from..]),
                    }
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.received.close(End::Reset);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => {
                    self.sent.take(&bytes[..*result.as_ref().unwrap_or(&0)]);
                    return Poll::Ready(result);
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(socket2::SockRef::from(&*self.stream).shutdown(std::net::Shutdown::Write))
    }
}
