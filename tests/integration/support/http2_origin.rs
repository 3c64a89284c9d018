//! The server behind the proxy, on HTTP/2 with prior knowledge: scripted, and as bad as the script wants. It records what it received,
//! what it was granted and what was reset.
//!
//! One [`Http2Script`] for each request, in order of arrival; the last one serves all that follow.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::frames::{Frames, StreamSeen, Tap, reset_when_dropped, settings};
use super::http2_client::{Http2Head, field_map, send};
use super::http2_script::{Http2Script, Http2Step};
use super::script::flood;
use super::{End, within};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Http2Request {
    pub(crate) method: String,
    pub(crate) scheme: String,
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) fields: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// All of it came.
    pub(crate) complete: bool,
    pub(crate) trailers: Option<HeaderMap>,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
    /// Its number on that connection.
    pub(crate) stream: u32,
}

impl Http2Request {
    /// The values of one field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// The value of a field that stands at most once.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        Http2Head { status: 0, fields: self.fields.clone() }.get(name).map(str::to_owned)
    }

    /// The names of the fields in their order.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.fields.keys().map(http::HeaderName::as_str).collect()
    }
}

/// What an origin grants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grants {
    pub(crate) streams: u32,
    pub(crate) stream_window: u32,
    pub(crate) connection_window: u32,
    /// So many connections are answered with these frames at their first HEADERS, and then closed; the others by the scripts.
    pub(crate) refused: (usize, &'static [u8]),
}

impl Default for Grants {
    fn default() -> Self {
        Self { streams: 1000, stream_window: 1 << 20, connection_window: 64 << 20, refused: (0, &[]) }
    }
}

struct Shared {
    scripts: Vec<Http2Script>,
    grants: Grants,
    requests: Mutex<Vec<Http2Request>>,
    /// What the proxy sent on each connection.
    connections: Mutex<Vec<Arc<Frames>>>,
    changed: watch::Sender<()>,
    gate: Semaphore,
    written: AtomicU64,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut Vec<Http2Request>) -> T) -> T {
        let result = change(&mut self.requests.lock().expect("nobody panics with it"));
        self.changed.send_replace(());
        result
    }

    async fn wait_for<T>(&self, mut check: impl FnMut(&[Http2Request]) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(value) = check(&self.requests.lock().expect("nobody panics with it")) {
                return value;
            }
            changed.changed().await.expect("we hold the sender");
        }
    }
}

/// A scripted server on a port of its own.
pub(crate) struct Http2Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Http2Origin {
    /// The same script for every request.
    pub(crate) async fn start(script: Http2Script) -> Self {
        Self::start_each([script]).await
    }

    /// A script for each request; the last one serves all that follow.
    pub(crate) async fn start_each(scripts: impl IntoIterator<Item = Http2Script>) -> Self {
        Self::start_with(Grants::default(), scripts).await
    }

