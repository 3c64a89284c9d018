//! A response that is no event stream, forwarded: each read is written at once, framing is that of this hop (RFC 9112 section 6), and
//! what broke off is never made to look whole (section 8). The request's body goes its way meanwhile.

use std::pin::pin;

use h2::Reason;

use super::ask::{Answered, TOO_LARGE};
use super::call::Call;
use super::door::After;
use super::downstream::{Body, Downstream};
use super::exchange::Exchange;
use super::record::{Outcome, RequestRecord};
use super::server_response::ServerResponse;
use super::upload::Upload;
use crate::message::{ResponseFraming, response};

impl Exchange<'_> {
    pub(super) async fn forward(&self, mut call: Box<Call>, answered: Box<Answered>, mut record: Box<RequestRecord>) -> After {
        let Answered { mut response, mut header, head, busy, pin } = *answered;
        if let Err(reason) = response.begin_body(head.framing) {
            drop(response);
            return Box::pin(self.unanswered(call, record, 502, reason)).await;
        }
        let Call { down, upload, .. } = &mut *call;
        record.status(header.status.as_u16());
        response::strip_hop_by_hop(&mut header);
        if let Some(pin) = pin {
            // The value was built to be one.
            let _ = header.append_header(http::header::SET_COOKIE, pin);
        }
        let body = match head.framing {
            ResponseFraming::None | ResponseFraming::Length(0) => Body::None,
            ResponseFraming::Length(_) => Body::Framed,
            ResponseFraming::Chunked | ResponseFraming::CloseDelimited => down.body_of_unknown_length(),
        };
        let keeps = self.keep_alive && upload.is_received() && !self.app.drain.is_draining();
        if down.write_head(header, body, keeps).await.is_err() {
            record.outcome(Outcome::ClientGone);
            return After::Gone;
        }
        // Until the body is whole, whatever drops the connection must show that it is not.
        if body == Body::UntilClose {
            down.set_reset_on_close(true);
        }
        let outcome = if body == Body::None {
            self.await_end(down, &mut response, upload).await
        } else {
            self.forward_body(down, &mut response, upload, &mut record).await
        };
        record.outcome(outcome);
        match outcome {
            Outcome::Whole => {}
            _ if upload.is_too_large() => {
                record.reason(TOO_LARGE);
                down.break_off(Reason::CANCEL).await;
                return After::Gone;
            }
            Outcome::UpstreamLost => {
                down.break_off(Reason::INTERNAL_ERROR).await;
                return After::Gone;
            }
            _ => return After::Gone,
        }
        if body == Body::UntilClose {
            down.set_reset_on_close(false);
            down.close_half().await;
        }
        self.finish_upload(upload).await;
        if upload.is_complete() && head.keep_alive {
            upload.let_go();
            response.release(&self.context.upstream, busy.server(), head.promised);
        }
        call.leave()
    }

    /// A response that is whole before its request: the rest of that goes on for as long as the server takes it.
    async fn finish_upload(&self, upload: &mut Upload) {
        while upload.is_taken() && !upload.is_done() {
            match tokio::time::timeout(self.route.timeouts.request_body_idle, upload.progress()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }

    /// The answer was whole with its head, and its client has it: the server has only to end it. Whatever it sends in place of that, or
    /// breaks off, reaches nobody (RFC 9110 section 6.4.1); a stream that is not at its end is reset when the response is dropped.
    async fn await_end(&self, down: &mut Downstream, response: &mut ServerResponse, upload: &mut Upload) -> Outcome {
        let idle = self.route.timeouts.response_body_idle;
        match upload.beside(pin!(response.read(idle))).await {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(_)) | Err(_)) => {
                tracing::debug!(upstream = self.context.upstream.name(), "something follows an answer that has no body");
            }
            Err(_) => return Outcome::ClientGone,
        }
        match upload.beside(pin!(down.finish(None))).await {
            Ok(Ok(())) => Outcome::Whole,
            Ok(Err(_)) | Err(_) => Outcome::ClientGone,
        }
    }

    async fn forward_body(
        &self,
        down: &mut Downstream,
        response: &mut ServerResponse,
        upload: &mut Upload,
        record: &mut RequestRecord,
    ) -> Outcome {
        let idle = self.route.timeouts.response_body_idle;
        let broke_off = |error: String| {
            tracing::warn!(upstream = self.context.upstream.name(), error, "the response broke off");
            Outcome::UpstreamLost
        };
        loop {
            tokio::select! {
                biased;
                read = response.read(idle) => match read {
                    Ok(Some(data)) => {
                        record.forwarded(data.len());
                        if !matches!(upload.beside(pin!(down.write_body(data))).await, Ok(Ok(()))) {
                            return if down.has_stalled() { Outcome::Stalled } else { Outcome::ClientGone };
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return broke_off(error),
                },
                moved = upload.progress() => if moved.is_err() {
                    return Outcome::ClientGone;
                },
                // A head does not wait for a body that is not there yet.
                () = down.gone() => return if down.has_stalled() { Outcome::Stalled } else { Outcome::ClientGone },
            }
        }
        let trailers = match upload.beside(pin!(response.trailers(idle))).await {
            Ok(Ok(trailers)) => trailers,
            Ok(Err(error)) => return broke_off(error),
            Err(_) => return Outcome::ClientGone,
        };
        match upload.beside(pin!(down.finish(trailers))).await {
            Ok(Ok(())) => Outcome::Whole,
            Ok(Err(_)) | Err(_) => Outcome::ClientGone,
        }
    }
}
