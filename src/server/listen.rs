//! Listening: sockets bound by us before anything runs (so that port 0 can be named and a taken port ends the start), accepted in a
//! Pingora service. The accept loop is ours because the sockets must stay of a type that the relay can take out again.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::StartError;
use crate::transport;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 4096;
/// Bytes that the kernel takes for a client beyond what is on its way: with megabytes of them, a client that reads slowly but steadily
/// would look as if it took nothing, and its newest event would wait behind all of them.
const NOT_SENT_BYTES: u32 = 64 * 1024;
/// After a failed accept (no descriptors, say): trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Takes connections.
pub(super) trait Accept: Send + Sync + 'static {
    /// Starts to serve one that came to the listening socket at that position; must not block.
    fn accept(&self, socket: TcpStream, address: SocketAddr, listener: usize);
}

/// Listening sockets and who takes their connections.
pub(super) struct ListenService<A> {
    name: &'static str,
    listeners: Vec<TcpListener>,
    threads: Option<usize>,
    stop: watch::Receiver<bool>,
    acceptor: Arc<A>,
}

/// Binds and listens, with the address reusable at once after a restart. Accepted sockets inherit the options (tcp(7) on Linux): no
/// delay for small writes, probes that find dead peers, the stall limit as the limit for unacknowledged bytes, and little to wait behind.
pub(super) fn bind(address: SocketAddr, write_stall: Duration) -> Result<TcpListener, StartError> {
    let open = || -> std::io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&transport::keepalive())?;
        socket.set_tcp_user_timeout(Some(write_stall))?;
        socket.set_tcp_notsent_lowat(NOT_SENT_BYTES)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    open().map_err(|error| StartError::Bind(address, error))
}

impl<A: Accept> ListenService<A> {
    /// Accepts until `stop` is true. `threads`: `None` for the process's number.
    pub(super) fn new(
        name: &'static str,
        listeners: Vec<TcpListener>,
        threads: Option<usize>,
        stop: watch::Receiver<bool>,
        acceptor: A,
    ) -> Self {
        Self { name, listeners, threads, stop, acceptor: Arc::new(acceptor) }
    }
}

#[async_trait]
impl<A: Accept> Service for ListenService<A> {
    async fn start_service(&mut self, _fds: Option<ListenFds>, _shutdown: ShutdownWatch, _listeners_per_fd: usize) {
        let mut loops = tokio::task::JoinSet::new();
        for (position, listener) in self.listeners.drain(..).enumerate() {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    loops.spawn(accept_loop(listener, position, Arc::clone(&self.acceptor), self.stop.clone()));
                }
                Err(error) => tracing::error!(service = self.name, %error, "a listening socket cannot be used"),
            }
        }
        loops.join_all().await;
    }

    fn name(&self) -> &str {
        self.name
    }

    fn threads(&self) -> Option<usize> {
        self.threads
    }
}

async fn accept_loop<A: Accept>(
    listener: tokio::net::TcpListener,
    position: usize,
    acceptor: Arc<A>,
    mut stop: watch::Receiver<bool>,
) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, and so is the process.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, address)) => {
                failing = false;
                acceptor.accept(socket, address, position);
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::error!(%error, "no connection can be accepted; with too many open files, raise `ulimit -n`");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    // Closing the socket would reset those that the kernel has accepted for us already.
    for _ in 0..BACKLOG {
        match tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            Ok(Ok((socket, address))) => acceptor.accept(socket, address, position),
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// The connection was gone before it was accepted.
fn is_the_clients_fault(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset)
}
