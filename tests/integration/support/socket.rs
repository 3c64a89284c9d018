//! One connection whose two directions may be driven by two tasks: a client that uploads in one and reads in the other.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::within;

/// What one read brought.
pub(crate) enum Read {
    Bytes,
    Fin,
    Reset,
}

/// A connection; it closes with its last clone.
#[derive(Clone)]
pub(crate) struct Socket(Arc<TcpStream>);

impl Socket {
    pub(super) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("nodelay");
        Self(Arc::new(stream))
    }

    /// Small buffers in the kernel: what the other side does not read stays with whoever wrote it.
    pub(super) fn keep_little(&self) {
        let socket = socket2::SockRef::from(&*self.0);
        socket.set_send_buffer_size(64 * 1024).expect("a small buffer");
    }

    /// Sends bytes as they are.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) {
        within("bytes to be taken by the other side", self.write(bytes.as_ref())).await.expect("the other side reads");
    }

    /// Sends bytes for as long as the other side takes them; without a deadline.
    pub(crate) async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Appends what comes next to `into`.
    pub(super) async fn read(&self, into: &mut Vec<u8>) -> Read {
        loop {
            into.reserve(64 * 1024);
            match self.0.readable().await.and_then(|()| self.0.try_read_buf(into)) {
                Ok(0) => return Read::Fin,
                Ok(_) => return Read::Bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Read::Reset,
            }
        }
    }

    /// Appends what is there by now.
    pub(super) fn read_now(&self, into: &mut Vec<u8>) {
        while matches!(self.0.try_read_buf(into), Ok(1..)) {}
    }

    /// Sends FIN and goes on reading.
    pub(crate) fn half_close(&self) {
        // Who was reset meanwhile finds out by reading.
        let _ = socket2::SockRef::from(&*self.0).shutdown(Shutdown::Write);
    }

    /// The close will be a reset.
    pub(super) fn reset_on_close(&self) {
        socket2::SockRef::from(&*self.0).set_linger(Some(Duration::ZERO)).expect("linger");
    }
}