    /// With settings of its own.
    pub(crate) async fn start_with(grants: Grants, scripts: impl IntoIterator<Item = Http2Script>) -> Self {
        let scripts: Vec<Http2Script> = scripts.into_iter().collect();
        assert!(!scripts.is_empty(), "an origin needs a script");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            scripts,
            grants,
            requests: Mutex::default(),
            connections: Mutex::default(),
            changed: watch::channel(()).0,
            gate: Semaphore::new(0),
            written: AtomicU64::new(0),
        });
        let acceptor = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, acceptor }
    }

    /// `host:port`, for the configuration.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets one script go on that waits at its gate.
    pub(crate) fn open_gate(&self) {
        self.shared.gate.add_permits(1);
    }

    /// Bytes of bodies that the proxy's windows let us send so far.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many connections came so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.lock().expect("nobody panics with it").len()
    }

    /// How many requests came so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.lock().expect("nobody panics with it").len()
    }

    /// What the proxy sent on a connection, which has come.
    pub(crate) fn frames(&self, connection: usize) -> Arc<Frames> {
        Arc::clone(&self.shared.connections.lock().expect("nobody panics with it")[connection])
    }

    /// The request with this number, once its head has come; its body may not be there yet.
    pub(crate) async fn request_head(&self, number: usize) -> Http2Request {
        let what = format!("request {number} at the origin");
        within(&what, self.shared.wait_for(|requests| requests.get(number).cloned())).await
    }

    /// The request with this number, once all of it has come.
    pub(crate) async fn request(&self, number: usize) -> Http2Request {
        let what = format!("all of request {number} at the origin");
        let wait = self.shared.wait_for(|requests| requests.get(number).filter(|request| request.complete).cloned());
        within(&what, wait).await
    }

    /// The code with which the proxy reset the stream of this request, once it did.
    pub(crate) async fn reset(&self, number: usize) -> Reason {
        let request = self.request_head(number).await;
        let what = format!("RST_STREAM on the stream of request {number}");
        let reset = self.frames(request.connection).wait_for(&what, |seen| seen.streams.get(&request.stream)?.reset).await;
        reset.into()
    }

    /// What the proxy sent on the stream of this request so far.
    pub(crate) async fn stream(&self, number: usize) -> StreamSeen {
        let request = self.request_head(number).await;
        self.frames(request.connection).look(|seen| seen.streams.get(&request.stream).cloned()).expect("its HEADERS came")
    }

    /// How the proxy closed this connection, once it did.
    pub(crate) async fn closed(&self, connection: usize) -> End {
        let what = format!("the proxy to close connection {connection} to the origin");
        self.frames(connection).wait_for(&what, |seen| seen.closed).await
    }
}

impl Drop for Http2Origin {
    fn drop(&mut self) {
        self.acceptor.abort();
        let connections = self.shared.connections.lock().expect("nobody panics with it");
        let problems: Vec<String> = connections.iter().flat_map(|frames| frames.look(|seen| seen.problems.clone())).collect();
        if std::thread::panicking() {
            eprintln!("--- problems at the HTTP/2 origin: {problems:?}");
        } else {
            assert!(problems.is_empty(), "the proxy sent {problems:?}");
        }
    }
}

/// What a script asks of its whole connection.
enum Command {
    GoAway,
    Close,
    Cut,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("nodelay");
        let stream = Arc::new(stream);
        let tap = Tap::of_server(&stream);
        let number = {
            let mut known = shared.connections.lock().expect("nobody panics with it");
            known.push(tap.received());
            known.len() - 1
        };
        match number < shared.grants.refused.0 {
            true => connections.spawn(refuse(tap, shared.grants.refused.1)),
            false => connections.spawn(serve(stream, tap, number, Arc::clone(&shared))),
        };
    }
}

/// Answers the first HEADERS with `answer`, and closes once the proxy has.
async fn refuse(mut tap: Tap, answer: &'static [u8]) {
    let frames = tap.received();
    let (mut answered, mut buffer) = (false, [0; 4096]);
    // As far as it is still there.
    let _ = tap.write_all(&settings(&[])).await;
    while let Ok(1..) = tokio::io::AsyncReadExt::read(&mut tap, &mut buffer).await {
        if !answered && frames.look(|seen| seen.streams.values().any(|stream| !stream.blocks.is_empty())) {
            answered = true;
            let _ = tap.write_all(answer).await;
        }
    }
}

async fn serve(stream: Arc<TcpStream>, tap: Tap, number: usize, shared: Arc<Shared>) {
    let (received, sent, twin) = (tap.received(), tap.sent(), tap.twin());
    let grants = shared.grants;
    let mut builder = Builder::new();
    builder.max_concurrent_streams(grants.streams).initial_window_size(grants.stream_window).data_frame_budget(1 << 30);
    builder.initial_connection_window_size(grants.connection_window);
    // What is wrong with the preface is in the frames.
    let Ok(mut connection) = builder.handshake::<_, Bytes>(tap).await else { return twin.see_end().await };
    let (commands, mut commanded) = mpsc::unbounded_channel();
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let stream = Stream {
                        index: record(&shared, number, &request, respond.stream_id().as_u32()),
                        id: respond.stream_id().as_u32(),
                        shared: Arc::clone(&shared),
                        received: Arc::clone(&received),
                        sent: Arc::clone(&sent),
                        commands: commands.clone(),
                        reading: watch::channel(true).0,
                    };
                    streams.spawn(stream.serve(request.into_body(), respond));
                }
                Some(Err(_)) | None => break,
            },
            Some(command) = commanded.recv() => match command {
                Command::GoAway => connection.graceful_shutdown(),
                Command::Close => return,
                Command::Cut => return reset_when_dropped(&stream),
            },
        }
    }
    drop(connection);
    twin.see_end().await;
}

