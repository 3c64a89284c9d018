//! A listener that sends everybody to HTTPS (`listeners[].redirect_to_https`), but for who proves that a name is ours (ACME, RFC 8555
//! section 8.3) and for whom a trusted proxy brought over HTTPS already: he would come back for ever.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use http::header::HOST;

use super::app::App;
use super::call::Call;
use super::door::After;
use super::reject;
use crate::client_id;
use crate::clock;
use crate::message::{RequestHead, https_redirect};
use crate::route::Route;
use crate::telemetry::access_log::Asked;

const NO_HOST: &str = "this port redirects to HTTPS, and the request names no host";

impl App {
    /// The port of HTTPS that a request is sent to by the listener that it came to; `None` if it is served.
    pub(super) fn https_port(&self, call: &Call, route: Option<&Arc<Route>>) -> Option<u16> {
        let port = call.client.listener.redirect_to_https?;
        let peer = call.client.peer();
        let is_served = route.is_some_and(|route| route.matcher.path.is_acme_challenge())
            || client_id::is_https(peer.tls, peer.address, &call.down.head().headers, &self.trusted);
        (!is_served).then_some(port)
    }

    /// Sends a request of `address` to HTTPS at `port`, with its method and its body (308, RFC 9110 section 15.4.9).
    pub(super) async fn to_https(
        &self,
        mut call: Box<Call>,
        request: &RequestHead,
        address: IpAddr,
        port: u16,
        keep_alive: bool,
    ) -> After {
        let started = clock::now();
        let host = call.down.head().headers.get(HOST).map(|host| host.as_bytes());
        let location = https_redirect::location(host, call.down.head().raw_path(), port);
        let location = location.and_then(|location| HeaderValue::try_from(location).ok());
        let keeps = keep_alive && !request.framing.has_body();
        let (status, reason, answered) = match location {
            Some(location) => (308, "redirected to HTTPS", reject::redirect(&mut call.down, 308, location, keeps).await),
            None => (400, NO_HOST, reject::answer(&mut call.down, 400, Some(NO_HOST), keeps).await),
        };
        let head = call.down.head();
        let host = head.headers.get(HOST).map(|host| host.as_bytes());
        let asked = Asked::without_route(address, Some(request.method.as_str()), host, Some(head.uri.path().as_bytes()));
        self.answered_without_route(asked, status, reason, clock::now().saturating_duration_since(started));
        match answered {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }
}
