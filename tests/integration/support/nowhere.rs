//! Addresses at which no server answers. Each keeps its port for as long as it lives, so that nobody else can get it.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;

use super::eventually;

fn bound() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
    socket
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().ok().and_then(|address| address.as_socket()).expect("its address")
}

/// Every connection is refused: a port that is bound and does not listen.
pub(crate) struct Refusing(Socket);

impl Refusing {
    pub(crate) fn new() -> Self {
        Self(bound())
    }

    /// At the address of a server that is just leaving.
    pub(crate) async fn at(address: SocketAddr) -> Self {
        eventually("the address of a server that left", || {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            // Its last connections may still be about. Ours alone from here on.
            socket.set_reuse_address(true).expect("an option");
            socket.bind(&address.into()).ok()?;
            socket.set_reuse_address(false).expect("an option");
            Some(Self(socket))
        })
        .await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address_of(&self.0)
    }

    /// From here on connections are accepted, for a server that comes back.
    pub(crate) fn listen(self) -> TcpListener {
        self.0.set_reuse_address(true).expect("an option");
        self.0.set_nonblocking(true).expect("non-blocking");
        self.0.listen(64).expect("it listens");
        TcpListener::from_std(self.0.into()).expect("a listener")
    }
}

/// Connections are neither accepted nor refused: a listener that nobody accepts from, with its queue filled, so that the kernel drops
/// what comes next.
pub(crate) struct Deaf {
    listener: Socket,
    _queue: Vec<Socket>,
}

impl Deaf {
    pub(crate) fn new() -> Self {
        let listener = bound();
        listener.listen(0).expect("it listens");
        let address = listener.local_addr().expect("its address");
        let fill = |_| {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            client.set_nonblocking(true).expect("non-blocking");
            // In progress, which is all that is wanted.
            let _ = client.connect(&address);
            client
        };
        Self { _queue: (0..4).map(fill).collect(), listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        address_of(&self.listener)
    }
}
