//! Which policy a request gets: the first route whose `match` holds. Pure; the table is built by `config` and cannot dangle.
//!
//! Requests are compared by the normal form of their path (RFC 3986 section 6.2.2) and by their host without case and port. What goes
//! upstream is never what was compared: it stays as the client spelled it.

mod host;
pub mod path;
mod redirect;
mod rewrite;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

use crate::admission::CapsPolicy;
use crate::affinity::StickyPolicy;
use crate::client_id::ClientPolicy;
use crate::message::HeaderEdits;
use crate::message::cors::CorsPolicy;
use crate::stream::StreamPolicy;
use crate::upstream::UpstreamSpec;

pub use redirect::{BadTarget, REDIRECT_STATUSES, Redirect, RedirectTarget};
pub use rewrite::Rewrite;

/// One entry of `routes`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name for logs and metrics: its position in the file, from `0`.
    pub name: Arc<str>,
    /// Its position in the file, from 0.
    pub position: usize,
    /// Which requests it takes.
    pub matcher: RouteMatch,
    /// Another path for what becomes of its requests.
    pub rewrite: Option<Rewrite>,
    /// What becomes of its requests. All that follows concerns those that go to an upstream.
    pub action: Action,
    /// Which host servers are told.
    pub host: HostField,
    /// Who is asked first whether a request may pass.
    pub auth: Option<AuthPolicy>,
    /// What is done to the fields of requests, as servers get them.
    pub request_headers: Option<Arc<HeaderEdits>>,
    /// What is done to the fields of responses, our own answers too.
    pub response_headers: Option<Arc<HeaderEdits>>,
    /// Protocols that may be upgraded to (RFC 9110 section 7.8), in lower case and without version; never `h2c`. Empty for none.
    pub upgrades: Arc<[Box<str>]>,
    /// How its event streams are treated.
    pub stream: Arc<StreamPolicy>,
    /// Its deadlines.
    pub timeouts: RouteTimeouts,
    /// How its clients are pinned to servers.
    pub sticky: Option<StickyPolicy>,
    /// How many streams it takes.
    pub caps: CapsPolicy,
    /// How its clients are told apart.
    pub client: ClientPolicy,
    /// Which pages of other origins may read what it answers; `None` leaves that to the upstream.
    pub cors: Option<CorsPolicy>,
    /// A browser's own EventSource gets a soft answer in place of an error that will pass ([`crate::message::soft`]).
    pub soft_errors: bool,
}

/// What becomes of the requests of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// They go to this upstream.
    Forward(Arc<UpstreamSpec>),
    /// Their clients are sent elsewhere.
    Redirect(Redirect),
}

impl Action {
    /// The upstream that requests go to, if they go to any.
    #[must_use]
    pub fn upstream(&self) -> Option<&Arc<UpstreamSpec>> {
        match self {
            Self::Forward(upstream) => Some(upstream),
            Self::Redirect(_) => None,
        }
    }
}

/// `auth` of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPolicy {
    /// Who is asked.
    pub upstream: Arc<UpstreamSpec>,
    /// Where: a path and perhaps a query.
    pub path: Box<str>,
    /// Fields of an answer that go on with the request, in place of the client's.
    pub copy: Arc<[HeaderName]>,
}

/// What goes to servers in `Host`, or in `:authority`. What the client asked for is told apart (`forwarded`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostField {
    /// What the client asked for.
    #[default]
    Preserve,
    /// The address of the chosen server, as it was configured.
    Upstream,
    /// This host, with or without a port.
    Literal(Box<str>),
}

impl HostField {
    /// What takes the place of the client's own, where `server` is the configured address of the chosen server.
    #[must_use]
    pub fn replacement<'a>(&'a self, server: &'a str) -> Option<&'a str> {
        match self {
            Self::Preserve => None,
            Self::Upstream => Some(server),
            Self::Literal(host) => Some(host),
        }
    }
}

/// Deadlines of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Until a connection to the server stands.
    pub connect: Duration,
    /// Between two reads of a request body.
    pub request_body_idle: Duration,
    /// From the end of the request until the upstream's response head.
    pub response_head: Duration,
    /// Between two reads of a response that is no event stream.
    pub response_body_idle: Duration,
    /// A client takes nothing for so long.
    pub write_stall: Duration,
    /// A tunnel, such as a WebSocket, on which neither side says anything.
    pub tunnel_idle: Duration,
}

/// All routes, in the order of the file: the first match wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteTable {
    routes: Vec<Arc<Route>>,
}

impl RouteTable {
    /// A table of `routes`, in order.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes: routes.into_iter().map(Arc::new).collect() }
    }

    /// The route for a request with `target` as it stands in the request line, in origin or absolute form and with its query, and with
    /// `host` from its `Host` field or `:authority`. The authority of an absolute form comes first (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn find(&self, host: Option<&[u8]>, target: &[u8], method: &Method) -> Option<&Arc<Route>> {
        let (authority, path) = path::split(target);
        let name = authority.or(host).map(host::name);
        let path = path::normal_form(path);
        self.routes.iter().find(|route| route.matcher.takes(name, &path, method))
    }

    /// All routes, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}

/// `match` of a route; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteMatch {
    /// Any of these; empty for all.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Any of these; empty for all.
    pub methods: Vec<Method>,
}

impl RouteMatch {
    /// Whether all that is given holds. A request without a host is taken only where no host is given.
    fn takes(&self, name: Option<&[u8]>, path: &[u8], method: &Method) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && (self.hosts.is_empty() || name.is_some_and(|name| self.hosts.iter().any(|pattern| pattern.takes(name))))
            && self.path.takes(path)
    }
}

/// A host, compared without case and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This name, in lower case.
    Exact(String),
    /// `*.example.com`: exactly one label before this suffix, which is in lower case and without the star and its dot.
    Wildcard(String),
}

/// A path, compared in the normal form of RFC 3986 section 6.2.2.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PathPattern {
    /// Every path.
    #[default]
    Any,
    /// This path, in normal form.
    Exact(String),
    /// This path and all below it by whole segments, in normal form; only what is below it when it ends with a slash.
    Prefix(String),
}

/// How the property tests of this module run: failures are kept where every checkout finds them.
#[cfg(test)]
fn proptest_config(regressions: &'static str) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        failure_persistence: Some(Box::new(proptest::test_runner::FileFailurePersistence::Direct(regressions))),
        ..proptest::test_runner::Config::default()
    }
}

#[cfg(test)]
mod tests;
