//! The server behind the proxy: scripted, and as bad as the script wants. It records what it received and who closed.
//!
//! One [`Script`] for each request, in order of arrival; the last one serves all that follow.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use super::body::Body;
use super::head::Head;
use super::script::{Script, Step, flood};
use super::{End, within};

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: Head,
    /// Without framing.
    pub(crate) body: Vec<u8>,
    /// All of it came.
    pub(crate) complete: bool,
    /// Number of the connection, from 0.
    pub(crate) connection: usize,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    /// How each connection was closed by the proxy; `None` while it is not.
    closed: Vec<Option<End>>,
    /// What was wrong with the bytes that came.
    problems: Vec<String>,
}

struct Shared {
    scripts: Vec<Script>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    gate: Semaphore,
    written: AtomicU64,
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state.lock().expect("nobody panics with it"));
        self.changed.send_replace(());
        result
    }

    async fn wait_for<T>(&self, mut check: impl FnMut(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(value) = check(&self.state.lock().expect("nobody panics with it")) {
                return value;
            }
            changed.changed().await.expect("we hold the sender");
        }
    }
}

/// A scripted server on a port of its own.
pub(crate) struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

impl Origin {
    /// The same script for every request.
    pub(crate) async fn start(script: Script) -> Self {
        Self::start_each([script]).await
    }

    /// A script for each request; the last one serves all that follow.
    pub(crate) async fn start_each(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), scripts)
    }

    /// The same on a listener that is there.
    pub(crate) fn start_on(listener: TcpListener, scripts: impl IntoIterator<Item = Script>) -> Self {
        let scripts: Vec<Script> = scripts.into_iter().collect();
        assert!(!scripts.is_empty(), "an origin needs a script");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            scripts,
            state: Mutex::default(),
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

    /// Bytes that the kernel took from us so far.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// How many connections came so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.state.lock().expect("nobody panics with it").closed.len()
    }

    /// How many request heads came so far.
    pub(crate) fn requests(&self) -> usize {
        self.shared.state.lock().expect("nobody panics with it").requests.len()
    }

    /// The request with this number, once its head has come; its body may not be there yet.
    pub(crate) async fn request_head(&self, number: usize) -> Request {
        let what = format!("request {number} at the origin");
        within(&what, self.shared.wait_for(|state| state.requests.get(number).cloned())).await
    }

    /// The request with this number, once all of it has come.
    pub(crate) async fn request(&self, number: usize) -> Request {
        let what = format!("all of request {number} at the origin");
        let wait = self.shared.wait_for(|state| state.requests.get(number).filter(|request| request.complete).cloned());
        within(&what, wait).await
    }

    /// How the proxy closed this connection, once it did.
    pub(crate) async fn closed(&self, connection: usize) -> End {
        let what = format!("the proxy to close connection {connection} to the origin");
        within(&what, self.shared.wait_for(|state| state.closed.get(connection).copied().flatten())).await
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.acceptor.abort();
        let problems = &self.shared.state.lock().expect("nobody panics with it").problems;
        if std::thread::panicking() {
            eprintln!("--- problems at the origin: {problems:?}");
        } else {
            assert!(problems.is_empty(), "the proxy sent {problems:?}");
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).expect("nodelay");
        // Small, so that what is in flight is what the proxy keeps, not what our kernel does.
        socket2::SockRef::from(&stream).set_send_buffer_size(64 * 1024).expect("a small buffer");
        let number = shared.change(|state| {
            state.closed.push(None);
            state.closed.len() - 1
        });
        let reading = watch::channel(true).0;
        tokio::spawn(serve(Connection { stream: Arc::new(stream), number, shared: Arc::clone(&shared), reading }));
    }
}

struct Connection {
    stream: Arc<TcpStream>,
    number: usize,
    shared: Arc<Shared>,
    reading: watch::Sender<bool>,
}

/// The connection is finished.
struct Over;

async fn serve(connection: Connection) {
    let Connection { stream, number, shared, reading } = &connection;
    let reader = tokio::spawn(read_requests(Arc::clone(stream), *number, Arc::clone(shared), reading.subscribe()));
    for nth in 0.. {
        let next = shared.wait_for(|state| {
            let mine = state.requests.iter().enumerate().filter(|(_, request)| request.connection == *number);
            match mine.map(|(index, _)| index).nth(nth) {
                Some(index) => Some(Ok(index)),
                None => state.closed[*number].map(|_| Err(Over)),
            }
        });
        let Ok(index) = next.await else { break };
        let script = &shared.scripts[index.min(shared.scripts.len() - 1)];
        if connection.play(script, index).await.is_err() {
            break;
        }
    }
    reader.abort();
    // Only when the reader has let go of the socket does dropping ours close it.
    let _ = reader.await;
}

