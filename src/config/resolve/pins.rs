//! Pins that overwrite each other: two routes with a cookie of one name, which some host shows to both, and with other servers behind
//! each. All pins have `Path=/`, so other paths do not keep them apart. Each route takes the other's pin for none and sets its own, and
//! clients move at every turn.

use std::sync::Arc;

use crate::affinity::StickyPolicy;
use crate::config::error::{Report, quote};
use crate::config::source::Span;
use crate::route::{HostPattern, RouteMatch};
use crate::upstream::UpstreamSpec;

/// The pins of the routes so far.
#[derive(Debug, Default)]
pub(super) struct Pins<'m>(Vec<Pin<'m>>);

#[derive(Debug)]
struct Pin<'m> {
    at: Span,
    cookie: String,
    domain: Option<String>,
    matcher: &'m RouteMatch,
    upstream: Arc<UpstreamSpec>,
}

/// Some hosts.
#[derive(Debug, Clone, Copy)]
enum Hosts<'a> {
    All,
    Pattern(&'a HostPattern),
    /// It and all below (RFC 6265 section 5.1.3).
    Domain(&'a str),
}

impl<'m> Pins<'m> {
    /// Warns when an earlier route overwrites this pin; `at` is where its cookie is named.
    pub(super) fn add(
        &mut self,
        at: Span,
        policy: &StickyPolicy,
        matcher: &'m RouteMatch,
        upstream: &Arc<UpstreamSpec>,
        report: &mut Report<'_>,
    ) {
        let (cookie, domain) = (policy.cookie.clone(), policy.domain.clone());
        let pin = Pin { at, cookie, domain, matcher, upstream: Arc::clone(upstream) };
        if let Some(other) = self.0.iter().find(|other| other.collides(&pin)) {
            let message = format!(
                "{} is the pin of the route on line {} too, which has other servers: they overwrite each other",
                quote(&pin.cookie),
                other.at.line
            );
            report.warning(at, message, "give one of the two cookies another name");
        }
        self.0.push(pin);
    }
}

impl Pin<'_> {
    fn collides(&self, other: &Self) -> bool {
        !Arc::ptr_eq(&self.upstream, &other.upstream)
            && self.cookie == other.cookie
            && self.upstream.servers != other.upstream.servers
            && (self.reaches(other) || other.reaches(self))
    }

    /// Whether clients show this pin to a host of the other route.
    fn reaches(&self, other: &Self) -> bool {
        let shown: Vec<_> = match &self.domain {
            Some(domain) => vec![Hosts::Domain(domain)],
            None => self.hosts().collect(),
        };
        other.hosts().any(|host| shown.iter().any(|shown| shown.meets(host)))
    }

    /// The hosts that the route takes.
    fn hosts(&self) -> impl Iterator<Item = Hosts<'_>> {
        let all = self.matcher.hosts.is_empty().then_some(Hosts::All);
        all.into_iter().chain(self.matcher.hosts.iter().map(Hosts::Pattern))
    }
}

impl Hosts<'_> {
    /// Whether a host lies in both.
    fn meets(self, other: Hosts<'_>) -> bool {
        use HostPattern::{Exact, Wildcard};
        use Hosts::{All, Domain, Pattern};
        match (self, other) {
            (All, _) | (_, All) => true,
            (Pattern(one), Pattern(two)) => match (one, two) {
                (Exact(one), Exact(two)) | (Wildcard(one), Wildcard(two)) => one == two,
                (Exact(name), Wildcard(suffix)) | (Wildcard(suffix), Exact(name)) => parent(name) == Some(suffix),
            },
            (Pattern(Exact(name)), Domain(domain)) | (Domain(domain), Pattern(Exact(name))) => is_within(name, domain),
            (Pattern(Wildcard(suffix)), Domain(domain)) | (Domain(domain), Pattern(Wildcard(suffix))) => {
                is_within(suffix, domain) || parent(domain) == Some(suffix)
            }
            (Domain(one), Domain(two)) => is_within(one, two) || is_within(two, one),
        }
    }
}

/// Without its first label.
fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// Whether `name` is `domain` or lies below it.
fn is_within(name: &str, domain: &str) -> bool {
    name.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
