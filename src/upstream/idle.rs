//! A connection while it lies in the pool: the bare socket, counted. It must keep nothing of the exchange that it served.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::server::Tally;
use crate::transport::Socket;

/// An idle connection, counted for as long as it is one.
#[derive(Debug)]
pub(super) struct Idle {
    socket: Socket,
    _count: Count,
}

/// One idle connection of a server.
#[derive(Debug)]
pub(super) struct Count(Arc<Tally>);

impl Count {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        tally.idle.fetch_add(1, Ordering::Relaxed);
        Self(tally)
    }
}

impl Idle {
    pub(super) fn new(socket: Socket, tally: Arc<Tally>) -> Self {
        Self { socket, _count: Count::new(tally) }
    }

    pub(super) fn into_socket(self) -> Socket {
        self.socket
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.idle.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AsyncRead for Idle {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Idle {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Idle {
    async fn shutdown(&mut self) {
        // The server may be gone already; there is nothing left to do about it.
        let _ = self.socket.shutdown().await;
    }
}

impl UniqueID for Idle {
    fn id(&self) -> UniqueIDType {
        self.socket.as_raw_fd()
    }
}

impl Ssl for Idle {}

impl GetTimingDigest for Idle {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Idle {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Idle {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}

impl Peek for Idle {}
