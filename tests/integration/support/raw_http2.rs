//! An HTTP/2 client that sends whatever bytes it is given, for what no library would send.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::frames::{Frames, PREFACE, StreamSeen, Tap, settings};
use super::within;

/// One connection.
pub(crate) struct RawHttp2 {
    tap: Tap,
    frames: Arc<Frames>,
    reader: JoinHandle<()>,
}

/// The pseudo-fields of an ordinary request, in the usual order.
pub(crate) const GET_FIELDS: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")];

impl RawHttp2 {
    /// Connects and sends the preface and empty SETTINGS.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut client = Self::silent(address).await;
        client.send(&[PREFACE, &settings(&[])].concat()).await;
        client
    }

    /// Connects and sends nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        let stream = Arc::new(within("a connection", TcpStream::connect(address)).await.expect("the proxy accepts"));
        stream.set_nodelay(true).expect("nodelay");
        let mut incoming = Tap::of_client(&stream);
        let frames = incoming.received();
        let reader = tokio::spawn(async move {
            let mut buffer = [0; 16 * 1024];
            // The tap records it all, the end too.
            while let Ok(1..) = incoming.read(&mut buffer).await {}
        });
        Self { tap: Tap::of_client(&stream), frames, reader }
    }

    /// Sends bytes as they are; a proxy that has closed takes none, which the frames say.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = within("bytes to be taken or refused", self.tap.write_all(bytes)).await;
    }

    /// What the proxy sent.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// What came on a stream once it was answered, reset, or the connection closed.
    pub(crate) async fn answer(&self, stream: u32) -> StreamSeen {
        let answered = |seen: &StreamSeen| seen.ended || seen.reset.is_some();
        self.frames
            .wait_for("an answer", |seen| match seen.streams.get(&stream) {
                Some(seen) if answered(seen) => Some(seen.clone()),
                other => seen.closed.map(|_| other.cloned().unwrap_or_default()),
            })
            .await
    }
}

impl Drop for RawHttp2 {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
