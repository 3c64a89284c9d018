//! A response that is no event stream, forwarded on Pingora's sessions: each read is written at once, framing is that of this hop
//! (RFC 9112 section 6), and what broke off is never made to look whole (section 8).

use std::time::Duration;

use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;

use super::app::leave;
use super::body_sender::BodySender;
use super::door::After;
use super::exchange::{Answered, Exchange, listen};
use super::record::{Client, Outcome, RequestRecord};
use super::relay::reset_on_close;
use crate::message::{ResponseFraming, Version, response};
use crate::transport::Transport;

impl Exchange<'_> {
    pub(super) async fn forward(
        &self,
        mut session: ServerSession,
        answered: Answered,
        client: Client,
        mut record: RequestRecord,
    ) -> After {
        let Answered { session: mut upstream, head, head_bytes, mut body, busy, pin } = answered;
        if let Some(transport) = Transport::of_stream(upstream.stream()) {
            if head.framing == ResponseFraming::Chunked && transport.check_recorded_chunks(head_bytes).is_err() {
                let reason = "the chunked coding of the response is malformed";
                return self.unanswered(session, client, record, 502, reason).await;
            }
            transport.stop_recording();
        }
        let Some(mut header) = upstream.resp_header().cloned() else { return After::Gone };
        record.status(header.status.as_u16());
        response::strip_hop_by_hop(&mut header);
        let promised = keep_alive_timeout(&upstream);
        let by_close = self.frame_response(&mut header, head.framing);
        if let Some(pin) = pin {
            // The value was built to be one.
            let _ = header.append_header(http::header::SET_COOKIE, pin);
        }
        // Anew: 1xx responses before a whole request body made Pingora forget it.
        let keep_alive = self.keep_alive && !by_close && session.is_body_done() && !self.app.drain.is_draining();
        session.set_keepalive(keep_alive.then_some(0));
        if self.write_head(&mut session, header).await.is_err() {
            record.outcome(Outcome::ClientGone);
            return After::Gone;
        }
        if by_close {
            // Until the body is whole, whatever drops the connection must show that it is not.
            set_reset_on_close(&session, true);
        }
        let outcome = self.forward_body(&mut session, &mut upstream, &mut body, &mut record).await;
        record.outcome(outcome);
        if outcome != Outcome::Whole {
            return After::Gone;
        }
        if by_close {
            set_reset_on_close(&session, false);
        }
        let request_complete = body.is_complete();
        drop(body);
        if request_complete && head.keep_alive {
            upstream.respect_keepalive();
            if let Some(stream) = upstream.reuse().await {
                self.context.upstream.release(stream, busy.server(), promised);
            }
        }
        if session.finish_body().await.is_err() {
            return After::Gone;
        }
        leave(session, client).await
    }

    /// Framing towards the client, from the framing of the upstream. Returns whether the body ends with the connection.
    fn frame_response(&self, header: &mut ResponseHeader, framing: ResponseFraming) -> bool {
        header.set_version(http::Version::HTTP_11);
        match framing {
            ResponseFraming::None | ResponseFraming::Length(_) => false,
            ResponseFraming::Chunked | ResponseFraming::CloseDelimited => match self.request.version {
                Version::Http10 => true,
                Version::Http11 => {
                    // The name is valid and the value is a constant.
                    let _ = header.insert_header(http::header::TRANSFER_ENCODING, "chunked");
                    false
                }
                Version::Http2 => false,
            },
        }
    }

    async fn forward_body(
        &self,
        session: &mut ServerSession,
        upstream: &mut UpstreamSession,
        body: &mut BodySender,
        record: &mut RequestRecord,
    ) -> Outcome {
        upstream.read_timeout = Some(self.route.timeouts.response_body_idle);
        while !upstream.is_body_done() {
            let speaks = body.lets_client_speak();
            tokio::select! {
                biased;
                read = upstream.read_body_bytes() => match read {
                    // An empty chunk would end the body, and its end would then be written twice (cloudflare/pingora#935).
                    Ok(Some(data)) if data.is_empty() => {}
                    Ok(Some(data)) => {
                        record.forwarded(data.len());
                        if session.write_response_body(data, false).await.is_err() {
                            return Outcome::ClientGone;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(upstream = self.context.upstream.name(), %error, "the response broke off");
                        return Outcome::UpstreamLost;
                    }
                },
                () = body.flush(), if body.is_pending() => {}
                read = listen(session, speaks) => match read {
                    Ok(piece) => body.push(&piece.unwrap_or_default(), session.is_body_done()),
                    Err(_) => return Outcome::ClientGone,
                },
            }
        }
        Outcome::Whole
    }
}

/// `timeout` of the server's `Keep-Alive`: it closes an idle connection then.
fn keep_alive_timeout(upstream: &UpstreamSession) -> Option<Duration> {
    let value = upstream.resp_header()?.headers.get("keep-alive")?.to_str().ok()?;
    let (_, seconds) =
        value.split(',').filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

fn set_reset_on_close(session: &ServerSession, reset: bool) {
    if let Some(transport) = session.stream().and_then(Transport::of_stream) {
        reset_on_close(transport.socket(), reset);
    }
}
