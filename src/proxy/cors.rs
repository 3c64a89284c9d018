//! Cross-origin requests on routes with `cors`: which route a preflight is about, and its answer. What other responses say is
//! written in `downstream.rs`, so that none is without it.

use std::sync::Arc;

use super::app::App;
use super::call::Call;
use super::door::After;
use super::downstream::{Body, Downstream};
use super::record::{Outcome, RequestRecord};
use crate::message::RequestHead;
use crate::message::cors::Preflight;
use crate::route::Route;

impl App {
    /// The route for a request, and the preflight that this route answers.
    ///
    /// A preflight asks on behalf of another request, so it goes to the route of that one: a route for GET alone has its preflights,
    /// and no route answers for what another one serves. If that other route has no `cors`, this is an OPTIONS like any other, whose
    /// server may know the answer. If there is none, a route with `cors` that takes OPTIONS says which methods it has.
    pub(super) fn route(&self, down: &Downstream, request: &RequestHead) -> (Option<&Arc<Route>>, Option<Preflight>) {
        let head = down.head();
        let host = head.headers.get(http::header::HOST).map(|host| host.as_bytes());
        let Some(preflight) = Preflight::of(&request.method, &head.headers) else {
            return (self.routes.find(host, head.raw_path(), &request.method), None);
        };
        let about = self.routes.find(host, head.raw_path(), &preflight.method);
        if about.is_some_and(|route| route.cors.is_some()) {
            return (about, Some(preflight));
        }
        let own = self.routes.find(host, head.raw_path(), &request.method);
        let refuses = about.is_none() && own.is_some_and(|route| route.cors.is_some());
        (own, Some(preflight).filter(|_| refuses))
    }
}

/// A preflight on a route that answers it.
#[derive(Debug)]
pub(super) struct PreflightAnswer<'a> {
    /// The route, which has `cors`.
    pub(super) route: &'a Route,
    /// What is asked.
    pub(super) preflight: Preflight,
    /// What the door judged.
    pub(super) request: &'a RequestHead,
    /// Whether the client's connection may serve another request.
    pub(super) keep_alive: bool,
}

impl PreflightAnswer<'_> {
    /// Answers it, before anything else: it carries no credentials, and no server learns of it.
    pub(super) async fn send(&self, mut call: Box<Call>, mut record: Box<RequestRecord>) -> After {
        let Some(policy) = &self.route.cors else { return After::Gone };
        call.down.set_write_stall(self.route.timeouts.write_stall);
        let header = policy.answer(&self.preflight, &call.down.head().headers, &self.route.matcher.methods);
        record.reason("CORS preflight");
        record.over(header.status.as_u16(), Outcome::Whole);
        let keeps = self.keep_alive && !self.request.framing.has_body();
        let written = match call.down.write_head(header, Body::None, keeps).await {
            Ok(()) => call.down.finish(None).await,
            gone => gone,
        };
        match written {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }
}
