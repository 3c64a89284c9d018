//! Which policy a request gets. Pure matching; the table is built by `config` and cannot dangle.

use std::sync::Arc;
use std::time::Duration;

use crate::stream::StreamPolicy;
use crate::upstream::UpstreamSpec;

/// One entry of `routes`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name for logs and metrics: its position in the file, from `0`.
    pub name: Arc<str>,
    /// Where its requests go.
    pub upstream: Arc<UpstreamSpec>,
    /// How its event streams are treated.
    pub stream: Arc<StreamPolicy>,
    /// Its deadlines.
    pub timeouts: RouteTimeouts,
}

/// Deadlines of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTimeouts {
    /// Until a connection to the server stands.
    pub connect: Duration,
    /// From the end of the request until the upstream's response head.
    pub response_head: Duration,
    /// A client takes nothing for so long.
    pub write_stall: Duration,
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

    /// The route for a request; every request matches until routes have a `match`.
    #[must_use]
    pub fn find(&self) -> Option<&Arc<Route>> {
        self.routes.first()
    }

    /// All routes, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.routes.iter()
    }
}