impl Connection {
    async fn play(&self, script: &Script, request: usize) -> Result<(), Over> {
        for step in &script.steps {
            match step {
                Step::AwaitBody => {
                    self.unless_closed(self.shared.wait_for(|state| state.requests[request].complete.then_some(()))).await?
                }
                Step::Write(bytes) => self.write(bytes).await?,
                Step::Bytewise(bytes) => {
                    for byte in bytes {
                        self.write(&[*byte]).await?;
                        self.unless_closed(tokio::time::sleep(Duration::from_millis(1))).await?;
                    }
                }
                Step::Flood(total) => {
                    // Many at a time: one write for each would wait for the scheduler tens of thousands of times.
                    let mut events = flood(*total).peekable();
                    while events.peek().is_some() {
                        let mut chunks = Vec::new();
                        for event in events.by_ref().take(64) {
                            chunks.extend_from_slice(format!("{:x}\r\n", event.len()).as_bytes());
                            chunks.extend_from_slice(&event);
                            chunks.extend_from_slice(b"\r\n");
                        }
                        self.write(&chunks).await?;
                    }
                }
                Step::Wait(time) => self.unless_closed(tokio::time::sleep(*time)).await?,
                Step::Gate => {
                    self.unless_closed(async { self.shared.gate.acquire().await.expect("never closed").forget() }).await?
                }
                Step::Hang => self.unless_closed(std::future::pending()).await?,
                Step::Close => return Err(Over),
                Step::Reset => {
                    socket2::SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO)).expect("linger");
                    return Err(Over);
                }
                Step::StopReading => drop(self.reading.send_replace(false)),
                Step::ReadOn => drop(self.reading.send_replace(true)),
            }
        }
        Ok(())
    }

    /// Waits for `future`, but no longer than the proxy keeps the connection.
    async fn unless_closed<T>(&self, future: impl Future<Output = T>) -> Result<T, Over> {
        let closed = self.shared.wait_for(|state| state.closed[self.number]);
        tokio::select! {
            value = future => Ok(value),
            _ = closed => Err(Over),
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> Result<(), Over> {
        while !bytes.is_empty() {
            match self.stream.writable().await.and_then(|()| self.stream.try_write(bytes)) {
                Ok(count) => {
                    self.shared.written.fetch_add(count as u64, Ordering::Relaxed);
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    // The proxy is gone; the reader may not have noticed yet.
                    self.shared.change(|state| *state.closed[self.number].get_or_insert(End::Reset));
                    return Err(Over);
                }
            }
        }
        Ok(())
    }
}

/// Reads requests for as long as the connection lives, whatever the script does meanwhile.
async fn read_requests(stream: Arc<TcpStream>, connection: usize, shared: Arc<Shared>, mut reading: watch::Receiver<bool>) {
    let mut unread = Vec::new();
    let mut body = Body::Complete;
    let mut index = None;
    loop {
        if reading.wait_for(|reading| *reading).await.is_err() {
            return;
        }
        let mut buffer = [0; 16 * 1024];
        let closed = match stream.readable().await.and_then(|()| stream.try_read(&mut buffer)) {
            Ok(0) => End::Clean,
            Ok(count) => {
                unread.extend_from_slice(&buffer[..count]);
                if let Err(problem) = take_requests(&shared, connection, &mut unread, &mut body, &mut index) {
                    return shared.change(|state| {
                        state.problems.push(problem);
                        state.closed[connection] = Some(End::Reset);
                    });
                }
                continue;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => End::Reset,
        };
        return shared.change(|state| {
            state.closed[connection] = Some(closed);
            if index.is_none() && !unread.is_empty() {
                state.problems.push(format!("half a head: {}", super::shown(&unread)));
            }
        });
    }
}

fn take_requests(
    shared: &Shared,
    connection: usize,
    unread: &mut Vec<u8>,
    body: &mut Body,
    index: &mut Option<usize>,
) -> Result<(), String> {
    loop {
        if let Some(current) = *index {
            let mut received = Vec::new();
            body.read(unread, &mut received)?;
            let complete = *body == Body::Complete;
            shared.change(|state| {
                let request = &mut state.requests[current];
                request.body.extend_from_slice(&received);
                request.complete = complete;
            });
            if !complete {
                return Ok(());
            }
            *index = None;
        }
        let Some(head) = Head::take(unread)? else { return Ok(()) };
        *body = Body::of_request(&head)?;
        *index = Some(shared.change(|state| {
            state.requests.push(Request { head, body: Vec::new(), complete: false, connection });
            state.requests.len() - 1
        }));
    }
}
