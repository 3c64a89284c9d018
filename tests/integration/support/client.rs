//! A raw HTTP/1 client: it sends the bytes that it is given and tells three ends apart, which is the whole point of a stream's end.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

use super::body::Body;
use super::head::Head;
use super::raw::Raw;
use super::socket::{Read, Socket};
use super::{shown, within};

/// How a body, or a connection, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As its framing announced: the final chunk, the last byte of a Content-Length, or FIN where nothing frames the body.
    Clean,
    /// FIN before that.
    Truncated,
    /// The connection was reset.
    Reset,
}

/// One connection.
pub(crate) struct Client {
    socket: Socket,
    unread: Vec<u8>,
    framing: Body,
    body: Vec<u8>,
    end: Option<End>,
}

impl Client {
    /// Connects.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts"))
    }

    /// Connects with a receive buffer that stays small: what a client does not read waits on the other side.
    pub(crate) async fn connect_slow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(64 * 1024).expect("a small buffer");
        Self::over(within("a connection", socket.connect(address)).await.expect("the proxy accepts"))
    }

    fn over(stream: TcpStream) -> Self {
        Self { socket: Socket::over(stream), unread: Vec::new(), framing: Body::Complete, body: Vec::new(), end: None }
    }

    /// Connects and sends `request`.
    pub(crate) async fn send_to(address: SocketAddr, request: impl AsRef<[u8]>) -> Self {
        let mut client = Self::connect(address).await;
        client.send(request).await;
        client
    }

    /// Connects, sends `request` and reads the head of its response.
    pub(crate) async fn open(address: SocketAddr, request: impl AsRef<[u8]>) -> (Self, Head) {
        let mut client = Self::send_to(address, request).await;
        let head = client.head().await;
        (client, head)
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.send(bytes).await;
    }

    /// Sends bytes as far as the proxy takes them: it may have closed in the middle.
    pub(crate) async fn send_unheard(&mut self, bytes: impl AsRef<[u8]>) {
        // How it ended is for the next read to say.
        let _ = within("bytes to be taken or refused", self.socket.write(bytes.as_ref())).await;
    }

    /// Sends bytes and FIN, as far as the proxy takes them: it may have closed in the middle.
    pub(crate) async fn send_last(&mut self, bytes: &[u8]) {
        self.send_unheard(bytes).await;
        self.socket.half_close();
    }

    /// Sends `bytes` one by one, `pause` apart, until all are sent or the proxy closes. Then how the connection ended.
    pub(crate) async fn dribble(mut self, bytes: &[u8], pause: Duration) -> (Vec<u8>, End) {
        for byte in bytes {
            if self.socket.write(&[*byte]).await.is_err() {
                break;
            }
            match tokio::time::timeout(pause, self.fill()).await {
                Err(_) | Ok(Read::Bytes) => {}
                Ok(Read::Fin) => return (self.unread, End::Clean),
                Ok(Read::Reset) => return (self.unread, End::Reset),
            }
        }
        self.rest().await
    }

    /// Sends `bytes` while it reads the answer: its head, its body, and how that ended.
    pub(crate) async fn duplex(mut self, bytes: &[u8]) -> (Head, Vec<u8>, End) {
        let sender = self.socket();
        let up = async { within("all of it to be taken", sender.write(bytes)).await.expect("the proxy reads") };
        let down = async {
            let head = self.head().await;
            let (body, end) = self.rest_of_body().await;
            (head, body, end)
        };
        tokio::join!(up, down).1
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.socket.reset_on_close();
    }

    /// The connection, to upload from another task or to close one half.
    pub(crate) fn socket(&self) -> Socket {
        self.socket.clone()
    }

    /// What the connection is behind a 101: bytes.
    pub(crate) fn tunnel(self) -> Raw {
        assert!(self.framing == Body::Complete && self.body.is_empty(), "a body is no tunnel: {}", shown(&self.body));
        Raw::over(self.socket, self.unread)
    }

    /// The next response head that is not a 1xx.
    pub(crate) async fn head(&mut self) -> Head {
        loop {
            let head = self.any_head().await;
            if head.status() >= 200 {
                return head;
            }
        }
    }

    /// The next final response head, or `None` if the connection is closed before it is whole.
    pub(crate) async fn head_if_any(&mut self) -> Option<Head> {
        within("a response head, or the end", async {
            while !self.unread.windows(4).any(|window| window == b"\r\n\r\n") {
                if let Read::Fin | Read::Reset = self.fill().await {
                    return None;
                }
            }
            Some(self.head().await)
        })
        .await
    }

    /// The next response head, 1xx or final.
    pub(crate) async fn any_head(&mut self) -> Head {
        self.head_to(false).await
    }

    /// The response head to a HEAD request: no body follows, whatever it says.
    pub(crate) async fn head_to_head(&mut self) -> Head {
        self.head_to(true).await
    }

    async fn head_to(&mut self, to_head: bool) -> Head {
        assert!(self.framing == Body::Complete && self.body.is_empty(), "the body before was not read: {}", shown(&self.body));
        let head = within("a response head", async {
            loop {
                if let Some(head) = Head::take(&mut self.unread).unwrap_or_else(|problem| panic!("the proxy sent {problem}")) {
                    return head;
                }
                if let Read::Fin | Read::Reset = self.fill().await {
                    panic!("closed before a whole response head: {:?}", shown(&self.unread));
                }
            }
        })
        .await;
        self.framing = Body::of_response(&head, to_head).unwrap_or_else(|problem| panic!("the proxy sent {problem}"));
        self.end = None;
        head
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

    /// The next `length` bytes of the body, which are text.
    pub(crate) async fn takes(&mut self, length: usize) -> String {
        within("the next bytes", async {
            while self.body.len() < length && self.end.is_none() {
                self.advance().await;
            }
        })
        .await;
        assert!(self.body.len() >= length, "got {:?} and the end {:?}", shown(&self.body), self.end);
        String::from_utf8(self.body.drain(..length).collect()).expect("text")
    }

    fn assert_agrees(&self, want: &[u8]) {
        let same = self.body.len().min(want.len());
        let (have, want_part) = (&self.body[..same], &want[..same]);
        assert!(have == want_part, "expected {:?}, got {:?}", shown(want), shown(&self.body));
    }

    /// The rest of the body, and how it ended.
    pub(crate) async fn rest_of_body(&mut self) -> (Vec<u8>, End) {
        let end = within("the end of the body", async {
            loop {
                if let Some(end) = self.end {
                    return end;
                }
                self.advance().await;
            }
        })
        .await;
        (std::mem::take(&mut self.body), end)
    }

    /// What comes next of the body; `None` behind its end, which [`Self::ends_with`] tells.
    pub(crate) async fn piece(&mut self) -> Option<Vec<u8>> {
        within("more of the body, or its end", async {
            while self.body.is_empty() && self.end.is_none() {
                self.advance().await;
            }
        })
        .await;
        (!self.body.is_empty()).then(|| std::mem::take(&mut self.body))
    }

    /// The rest of the body, which must be `bytes` and end `end`.
    pub(crate) async fn ends_with(&mut self, bytes: impl AsRef<[u8]>, end: End) {
        let want = bytes.as_ref();
        let (have, how) = self.rest_of_body().await;
        assert!(have == want && how == end, "expected {:?} and {end:?}, got {:?} and {how:?}", shown(want), shown(&have));
    }

    /// Everything until the connection ends, framing and all.
    pub(crate) async fn rest(mut self) -> (Vec<u8>, End) {
        within("the end of the connection", async {
            loop {
                match self.fill().await {
                    Read::Bytes => {}
                    Read::Fin => return (self.unread, End::Clean),
                    Read::Reset => return (self.unread, End::Reset),
                }
            }
        })
        .await
    }

    /// Decodes what is there, or reads more.
    async fn advance(&mut self) {
        let before = self.body.len();
        if let Err(problem) = self.framing.read(&mut self.unread, &mut self.body) {
            panic!("the proxy sent bad framing: {problem}; body so far {:?}", shown(&self.body));
        }
        if self.framing == Body::Complete {
            self.end = Some(End::Clean);
        } else if self.body.len() == before {
            match self.fill().await {
                Read::Bytes => {}
                Read::Fin if self.framing == Body::UntilClose => self.end = Some(End::Clean),
                Read::Fin => self.end = Some(End::Truncated),
                Read::Reset => self.end = Some(End::Reset),
            }
        }
    }

    async fn fill(&mut self) -> Read {
        self.socket.read(&mut self.unread).await
    }
}
