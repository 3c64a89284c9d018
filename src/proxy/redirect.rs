//! A request that is sent elsewhere: the answer is known from its head, and no server hears of it.

use std::borrow::Cow;

use super::call::Call;
use super::door::After;
use super::record::{Outcome, RequestRecord};
use super::reject;
use crate::message::RequestHead;
use crate::route::{Redirect, Route};

/// A request on a route that redirects.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    /// The route.
    pub(super) route: &'a Route,
    /// Where it sends its clients.
    pub(super) redirect: &'a Redirect,
    /// What the door judged.
    pub(super) request: &'a RequestHead,
    /// Whether the client's connection may serve another request.
    pub(super) keep_alive: bool,
}

impl Moved<'_> {
    /// Answers it. A body is not waited for: its connection serves no other request.
    pub(super) async fn answer(&self, mut call: Box<Call>, mut record: Box<RequestRecord>) -> After {
        call.down.set_write_stall(self.route.timeouts.write_stall);
        let keeps = self.keep_alive && !self.request.framing.has_body();
        let target = call.down.head().raw_path();
        let target = self.route.rewrite.as_ref().map_or(Some(Cow::Borrowed(target)), |rewrite| rewrite.apply(target));
        let location = target.and_then(|target| self.redirect.to.location(&target).ok());
        let answered = match location {
            Some(location) => {
                record.over(self.redirect.status, Outcome::Whole);
                reject::redirect(&mut call.down, self.redirect.status, location, keeps).await
            }
            None => {
                record.over(400, Outcome::Whole);
                reject::answer(&mut call.down, 400, None, keeps).await
            }
        };
        match answered {
            Ok(()) => call.leave(),
            Err(_) => After::Gone,
        }
    }
}