/// Keeps a request, and gives its number.
fn record(shared: &Shared, connection: usize, request: &Request<RecvStream>, stream: u32) -> usize {
    let uri = request.uri();
    let request = Http2Request {
        method: request.method().to_string(),
        scheme: uri.scheme_str().unwrap_or_default().to_owned(),
        authority: uri.authority().map(ToString::to_string).unwrap_or_default(),
        path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        fields: request.headers().clone(),
        body: Vec::new(),
        complete: false,
        trailers: None,
        connection,
        stream,
    };
    shared.change(|requests| {
        requests.push(request);
        requests.len() - 1
    })
}

/// One stream of one connection.
struct Stream {
    /// The number of its request.
    index: usize,
    id: u32,
    shared: Arc<Shared>,
    received: Arc<Frames>,
    sent: Arc<Frames>,
    commands: mpsc::UnboundedSender<Command>,
    reading: watch::Sender<bool>,
}

/// The stream is finished, or its connection is.
struct Over;

impl Stream {
    async fn serve(self, body: RecvStream, respond: SendResponse<Bytes>) {
        let script = &self.shared.scripts[self.index.min(self.shared.scripts.len() - 1)];
        let (read, play) = (self.read(body), self.play(script, respond));
        tokio::pin!(read, play);
        tokio::select! {
            _ = &mut play => {}
            () = &mut read => drop(play.await),
        }
    }

    /// Reads the request to its end, whatever the script does meanwhile.
    async fn read(&self, mut body: RecvStream) {
        let mut reading = self.reading.subscribe();
        while reading.wait_for(|reading| *reading).await.is_ok() {
            match body.data().await {
                Some(Ok(bytes)) => {
                    // A stream that has ended needs no window.
                    let _ = body.flow_control().release_capacity(bytes.len());
                    self.shared.change(|requests| requests[self.index].body.extend_from_slice(&bytes));
                }
                Some(Err(_)) => return,
                None => break,
            }
        }
        let trailers = body.trailers().await.ok().flatten();
        self.shared.change(|requests| {
            requests[self.index].trailers = trailers;
            requests[self.index].complete = true;
        });
    }

