//! What becomes of the requests of a route: `upstream` or `redirect`, one of the two, and `rewrite` before either.

use super::leaf::Leaf;
use super::matching::normal_path;
use super::section::Section;
use super::upstreams::Upstreams;
use crate::config::defaults;
use crate::config::error::{Report, quote};
use crate::message::is_authority;
use crate::route::{Action, BadTarget, HostField, REDIRECT_STATUSES, Redirect, RedirectTarget, Rewrite, RouteMatch};

/// Keys that say nothing to a redirect: it is answered here, and no server is asked.
const FORWARD_ONLY: [&str; 12] = [
    "host",
    "auth",
    "request_headers",
    "upgrades",
    "timeouts",
    "heartbeat",
    "strict_no_transform",
    "max_upstream_silence",
    "max_age",
    "sticky",
    "caps",
    "soft_errors",
];

/// What a route says that it does.
#[derive(Debug)]
pub(super) struct Chosen {
    /// `None` if that cannot be used.
    pub(super) action: Option<Action>,
    /// The upstreams that it names, by position; `None` if it names one that is not there, or nothing.
    pub(super) names: Option<Vec<usize>>,
}

/// `upstream` or `redirect`.
pub(super) fn resolve(route: &Section<'_>, upstreams: &Upstreams<'_>, report: &mut Report<'_>) -> Chosen {
    match (route.has("upstream"), route.has("redirect") && !route.is_off("redirect")) {
        (true, true) => {
            let message = "`upstream` and `redirect` exclude each other";
            let help = "keep `upstream` to forward requests, or `redirect` to send their clients elsewhere";
            report.error(route.key_span("redirect"), message, help);
            Chosen { action: None, names: None }
        }
        (false, true) => {
            refuse_forward_only(route, report);
            let redirect = route.switched_on("redirect").and_then(|section| redirect(&section, report));
            Chosen { action: redirect.map(Action::Redirect), names: Some(Vec::new()) }
        }
        (true, false) => {
            let position = route.leaf("upstream").and_then(|leaf| upstream(&leaf, upstreams, report));
            let spec = position.and_then(|position| upstreams.spec(position));
            Chosen { action: spec.map(Action::Forward), names: position.map(|position| vec![position]) }
        }
        (false, false) => {
            let message = "an entry of `routes` needs `upstream` or `redirect`";
            report.error(route.span(), message, "write `upstream: app`, or `redirect: { to: \"https://example.com{uri}\" }`");
            Chosen { action: None, names: None }
        }
    }
}

/// The position of the upstream that is named.
pub(super) fn upstream(leaf: &Leaf<'_>, upstreams: &Upstreams<'_>, report: &mut Report<'_>) -> Option<usize> {
    let position = upstreams.find(leaf.text());
    if position.is_none() {
        let fix = upstreams.nearest(leaf.text()).map(|name| format!("did you mean {}?", quote(name)));
        leaf.refuse_with_fix("is not one of the `upstreams`", fix, "name one of the `upstreams`, or add it there", report);
    }
    position
}

fn refuse_forward_only(route: &Section<'_>, report: &mut Report<'_>) {
    for key in FORWARD_ONLY.into_iter().filter(|key| route.has(key)) {
        let message = format!("`{key}` says nothing to a `redirect`, which no server is asked about");
        report.error(route.key_span(key), message, "remove it, or write `upstream` in place of `redirect`");
    }
}

/// `rewrite`; `None` when it changes nothing.
pub(super) fn rewrite(route: &Section<'_>, matcher: &RouteMatch, report: &mut Report<'_>) -> Option<Rewrite> {
    let section = route.section("rewrite");
    let strip_prefix = section.leaf("strip_prefix").and_then(|leaf| prefix(&leaf, report));
    let add_prefix = section.leaf("add_prefix").and_then(|leaf| prefix(&leaf, report));
    if let Some(prefix) = strip_prefix.as_deref().filter(|prefix| !matcher.path.can_begin_with(prefix)) {
        let message = format!("no path that this route takes begins with {}", quote(prefix));
        report.warning(section.key_span("strip_prefix"), message, "write the prefix that `match` names, or a part of it");
    }
    let rewrite = Rewrite { strip_prefix, add_prefix };
    (rewrite != Rewrite::default()).then_some(rewrite)
}

/// `host`.
pub(super) fn host(route: &Section<'_>, report: &mut Report<'_>) -> HostField {
    const FORM: &str = "write `preserve`, `upstream`, or a host such as `app.internal` or `app.internal:8080`";
    let Some(leaf) = route.leaf("host") else { return HostField::default() };
    match leaf.text() {
        "preserve" => HostField::Preserve,
        "upstream" => HostField::Upstream,
        host if is_authority(host.as_bytes()) => HostField::Literal(host.into()),
        host => {
            let meant = host.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
            let fix = meant.filter(|meant| is_authority(meant.as_bytes())).map(|meant| format!("write {}", quote(meant)));
            leaf.refuse_with_fix("is no host", fix, FORM, report);
            HostField::default()
        }
    }
}

fn prefix(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<Box<str>> {
    let path = normal_path(leaf, report)?;
    match path.strip_suffix('/') {
        None => return Some(path.into()),
        Some("") => leaf.refuse("is no prefix: every path begins with it", "remove it, or write one such as `/api`", report),
        Some(shorter) => {
            let fix = Some(format!("write {}", quote(shorter)));
            leaf.refuse_with_fix("ends with a slash, which belongs to what follows", fix, "write it without the slash", report);
        }
    }
    None
}

fn redirect(redirect: &Section<'_>, report: &mut Report<'_>) -> Option<Redirect> {
    let status = status(redirect.leaf("status"), report);
    let to = redirect.required_leaf("to", report)?;
    let help = |problem| match problem {
        BadTarget::Form | BadTarget::Host => "write a URL such as `https://example.com{uri}`, or a path such as `/new{query}`",
        BadTarget::Placeholder => {
            "write `{uri}` for the path and the query that came, `{path}` or `{query}` for one of them; a plain brace is `%7B`"
        }
        BadTarget::Byte => "escape it, a blank for example as `%20`",
    };
    match RedirectTarget::parse(to.text()) {
        Ok(to) => Some(Redirect { status, to }),
        Err(problem) => {
            to.refuse(problem, help(problem), report);
            None
        }
    }
}

fn status(leaf: Option<Leaf<'_>>, report: &mut Report<'_>) -> u16 {
    let Some(leaf) = leaf else { return defaults::REDIRECT_STATUS };
    let found = REDIRECT_STATUSES.into_iter().find(|status| leaf.text().trim() == status.to_string());
    found.unwrap_or_else(|| {
        leaf.refuse("is no status of a redirect", "write one of `301`, `302`, `303`, `307`, `308`", report);
        defaults::REDIRECT_STATUS
    })
}
