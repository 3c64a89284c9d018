//! `ssedge origin`: the server behind the proxy in a measurement, with a scenario for each path.
//!
//! The counterpart of `ssedge load`, which reads the stamps that it writes. It must never be what limits a measurement: each thread is
//! a runtime of its own, an idle stream owns no buffer, and events leave when they are due to the microsecond. It shares no code with the
//! proxy, and has no deadlines: it is an instrument for a network of one's own, not a server for strangers.
//!
//! | file | what it is |
//! |---|---|
//! | `origin/scenario.rs` | paths and numbers, judged; pure |
//! | `origin/event.rs` | the bytes of events and answers; pure |
//! | `origin/schedule.rs` | when events are due; pure |
//! | `origin/request.rs` | HTTP/1 request heads, judged; pure |
//! | `origin/alarm.rs` | sleeping until then, more exactly than the runtime's own timer |
//! | `origin/play.rs` | one stream: a scenario played into a response |
//! | `origin/http1.rs` | an HTTP/1 connection (RFC 9112) |
//! | `origin/http2.rs` | an HTTP/2 connection by prior knowledge (RFC 9113 section 3.3) |

mod alarm;
mod event;
mod http1;
mod http2;
mod play;
mod request;
mod scenario;
mod schedule;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

use self::alarm::Alarm;
use super::{FINE, complain};
use crate::{clock, server};

/// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const ACCEPT_QUEUE: u32 = 65_535;

/// Between two tries to accept after a failure, most likely for want of descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Serve event streams to measure with: idle, steady, burst, tokens, broadcast.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct OriginArgs {
    /// Where to listen, for HTTP/1.1 and for HTTP/2 by prior knowledge; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,

    /// Threads that serve; connections are dealt out to them in turn
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroU16,
}

const HELP: &str = concat!(
    "What it serves; each number may be left out, and these are the defaults:\n\n",
    include_str!("origin/index.txt"),
    "\nTry it: ssedge load http://127.0.0.1:9000/steady, and then the same through the proxy."
);

/// What all connections of one thread share.
struct Shared {
    alarm: Alarm,
    /// The same moment for all threads: schedules count from here.
    began: Instant,
    /// Streams opened so far, on all threads.
    opened: Arc<AtomicU64>,
}

impl Shared {
    fn new(began: Instant, opened: Arc<AtomicU64>) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self { alarm: Alarm::new()?, began, opened }))
    }

    /// The number of the next stream.
    fn next_number(&self) -> u64 {
        self.opened.fetch_add(1, Ordering::Relaxed)
    }
}

/// Serves until a signal ends it; the exit code.
pub(super) fn run(args: &OriginArgs) -> u8 {
    match serve(args) {
        Ok(()) => FINE,
        Err(problem) => complain(&problem),
    }
}

fn serve(args: &OriginArgs) -> Result<(), String> {
    let failed = |error: io::Error| format!("no threads can be started: {error}");
    // An origin without enough descriptors says so when they run out.
    let _ = server::raise_descriptors();
    let (began, opened) = (clock::now(), Arc::<AtomicU64>::default());
    let runtime = runtime().map_err(failed)?;
    let listener = {
        let _inside = runtime.enter();
        listen(args.listen).map_err(|error| format!("{} cannot be listened on: {error}", args.listen))?
    };
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let mut others = Vec::new();
    for _ in 1..args.threads.get() {
        let (sender, receiver) = unbounded_channel();
        let (runtime, opened) = (self::runtime().map_err(failed)?, Arc::clone(&opened));
        let work = move || LocalSet::new().block_on(&runtime, serve_given(receiver, began, opened));
        std::thread::Builder::new().name("origin".to_owned()).spawn(work).map_err(failed)?;
        others.push(sender);
    }
    announce(address);
    LocalSet::new().block_on(&runtime, serve_accepted(listener, &others, began, opened)).map_err(failed)
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Refuses a port that somebody else listens on.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(ACCEPT_QUEUE)
}

/// Whoever closed our standard output does not want to know.
fn announce(address: SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    let index = include_str!("origin/index.txt");
    let _ = writeln!(io::stdout(), "ssedge {version} origin: listening on http://{address}\n\n{index}\nCtrl-C ends it.");
}

/// The first thread: accepts, keeps its share and hands on the others'.
async fn serve_accepted(
    listener: TcpListener,
    others: &[UnboundedSender<std::net::TcpStream>],
    began: Instant,
    opened: Arc<AtomicU64>,
) -> io::Result<()> {
    let shared = Shared::new(began, opened)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let accepting = async {
        let mut turns = (0..=others.len()).cycle();
        let mut complained = false;
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if !std::mem::replace(&mut complained, true) {
                        complain(&format!("connections cannot be accepted, retrying: {error}"));
                    }
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            match turns.next().and_then(|turn| others.get(turn)) {
                // A stream that cannot leave this runtime is closed, as one is whose thread is gone.
                Some(other) => drop(stream.into_std().map(|stream| other.send(stream))),
                None => start(stream, &shared),
            }
        }
    };
    tokio::select! {
        () = accepting => {}
        () = shared.alarm.ring() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Another thread: serves what it is given, until the process ends.
async fn serve_given(mut given: UnboundedReceiver<std::net::TcpStream>, began: Instant, opened: Arc<AtomicU64>) {
    let shared = match Shared::new(began, opened) {
        Ok(shared) => shared,
        Err(error) => {
            complain(&format!("a thread cannot serve: {error}"));
            return;
        }
    };
    let serving = async {
        while let Some(stream) = given.recv().await {
            if let Ok(stream) = TcpStream::from_std(stream) {
                start(stream, &shared);
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = shared.alarm.ring() => {}
    }
}

fn start(stream: TcpStream, shared: &Rc<Shared>) {
    // Events are small and each is written at once: none may wait for the previous one's acknowledgement.
    if stream.set_nodelay(true).is_ok() {
        tokio::task::spawn_local(http1::serve(stream, Rc::clone(shared)));
    }
}