    async fn play(&self, script: &Http2Script, mut respond: SendResponse<Bytes>) -> Result<(), Over> {
        let (mut sender, mut sent, mut ended) = (None, 0, false);
        for step in &script.steps {
            match step {
                Http2Step::AwaitBody => {
                    self.unless_over(self.shared.wait_for(|requests| requests[self.index].complete.then_some(()))).await?
                }
                Http2Step::Interim(status) => {
                    let response = Response::builder().status(*status).body(()).expect("a head");
                    respond.send_informational(response).map_err(|_| Over)?;
                }
                Http2Step::Head(status, fields, last) => {
                    let mut response = Response::builder().status(*status).body(()).expect("a head");
                    *response.headers_mut() = field_map(fields);
                    sender = Some(respond.send_response(response, *last).map_err(|_| Over)?);
                }
                Http2Step::Data(bytes) => sent += self.send(&mut sender, Bytes::copy_from_slice(bytes)).await?,
                Http2Step::Flood(total) => {
                    // Many at a time: one frame for each would cost the test more than the proxy.
                    let mut events = flood(*total).peekable();
                    while events.peek().is_some() {
                        let piece: Vec<u8> = events.by_ref().take(64).flatten().collect();
                        sent += self.send(&mut sender, piece.into()).await?;
                    }
                }
                Http2Step::Echo => sent += self.echo(&mut sender).await?,
                Http2Step::End => {
                    stream(&mut sender).send_data(Bytes::new(), true).map_err(|_| Over)?;
                    ended = true;
                }
                Http2Step::Trailers(fields) => stream(&mut sender).send_trailers(field_map(fields)).map_err(|_| Over)?,
                Http2Step::Reset(reason) => {
                    self.flushed(sender.is_some(), sent, ended).await?;
                    respond.send_reset(*reason);
                }
                Http2Step::GoAway => self.command(Command::GoAway)?,
                Http2Step::Close | Http2Step::Cut => {
                    self.flushed(sender.is_some(), sent, ended).await?;
                    self.command(if matches!(step, Http2Step::Close) { Command::Close } else { Command::Cut })?;
                    self.unless_over(std::future::pending()).await?;
                }
                Http2Step::Wait(time) => self.unless_over(tokio::time::sleep(*time)).await?,
                Http2Step::Gate => {
                    self.unless_over(async { self.shared.gate.acquire().await.expect("never closed").forget() }).await?
                }
                Http2Step::Hang => self.unless_over(std::future::pending()).await?,
                Http2Step::StopReading => drop(self.reading.send_replace(false)),
                Http2Step::ReadOn => drop(self.reading.send_replace(true)),
            }
        }
        // A sender that is dropped before the end would reset the stream.
        match sender {
            Some(sender) if !ends(script) => self.unless_over(std::future::pending()).await.map(|()| drop(sender)),
            _ => Ok(()),
        }
    }

    /// Sends back what comes, and gives its length.
    async fn echo(&self, sender: &mut Option<SendStream<Bytes>>) -> Result<u64, Over> {
        let mut sent = 0;
        loop {
            let next = self.shared.wait_for(|requests| {
                let request = &requests[self.index];
                (request.complete || request.body.len() > sent).then(|| Bytes::copy_from_slice(&request.body[sent..]))
            });
            let bytes = self.unless_over(next).await?;
            if bytes.is_empty() {
                return Ok(sent as u64);
            }
            sent += bytes.len();
            self.send(sender, bytes).await?;
        }
    }

    /// Sends as the windows allow, and gives the length.
    async fn send(&self, sender: &mut Option<SendStream<Bytes>>, bytes: Bytes) -> Result<u64, Over> {
        let length = bytes.len() as u64;
        let count = |sent| {
            self.shared.written.fetch_add(sent as u64, Ordering::Relaxed);
        };
        send(stream(sender), bytes, count).await.map_err(|_| Over)?;
        Ok(length)
    }

    /// Waits until the kernel took what was sent: a reset would take the rest back.
    async fn flushed(&self, head: bool, bytes: u64, ended: bool) -> Result<(), Over> {
        let gone = self.sent.wait(|seen| {
            let stream = seen.streams.get(&self.id);
            let all = |stream: &StreamSeen| !stream.blocks.is_empty() && stream.data >= bytes && stream.ended >= ended;
            (!head || stream.is_some_and(all)).then_some(())
        });
        self.unless_over(gone).await
    }

    fn command(&self, command: Command) -> Result<(), Over> {
        self.commands.send(command).map_err(|_| Over)
    }

    /// Waits for `future`, but no longer than the proxy keeps the stream and its connection.
    async fn unless_over<T>(&self, future: impl Future<Output = T>) -> Result<T, Over> {
        let over = self.received.wait(|seen| {
            let reset = seen.streams.get(&self.id).is_some_and(|stream| stream.reset.is_some());
            (reset || seen.closed.is_some()).then_some(())
        });
        tokio::select! {
            value = future => Ok(value),
            () = over => Err(Over),
        }
    }
}

/// Where a script sends once it has sent its head.
fn stream(sender: &mut Option<SendStream<Bytes>>) -> &mut SendStream<Bytes> {
    sender.as_mut().expect("a script begins with a head")
}

fn ends(script: &Http2Script) -> bool {
    script
        .steps
        .iter()
        .any(|step| matches!(step, Http2Step::End | Http2Step::Trailers(_) | Http2Step::Reset(_) | Http2Step::Head(_, _, true)))
}
