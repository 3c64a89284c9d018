//! An HTTP/2 client with prior knowledge (RFC 9113 section 3.3). The `h2` crate drives the connection; what the proxy really sent is
//! read beside it, by [`super::frames`]. Requests are written as HTTP/1 text, so that a test can send the same one over both.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::frames::{Frames, Seen, Tap, reset_when_dropped};
use super::head::Head;
use super::{End, shown, within};

/// How a stream ended for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// END_STREAM.
    Clean,
    /// RST_STREAM.
    Reset(Reason),
    /// Its connection was lost.
    Lost,
}

impl StreamEnd {
    fn of(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::Reset(reason),
            _ => Self::Lost,
        }
    }
}

/// What a client grants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) stream: u32,
    pub(crate) connection: u32,
}

/// So much that no test runs into it.
pub(crate) const WIDE: Windows = Windows { stream: 1 << 20, connection: 64 << 20 };

/// A response head.
#[derive(Debug, Clone)]
pub(crate) struct Http2Head {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
}

impl Http2Head {
    /// The values of one field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// The value of a field that stands at most once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {self:?}", all.len());
        all.first().copied()
    }
}

/// One connection.
pub(crate) struct Http2Client {
    requests: SendRequest<Bytes>,
    pings: PingPong,
    frames: Arc<Frames>,
    sent: Arc<Frames>,
    socket: Arc<TcpStream>,
    driver: JoinHandle<()>,
}

impl Http2Client {
    /// Connects with wide windows.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, WIDE).await
    }

    /// Connects.
    pub(crate) async fn connect_with(address: SocketAddr, windows: Windows) -> Self {
        let stream = Arc::new(within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts"));
        stream.set_nodelay(true).expect("nodelay");
        let tap = Tap::of_client(&stream);
        let (frames, sent, twin) = (tap.received(), tap.sent(), tap.twin());
        let mut builder = Builder::new();
        builder.initial_window_size(windows.stream).initial_connection_window_size(windows.connection).enable_push(false);
        // Until the proxy has spoken nobody knows how many it wants: as many as it likes.
        builder.initial_max_send_streams(1_000_000).data_frame_budget(1 << 30);
        let (requests, mut connection) = within("the handshake", builder.handshake(tap)).await.expect("HTTP/2");
        let pings = connection.ping_pong().expect("the first to ask");
        let socket = stream;
        let driver = tokio::spawn(async move {
            // How it ended is read off the wire, also when the library is through with it.
            let _ = connection.await;
            twin.see_end().await;
        });
        Self { requests, pings, frames, sent, socket, driver }
    }

    /// Connects, sends a request and reads the head of its response.
    pub(crate) async fn open(address: SocketAddr, request: impl AsRef<[u8]>) -> (Self, Http2Stream, Http2Head) {
        let mut client = Self::connect(address).await;
        let (stream, head) = client.get(request).await;
        (client, stream, head)
    }

    /// Sends a whole request on a stream of its own and reads the head of its response.
    pub(crate) async fn get(&mut self, request: impl AsRef<[u8]>) -> (Http2Stream, Http2Head) {
        let mut stream = self.send(request).await;
        let head = stream.head().await;
        (stream, head)
    }

    /// Sends a whole request on a stream of its own.
    pub(crate) async fn send(&mut self, request: impl AsRef<[u8]>) -> Http2Stream {
        let (request, body) = parse(request.as_ref());
        let mut stream = self.start(request, body.is_empty()).await.expect("the connection takes streams");
        if !body.is_empty() {
            stream.upload(body).await;
            stream.finish();
        }
        stream
    }

    /// Sends the head of a request, whose body, if any in the text, is sent too, and not ended.
    pub(crate) async fn begin(&mut self, request: impl AsRef<[u8]>) -> Http2Stream {
        let (request, body) = parse(request.as_ref());
        let mut stream = self.start(request, false).await.expect("the connection takes streams");
        stream.upload(body).await;
        stream
    }

    /// Sends the head of a request, or says why it cannot.
    pub(crate) async fn start(&mut self, request: Request<()>, whole: bool) -> Result<Http2Stream, StreamEnd> {
        let ready = within("room for a stream", poll_fn(|context| self.requests.poll_ready(context))).await;
        let sent = ready.and_then(|()| self.requests.send_request(request, whole));
        let (response, upload) = sent.map_err(|error| StreamEnd::of(&error))?;
        let (id, upload, frames) = (upload.stream_id().as_u32(), Some(upload), Arc::clone(&self.frames));
        Ok(Http2Stream { id, response, upload, download: None, body: Vec::new(), end: None, withheld: None, frames })
    }

    /// What the proxy sent, as frames.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// What we sent, as far as the kernel took it.
    pub(crate) fn sent(&self) -> Arc<Frames> {
        Arc::clone(&self.sent)
    }

    /// Waits for its first SETTINGS and for what it grants to the connection then.
    pub(crate) async fn settings<T>(&self, read: impl Fn(&Seen) -> Option<T>) -> T {
        self.frames.wait_for("the settings of the proxy", read).await
    }

    /// One ping, and its answer.
    pub(crate) async fn ping(&mut self) {
        within("the answer to a ping", self.pings.ping(Ping::opaque())).await.expect("the connection lives");
    }

    /// Waits for a GOAWAY that names a stream, and gives its code.
    pub(crate) async fn go_away(&self) -> u32 {
        self.frames.wait_for("a GOAWAY", |seen| seen.go_aways.last().map(|(_, code)| *code)).await
    }

    /// How the proxy closed the connection, once it did.
    pub(crate) async fn closed(&self) -> End {
        self.frames.wait_for("the end of the connection", |seen| seen.closed).await
    }

    /// Closes with a reset.
    pub(crate) async fn reset(self) {
        reset_when_dropped(&self.socket);
        self.driver.abort();
    }
}

