//! One request under way: both directions of it, and whose it is. What is told of it is its record (`record.rs`).

use std::sync::Arc;

use super::door::After;
use super::downstream::Downstream;
use super::record::Client;
use super::upload::Upload;

/// One request, from its head to the end of its answer. Boxed: it goes from hand to hand, and each future on the way would have room
/// for it twice. By value that made a future of 6.6 KB, which is 2.8 with this, and 2,300 instructions of copying for each request.
pub(super) struct Call {
    /// Where it is answered.
    pub(super) down: Downstream,
    /// Its body, on the way.
    pub(super) upload: Upload,
    /// Who sends it.
    pub(super) client: Arc<Client>,
}

impl Call {
    /// A request whose head was read.
    pub(super) fn new(down: Downstream, upload: Upload, client: Arc<Client>) -> Box<Self> {
        Box::new(Self { down, upload, client })
    }

    /// After a whole response: the connection serves the next request, or is closed without taking the answer from a client that still
    /// sends.
    pub(super) fn leave(self) -> After {
        let received = self.upload.is_received();
        let ahead = self.upload.into_ahead();
        let Some((wire, keeps)) = self.down.into_connection() else { return After::Gone };
        let Some(socket) = wire.unshared().into_own() else { return After::Gone };
        if keeps && received { After::Next(socket, ahead, self.client) } else { After::Linger(socket, self.client) }
    }
}
