//! What a scripted HTTP/2 origin does for one request; the same, as far as it can be said there, for an HTTP/1.1 origin.

use std::time::Duration;

use h2::Reason;

use super::Script;

/// What the origin does for one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Http2Script {
    pub(super) steps: Vec<Http2Step>,
}

/// One thing after the other.
#[derive(Debug, Clone)]
pub(super) enum Http2Step {
    AwaitBody,
    /// A 1xx response.
    Interim(u16),
    /// Status, fields, and whether the response ends with it.
    Head(u16, Vec<(String, String)>, bool),
    /// DATA.
    Data(Vec<u8>),
    /// [`super::script::flood`] of so many bytes.
    Flood(usize),
    /// An empty DATA frame with END_STREAM.
    End,
    Trailers(Vec<(String, String)>),
    Reset(Reason),
    /// The connection: no new streams, old ones run on.
    GoAway,
    /// The connection: FIN, whatever is open.
    Close,
    /// The connection: RST.
    Cut,
    Wait(Duration),
    Gate,
    Hang,
    /// What the request's body brings goes back as it comes, to its end.
    Echo,
    StopReading,
    ReadOn,
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Http2Script {
    /// Plays when the whole request has come.
    pub(crate) fn new() -> Self {
        Self { steps: vec![Http2Step::AwaitBody] }
    }

    /// Plays as soon as the request's head has come.
    pub(crate) fn early() -> Self {
        Self::default()
    }

    /// A 200 with `text/event-stream`.
    pub(crate) fn stream() -> Self {
        Self::new().head(200, &[("content-type", "text/event-stream")])
    }

    /// A whole ordinary answer.
    pub(crate) fn answer(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len().to_string();
        Self::new().head(200, &[("content-type", "text/plain"), ("content-length", &length)]).data(body).end()
    }

    fn step(mut self, step: Http2Step) -> Self {
        self.steps.push(step);
        self
    }

    /// A 1xx response.
    pub(crate) fn interim(self, status: u16) -> Self {
        self.step(Http2Step::Interim(status))
    }

    /// A response head.
    pub(crate) fn head(self, status: u16, fields: &[(&str, &str)]) -> Self {
        self.step(Http2Step::Head(status, owned(fields), false))
    }

    /// A response that is nothing but a head.
    pub(crate) fn only_head(self, status: u16, fields: &[(&str, &str)]) -> Self {
        self.step(Http2Step::Head(status, owned(fields), true))
    }

    /// Bytes of the body.
    pub(crate) fn data(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Http2Step::Data(bytes.as_ref().to_vec()))
    }

    /// One event.
    pub(crate) fn event(self, data: &str) -> Self {
        self.data(format!("data: {data}\n\n"))
    }

    /// A flood of at least so many bytes.
    pub(crate) fn flood(self, bytes: usize) -> Self {
        self.step(Http2Step::Flood(bytes))
    }

    /// END_STREAM.
    pub(crate) fn end(self) -> Self {
        self.step(Http2Step::End)
    }

    /// Trailers, which end the stream.
    pub(crate) fn trailers(self, fields: &[(&str, &str)]) -> Self {
        self.step(Http2Step::Trailers(owned(fields)))
    }

    /// RST_STREAM.
    pub(crate) fn reset(self, reason: Reason) -> Self {
        self.step(Http2Step::Reset(reason))
    }

    /// GOAWAY: no new streams, old ones run on.
    pub(crate) fn go_away(self) -> Self {
        self.step(Http2Step::GoAway)
    }

    /// Closes the connection (FIN).
    pub(crate) fn close(self) -> Self {
        self.step(Http2Step::Close)
    }

    /// Resets the connection (RST).
    pub(crate) fn cut(self) -> Self {
        self.step(Http2Step::Cut)
    }

    /// Says nothing for so long.
    pub(crate) fn silence(self, time: Duration) -> Self {
        self.step(Http2Step::Wait(time))
    }

    /// Says nothing until the test opens the gate once more.
    pub(crate) fn gate(self) -> Self {
        self.step(Http2Step::Gate)
    }

    /// Stays open, silent, until the proxy ends the stream.
    pub(crate) fn hang(self) -> Self {
        self.step(Http2Step::Hang)
    }

    /// Waits for the whole body of the request.
    pub(crate) fn await_body(self) -> Self {
        self.step(Http2Step::AwaitBody)
    }

    /// Sends the body of the request back as it comes, to its end.
    pub(crate) fn echo(self) -> Self {
        self.step(Http2Step::Echo)
    }

    /// Reads no more of the request: its window is not granted anew.
    pub(crate) fn stop_reading(self) -> Self {
        self.step(Http2Step::StopReading)
    }

    /// Reads on.
    pub(crate) fn read_on(self) -> Self {
        self.step(Http2Step::ReadOn)
    }

    /// The same over HTTP/1.1, where what is lost is a body without its end.
    pub(crate) fn as_http1(&self) -> Script {
        let mut chunked = true;
        self.steps.iter().fold(Script::early(), |script, step| match step {
            Http2Step::AwaitBody => script.await_body(),
            Http2Step::Interim(status) => script.head(&format!("{status} Interim"), ""),
            Http2Step::Head(status, fields, last) => {
                chunked = !last && fields.iter().all(|(name, _)| name != "content-length");
                let mut lines: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                if chunked {
                    lines.push_str("Transfer-Encoding: chunked\r\n");
                }
                script.head(&format!("{status} Status"), &lines)
            }
            Http2Step::Data(bytes) if chunked => script.chunk(bytes),
            Http2Step::Data(bytes) => script.raw(bytes),
            Http2Step::Flood(bytes) => script.flood(*bytes),
            Http2Step::End if chunked => script.end(),
            Http2Step::End => script,
            Http2Step::Reset(_) | Http2Step::Close => script.close(),
            Http2Step::Cut => script.reset(),
            Http2Step::Wait(time) => script.silence(*time),
            Http2Step::Gate => script.gate(),
            Http2Step::Hang => script.hang(),
            Http2Step::StopReading => script.stop_reading(),
            Http2Step::ReadOn => script.read_on(),
            Http2Step::Trailers(_) | Http2Step::GoAway | Http2Step::Echo => panic!("not over HTTP/1.1: {step:?}"),
        })
    }
}