impl Drop for Http2Client {
    fn drop(&mut self) {
        self.driver.abort();
        let problems = self.frames.look(|seen| seen.problems.clone());
        if std::thread::panicking() {
            eprintln!(
                "--- problems at an HTTP/2 client: {problems:?}, GOAWAYs {:?}",
                self.frames.look(|seen| seen.go_aways.clone())
            );
        } else {
            assert!(problems.is_empty(), "the proxy sent {problems:?}");
        }
    }
}

/// One stream.
pub(crate) struct Http2Stream {
    id: u32,
    response: ResponseFuture,
    /// Taken out while a duplex runs.
    upload: Option<SendStream<Bytes>>,
    download: Option<RecvStream>,
    body: Vec<u8>,
    end: Option<StreamEnd>,
    /// Bytes that were read and not granted anew, if the window is held back.
    withheld: Option<usize>,
    frames: Arc<Frames>,
}

impl Http2Stream {
    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The head of the final response.
    pub(crate) async fn head(&mut self) -> Http2Head {
        self.head_or_end().await.unwrap_or_else(|end| panic!("no response head, but {end:?}"))
    }

    /// The head of the final response, or what came instead.
    pub(crate) async fn head_or_end(&mut self) -> Result<Http2Head, StreamEnd> {
        let response = within("a response head", &mut self.response).await.map_err(|error| StreamEnd::of(&error))?;
        let (head, download) = response.into_parts();
        self.download = Some(download);
        Ok(Http2Head { status: head.status.as_u16(), fields: head.headers })
    }

    /// The next 1xx head.
    pub(crate) async fn interim(&mut self) -> u16 {
        let head = within("an interim response", poll_fn(|context| self.response.poll_informational(context))).await;
        head.expect("one before the final response").expect("a stream that lives").status().as_u16()
    }

    /// From here on what is read is not granted anew: what the window holds is all that comes.
    pub(crate) fn hold_window(&mut self) {
        self.withheld = Some(0);
    }

    /// Grants what was held back, and all that follows.
    pub(crate) fn release_window(&mut self) {
        let (held, download) = (self.withheld.take(), self.download.as_mut());
        if let (Some(held @ 1..), Some(download)) = (held, download) {
            // A stream that has ended needs no window.
            let _ = download.flow_control().release_capacity(held);
        }
    }

