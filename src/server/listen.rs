//! Listening: sockets bound by us before anything runs (so that port 0 can be named and a taken port ends the start), accepted in a
//! Pingora service. The accept loop is ours because the sockets must stay of a type that the relay can take out again.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::StartError;
use crate::clock;
use crate::telemetry::Seldom;
use crate::transport;

/// Connections that wait in the kernel.
pub(super) const BACKLOG: i32 = 4096;
/// Bytes that the kernel takes for a client beyond what is on its way: with megabytes of them, a client that reads slowly but steadily
/// would look as if it took nothing, and its newest event would wait behind all of them.
const NOT_SENT_BYTES: u32 = 64 * 1024;
/// After a failed accept: trying at once would only burn the processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often a runtime wakes for nothing. Tokio wakes itself (a write to its eventfd, and one more `epoll_wait`) for each timer that is
/// set to an earlier time than it sleeps to. Without this it sleeps for minutes, and every wait with a limit did so: twice a request.
const TICK: Duration = Duration::from_millis(500);

/// Takes connections.
pub(super) trait Accept: Send + Sync + 'static {
    /// Starts to serve one that came to the listening socket at that position; must not block.
    fn accept(&self, socket: TcpStream, address: SocketAddr, listener: usize);

    /// One was closed at once, since there was no descriptor to serve it with.
    fn turned_away(&self) {}
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
        tokio::spawn(async {
            loop {
                tokio::time::sleep(TICK).await;
            }
        });
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
    let (failures, mut spare) = (Seldom::default(), Spare::default());
    loop {
        spare.keep();
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, and so is the process.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((socket, address)) => {
                acceptor.accept(socket, address, position);
            }
            Err(error) if is_the_clients_fault(&error) => {}
            Err(error) if is_out_of_descriptors(&error) => {
                let turned = spare.turn_away(&listener).await;
                if turned != Turned::Nobody
                    && let Some(times) = failures.happened(clock::now())
                {
                    tracing::error!(
                        %error,
                        times,
                        "no descriptor for a new connection, which is closed: raise `ulimit -n` or systemd's LimitNOFILE, \
                         or lower limits.connections"
                    );
                }
                match turned {
                    Turned::Closed => acceptor.turned_away(),
                    Turned::Nobody | Turned::Lost => tokio::time::sleep(ACCEPT_PAUSE).await,
                }
            }
            Err(error) => {
                if let Some(times) = failures.happened(clock::now()) {
                    tracing::error!(%error, times, "no connection can be accepted");
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

/// A descriptor for the moment when there is no other. With it a connection can be taken and closed: a client that is told so goes
/// somewhere else or comes back later, while one that is left in the kernel's queue waits for nothing.
#[derive(Debug, Default)]
struct Spare(Option<File>);

impl Spare {
    /// Keeps one, if it can be had.
    fn keep(&mut self) {
        if self.0.is_none() {
            self.0 = File::open("/dev/null").ok();
        }
    }

    /// Closes one connection that waits.
    async fn turn_away(&mut self, listener: &tokio::net::TcpListener) -> Turned {
        // The kernel wants a descriptor before it looks whether anybody waits. Given up for nobody, it would be somebody else's.
        let mut waiting = [PollFd::new(listener, PollFlags::IN)];
        if !matches!(poll(&mut waiting, Some(&Timespec::default())), Ok(1..)) {
            return Turned::Nobody;
        }
        if self.0.take().is_none() {
            return Turned::Lost;
        }
        let accepted = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        let turned = match &accepted {
            Ok(Ok(_)) => Turned::Closed,
            Ok(Err(_)) => Turned::Lost,
            Err(_) => Turned::Nobody,
        };
        drop(accepted);
        self.keep();
        turned
    }
}

/// What became of a connection for which there is no descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turned {
    /// It is closed.
    Closed,
    /// There is none.
    Nobody,
    /// It waits on: somebody else was faster to the spare descriptor.
    Lost,
}

fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The connection was gone before it was accepted.
fn is_the_clients_fault(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    #[test]
    fn an_accepted_socket_gives_up_a_peer_that_vanished_after_the_stall_limit() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let stall = Duration::from_millis(7_100);
            let listener = bind(address.parse().unwrap(), stall).unwrap();
            listener.set_nonblocking(false).unwrap();
            let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (accepted, _) = listener.accept().unwrap();
            let options = SockRef::from(&accepted);
            assert_eq!(options.tcp_user_timeout().unwrap(), Some(stall));
            assert!(options.keepalive().unwrap() && options.tcp_nodelay().unwrap());
            assert_eq!(options.tcp_notsent_lowat().unwrap(), NOT_SENT_BYTES);
        }
    }

    #[tokio::test]
    async fn a_connection_that_waits_is_closed_with_the_spare_descriptor_and_only_once() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), Duration::from_secs(60)).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let mut spare = Spare::default();
        spare.keep();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        // The runtime may hear of it a little later than the client.
        while spare.turn_away(&listener).await != Turned::Closed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let mut read = [0];
        assert_eq!(tokio::io::AsyncReadExt::read(&mut client, &mut read).await.unwrap(), 0);
        assert_eq!(spare.turn_away(&listener).await, Turned::Nobody);
        assert!(spare.0.is_some(), "it is kept for the next one");
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(Spare::default().turn_away(&listener).await, Turned::Lost);
    }
}
