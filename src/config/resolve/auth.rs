//! `auth`: who is asked whether a request may pass.

use http::HeaderName;

use super::actions::upstream;
use super::headers::field_name;
use super::leaf::Leaf;
use super::matching::distinct;
use super::section::Section;
use super::servers::request_path;
use super::upstreams::Upstreams;
use crate::config::error::Report;
use crate::message::forwarded::speaks_of_the_client;
use crate::route::AuthPolicy;

/// `auth`; `None` is off. Also the upstreams that it names, by position; `None` if it names one that is not there.
pub(super) fn resolve(
    route: &Section<'_>,
    upstreams: &Upstreams<'_>,
    report: &mut Report<'_>,
) -> (Option<AuthPolicy>, Option<Vec<usize>>) {
    let Some(auth) = route.switched_on("auth") else { return (None, Some(Vec::new())) };
    let position = auth.required_leaf("upstream", report).and_then(|leaf| upstream(&leaf, upstreams, report));
    let path = auth.required_leaf("path", report).and_then(|leaf| request_path(&leaf, report));
    let copy = distinct(&auth.any_leaves("copy"), name, Clone::clone, report).into();
    let upstream = position.and_then(|position| upstreams.spec(position));
    let policy = upstream.zip(path).map(|(upstream, path)| AuthPolicy { upstream, path: path.into(), copy });
    (policy, position.map(|position| vec![position]))
}

fn name(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<HeaderName> {
    let name = field_name(leaf.text(), leaf.span(), report)?;
    if speaks_of_the_client(name.as_str().as_bytes()) {
        leaf.refuse("tells the server who the client is, which is ours to say", "remove it, and see `forwarded`", report);
        return None;
    }
    Some(name)
}
