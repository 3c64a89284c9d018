//! What a scripted origin does: steps, named by what they do to whoever listens.
//!
//! What a script writes between two waits goes out in one write, so that a test can say what arrives together.

use std::time::Duration;

/// What the origin does for one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(super) steps: Vec<Step>,
}

/// One thing after the other.
#[derive(Debug, Clone)]
pub(super) enum Step {
    AwaitBody,
    Write(Vec<u8>),
    Bytewise(Vec<u8>),
    /// Numbered events of about 1 KiB, each a chunk, so many bytes of body.
    Flood(usize),
    Wait(Duration),
    Gate,
    Hang,
    Close,
    Reset,
    /// The receive side is left alone from here to the next gate that opens.
    StopReading,
    ReadOn,
}

impl Script {
    /// Plays when the whole request has come.
    pub(crate) fn new() -> Self {
        Self { steps: vec![Step::AwaitBody] }
    }

    /// Plays as soon as the request's head has come.
    pub(crate) fn early() -> Self {
        Self::default()
    }

    /// A 200 with `text/event-stream`, chunked.
    pub(crate) fn stream() -> Self {
        Self::new().head("200 OK", "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
    }

    /// A 200 with `text/event-stream` and more fields, chunked.
    pub(crate) fn stream_with(fields: &str) -> Self {
        Self::new().head("200 OK", &format!("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n{fields}"))
    }

    /// A whole ordinary answer.
    pub(crate) fn answer(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        Self::new().head("200 OK", &format!("Content-Type: text/plain\r\nContent-Length: {}\r\n", body.len())).raw(body)
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A response head; `fields` is whole lines.
    pub(crate) fn head(self, status: &str, fields: &str) -> Self {
        self.raw(format!("HTTP/1.1 {status}\r\n{fields}\r\n"))
    }

    /// Bytes as they are.
    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        match self.steps.last_mut() {
            Some(Step::Write(pending)) => pending.extend_from_slice(bytes.as_ref()),
            _ => self.steps.push(Step::Write(bytes.as_ref().to_vec())),
        }
        self
    }

    /// One chunk.
    pub(crate) fn chunk(self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self.raw(format!("{:x}\r\n", bytes.len())).raw(bytes).raw("\r\n")
    }

    /// One event, in a chunk of its own.
    pub(crate) fn event(self, data: &str) -> Self {
        self.chunk(format!("data: {data}\n\n"))
    }

    /// The final chunk.
    pub(crate) fn end(self) -> Self {
        self.raw("0\r\n\r\n")
    }

    /// Bytes as they are, each in a write of its own.
    pub(crate) fn one_byte_at_a_time(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Bytewise(bytes.as_ref().to_vec()))
    }

    /// [`flood`] of at least so many bytes, chunked.
    pub(crate) fn flood(self, bytes: usize) -> Self {
        self.step(Step::Flood(bytes))
    }

    /// Says nothing for so long.
    pub(crate) fn silence(self, time: Duration) -> Self {
        self.step(Step::Wait(time))
    }

    /// Says nothing until the test opens the gate once more.
    pub(crate) fn gate(self) -> Self {
        self.step(Step::Gate)
    }

    /// Waits for the whole body of the request.
    pub(crate) fn await_body(self) -> Self {
        self.step(Step::AwaitBody)
    }

    /// Stays open, silent, until the proxy closes.
    pub(crate) fn hang(self) -> Self {
        self.step(Step::Hang)
    }

    /// Closes (FIN).
    pub(crate) fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Resets (RST).
    pub(crate) fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Reads no more of the request.
    pub(crate) fn stop_reading(self) -> Self {
        self.step(Step::StopReading)
    }

    /// Reads on.
    pub(crate) fn read_on(self) -> Self {
        self.step(Step::ReadOn)
    }
}

/// The events of a flood of at least `bytes`: numbered, so that a loss or a double shows.
pub(crate) fn flood(bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    let count = bytes.div_ceil(1024);
    (0..count).map(|number| format!("data: {number:08} {}\n\n", "x".repeat(1024 - 17)).into_bytes())
}