    /// Sends bytes, as the windows allow.
    pub(crate) async fn upload(&mut self, bytes: impl Into<Bytes>) {
        within("bytes to be taken by the proxy", self.try_upload(bytes)).await.expect("the proxy takes them");
    }

    /// Sends bytes for as long as the proxy takes them.
    pub(crate) async fn try_upload(&mut self, bytes: impl Into<Bytes>) -> Result<(), StreamEnd> {
        send(self.sender(), bytes.into(), |_| ()).await
    }

    fn sender(&mut self) -> &mut SendStream<Bytes> {
        self.upload.as_mut().expect("no duplex runs")
    }

    /// Sends the rest of the request while it reads the response: its head, its body, and how that ended.
    pub(crate) async fn duplex(&mut self, bytes: impl Into<Bytes>) -> (Http2Head, Vec<u8>, StreamEnd) {
        let mut upload = self.upload.take().expect("no other duplex runs");
        let up = async {
            within("all of the upload to be taken", send(&mut upload, bytes.into(), |_| ())).await.expect("the proxy takes it");
            upload.send_data(Bytes::new(), true).expect("the proxy takes the end");
        };
        let down = async {
            let head = self.head().await;
            let (body, end) = self.rest_of_body().await;
            (head, body, end)
        };
        let ((), down) = tokio::join!(up, down);
        self.upload = Some(upload);
        down
    }

    /// Ends the request.
    pub(crate) fn finish(&mut self) {
        self.sender().send_data(Bytes::new(), true).expect("the proxy takes the end");
    }

    /// Ends the request with trailers.
    pub(crate) fn finish_with(&mut self, trailers: &[(&str, &str)]) {
        self.sender().send_trailers(field_map(trailers)).expect("the proxy takes the trailers");
    }

