//! Connections that a test drives byte by byte: a server that it plays itself, and either end of a tunnel.
//!
//! Where a [`super::Script`] is enough, it is shorter. Here the test decides each step by what came before, on both sides.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::body::Body;
use super::head::Head;
use super::socket::{Read, Socket};
use super::{End, shown, within};

/// A server on a port of its own that accepts when the test does.
pub(crate) struct ManualOrigin(TcpListener);

impl ManualOrigin {
    pub(crate) async fn start() -> Self {
        // What connections inherit: a receive buffer that stays small, so that who does not read stops who writes.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(64 * 1024).expect("a small buffer");
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        Self(socket.listen(64).expect("it listens"))
    }

    /// `host:port`, for the configuration.
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("its address")
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Raw {
        let (stream, _) = within("a connection at the origin", self.0.accept()).await.expect("a connection");
        let socket = Socket::over(stream);
        socket.keep_little();
        Raw::over(socket, Vec::new())
    }

    /// The next connection, and the head of its first request.
    pub(crate) async fn request(&self) -> (Raw, Head) {
        let mut connection = self.accept().await;
        let head = connection.request().await;
        (connection, head)
    }
}

/// One connection, as bytes; on the server's side also as requests.
pub(crate) struct Raw {
    socket: Socket,
    unread: Vec<u8>,
    framing: Body,
    body: Vec<u8>,
}

impl Raw {
    pub(super) fn over(socket: Socket, unread: Vec<u8>) -> Self {
        Self { socket, unread, framing: Body::Complete, body: Vec::new() }
    }

    /// The connection, to write from another task or to close one half.
    pub(crate) fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) {
        self.socket.send(bytes).await;
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.socket.reset_on_close();
    }

    /// The head of the next request.
    pub(crate) async fn request(&mut self) -> Head {
        assert!(self.framing == Body::Complete && self.body.is_empty(), "the body before was not read: {}", shown(&self.body));
        let head = within("a request's head", async {
            loop {
                if let Some(head) = Head::take(&mut self.unread).unwrap_or_else(|problem| panic!("the proxy sent {problem}")) {
                    return head;
                }
                if let Read::Fin | Read::Reset = self.socket.read(&mut self.unread).await {
                    panic!("closed before a whole request head: {:?}", shown(&self.unread));
                }
            }
        })
        .await;
        self.framing = Body::of_request(&head).unwrap_or_else(|problem| panic!("the proxy sent {problem}"));
        head
    }

    /// What comes next of the request's body; `None` behind its last byte, an error when it was cut.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, End> {
        let read = async {
            loop {
                if let Err(problem) = self.framing.read(&mut self.unread, &mut self.body) {
                    panic!("the proxy sent bad framing: {problem}; body so far {:?}", shown(&self.body));
                }
                if !self.body.is_empty() {
                    return Ok(Some(std::mem::take(&mut self.body)));
                }
                if self.framing == Body::Complete {
                    return Ok(None);
                }
                match self.socket.read(&mut self.unread).await {
                    Read::Bytes => {}
                    Read::Fin => return Err(End::Truncated),
                    Read::Reset => return Err(End::Reset),
                }
            }
        };
        within("more of the request's body, or its end", read).await
    }

    /// The next bytes of the request's body are these.
    pub(crate) async fn body_brings(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        let mut have = Vec::new();
        while have.len() < want.len() {
            match self.piece().await {
                Ok(Some(piece)) => have.extend_from_slice(&piece),
                other => panic!("expected {:?} of the body, got {:?} and then {other:?}", shown(want), shown(&have)),
            }
        }
        assert!(have == want, "expected {:?} of the body, got {:?}", shown(want), shown(&have));
    }

    /// The rest of the request's body, and how it ended.
    pub(crate) async fn rest_of_body(&mut self) -> (Vec<u8>, End) {
        let mut rest = Vec::new();
        loop {
            match self.piece().await {
                Ok(Some(piece)) => rest.extend_from_slice(&piece),
                Ok(None) => return (rest, End::Clean),
                Err(end) => return (rest, end),
            }
        }
    }

    /// Nothing is there that was not read.
    pub(crate) fn assert_nothing_came(&self) {
        let mut more = self.unread.clone();
        self.socket.read_now(&mut more);
        assert!(more.is_empty(), "it came unasked: {}", shown(&more));
    }

    /// What comes next, framed or not; `None` behind FIN.
    pub(crate) async fn bytes(&mut self) -> Result<Option<Vec<u8>>, End> {
        if self.unread.is_empty() {
            match within("bytes, or the end of the connection", self.socket.read(&mut self.unread)).await {
                Read::Bytes => {}
                Read::Fin => return Ok(None),
                Read::Reset => return Err(End::Reset),
            }
        }
        Ok(Some(std::mem::take(&mut self.unread)))
    }

    /// The next bytes are these; what follows them waits.
    pub(crate) async fn expects(&mut self, bytes: impl AsRef<[u8]>) {
        let want = bytes.as_ref();
        within(&format!("{:?}", shown(want)), async {
            while self.unread.len() < want.len() && want.starts_with(&self.unread) {
                if let Read::Fin | Read::Reset = self.socket.read(&mut self.unread).await {
                    break;
                }
            }
        })
        .await;
        assert!(self.unread.starts_with(want), "expected {:?}, got {:?}", shown(want), shown(&self.unread));
        self.unread.drain(..want.len());
    }

    /// Everything until the other side closes.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, End) {
        let mut rest = Vec::new();
        loop {
            match self.bytes().await {
                Ok(Some(bytes)) => rest.extend_from_slice(&bytes),
                Ok(None) => return (rest, End::Clean),
                Err(end) => return (rest, end),
            }
        }
    }
}