    /// Sends RST_STREAM.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.sender().send_reset(reason);
    }

    /// Waits until exactly `bytes` came next in the body; fails at the first byte that differs.
    pub(crate) async fn expects(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        let what = format!("{:?}", shown(want));
        within(&what, async {
            while self.body.len() < want.len() && self.end.is_none() {
                self.assert_agrees(want);
                self.advance().await;
            }
        })
        .await;
        self.assert_agrees(want);
        assert!(self.body.len() >= want.len(), "expected {what}, got {:?} and the end {:?}", shown(&self.body), self.end);
        self.body.drain(..want.len());
    }

    /// As [`Self::expects`], after any number of `beat`, which must not begin like `bytes`.
    pub(crate) async fn expects_after(&mut self, beat: impl AsRef<[u8]>, bytes: impl AsRef<[u8]>) {
        let beat = beat.as_ref();
        loop {
            within("the next byte", async {
                while self.body.is_empty() && self.end.is_none() {
                    self.advance().await;
                }
            })
            .await;
            if self.body.first() != beat.first() {
                return self.expects(bytes).await;
            }
            self.expects(beat).await;
        }
    }

    fn assert_agrees(&self, want: &[u8]) {
        let same = self.body.len().min(want.len());
        assert!(self.body[..same] == want[..same], "expected {:?}, got {:?}", shown(want), shown(&self.body));
    }

    /// Reads until nothing more can come: the body so far, which ends with the stream or with its window.
    pub(crate) async fn takes(&mut self, length: usize) -> Vec<u8> {
        within("the next bytes", async {
            while self.body.len() < length && self.end.is_none() {
                self.advance().await;
            }
        })
        .await;
        assert!(self.body.len() >= length, "got {:?} and the end {:?}", shown(&self.body), self.end);
        self.body.drain(..length).collect()
    }

    /// The rest of the body, and how it ended.
    pub(crate) async fn rest_of_body(&mut self) -> (Vec<u8>, StreamEnd) {
        let end = within("the end of the body", async {
            loop {
                if let Some(end) = self.end {
                    return end;
                }
                self.advance().await;
            }
        })
        .await;
        self.assert_the_wire_says(end);
        (std::mem::take(&mut self.body), end)
    }

    /// The rest of the body, which must be `bytes` and end `end`.
    pub(crate) async fn ends_with(&mut self, bytes: impl AsRef<[u8]>, end: StreamEnd) {
        let want = bytes.as_ref();
        let (have, how) = self.rest_of_body().await;
        assert!(have == want && how == end, "expected {:?} and {end:?}, got {:?} and {how:?}", shown(want), shown(&have));
    }

    /// The library and the wire must agree on the end.
    fn assert_the_wire_says(&self, end: StreamEnd) {
        let seen = self.frames.look(|seen| seen.streams.get(&self.id()).cloned()).unwrap_or_default();
        match end {
            StreamEnd::Clean => assert!(seen.ended, "no END_STREAM was sent: {seen:?}"),
            StreamEnd::Reset(reason) => {
                assert_eq!((seen.reset, seen.ended), (Some(u32::from(reason)), false), "{seen:?}");
            }
            StreamEnd::Lost => assert!(!seen.ended && seen.reset.is_none(), "{seen:?}"),
        }
    }

    /// The trailers, after the rest of the body, which must be empty.
    pub(crate) async fn trailers(&mut self) -> HeaderMap {
        self.ends_with("", StreamEnd::Clean).await;
        let download = self.download.as_mut().expect("a head came");
        within("the trailers", download.trailers()).await.expect("a stream that lives").unwrap_or_default()
    }

    /// The code of the RST_STREAM that the proxy sent.
    pub(crate) async fn was_reset(&self) -> Reason {
        let id = self.id();
        let what = format!("RST_STREAM on stream {id}");
        self.frames.wait_for(&what, |seen| seen.streams.get(&id)?.reset).await.into()
    }

    async fn advance(&mut self) {
        let download = self.download.as_mut().expect("the head is read first");
        match download.data().await {
            Some(Ok(bytes)) => {
                match &mut self.withheld {
                    Some(withheld) => *withheld += bytes.len(),
                    None => {
                        // A stream that has ended needs no window.
                        let _ = download.flow_control().release_capacity(bytes.len());
                    }
                }
                self.body.extend_from_slice(&bytes);
            }
            Some(Err(error)) => self.end = Some(StreamEnd::of(&error)),
            None => self.end = Some(StreamEnd::Clean),
        }
    }
}

/// Sends bytes as the windows allow; `sent` hears of each part.
pub(super) async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, mut sent: impl FnMut(usize)) -> Result<(), StreamEnd> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(Ok(room)) => room.min(bytes.len()),
            Some(Err(error)) => return Err(StreamEnd::of(&error)),
            None => return Err(StreamEnd::Lost),
        };
        sent(room);
        stream.send_data(bytes.split_to(room), false).map_err(|error| StreamEnd::of(&error))?;
    }
    Ok(())
}

/// Fields as the library wants them.
pub(super) fn field_map(fields: &[(impl AsRef<str>, impl AsRef<str>)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.as_ref().parse().expect("a field name");
        map.append(name, HeaderValue::from_str(value.as_ref()).expect("a field value"));
    }
    map
}

/// A request written as HTTP/1 text: `Host` becomes the authority, and what is for one connection is left out.
pub(crate) fn parse(text: &[u8]) -> (Request<()>, Vec<u8>) {
    let mut body = text.to_vec();
    let head = Head::take(&mut body).expect("a head").expect("a whole head");
    let mut parts = head.start().split(' ');
    let (method, target) = (parts.next().expect("a method"), parts.next().expect("a target"));
    let uri = format!("http://{}{target}", head.get("host").expect("a host"));
    let mut request = Request::builder().method(method).uri(uri).body(()).expect("a request");
    let lines = std::str::from_utf8(&head.raw).expect("text").split("\r\n").skip(1);
    let fields: Vec<(String, &str)> =
        lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
    let kept = |name: &str| !matches!(name, "host" | "connection" | "transfer-encoding");
    *request.headers_mut() = field_map(&fields.into_iter().filter(|(name, _)| kept(name)).collect::<Vec<_>>());
    (request, body)
}
