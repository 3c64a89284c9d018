//! What a route does with its clients: `sticky` pins them to servers, `caps` counts their streams.
//!
//! A secret is never in a message: what is wrong with one is said without [`super::leaf::Leaf::refuse`], which would show it. The
//! lines of secrets are kept out of excerpts by [`crate::config::secrecy`].

use std::collections::HashSet;

use super::leaf;
use super::pick::{Pick, is_token, pick};
use super::section::Section;
use crate::admission::{CapsPolicy, OverCap};
use crate::affinity::{SameSite, Secret, StickyPolicy};
use crate::client_id::{ClientPolicy, ClientSource};
use crate::config::error::Report;
use crate::config::words::{LATER_OVER_CAPS, OVER_CAPS, SAME_SITES};
use crate::config::{address, defaults};
use crate::route::{HostPattern, RouteMatch};

/// `sticky`; `None` is off.
pub(super) fn sticky(route: &Section<'_>, matcher: &RouteMatch, report: &mut Report<'_>) -> Option<StickyPolicy> {
    let sticky = route.switched_on("sticky")?;
    let domain = domain(&sticky, matcher, report);
    let secrets = secrets(&sticky, report);
    let max_age = leaf::duration(sticky.leaf("max_age"), defaults::PIN_MAX_AGE, defaults::PIN_MAX_AGES, report);
    let same_site = leaf::choice(sticky.leaf("same_site"), SameSite::default(), &SAME_SITES, &[], report);
    Some(StickyPolicy { cookie: cookie(&sticky, domain.is_some(), report)?, secrets, max_age, same_site, domain })
}

fn cookie(sticky: &Section<'_>, has_domain: bool, report: &mut Report<'_>) -> Option<String> {
    // Who pins by a header was told that it comes later: no cookie is missing then.
    let leaf = if sticky.has("header") { sticky.leaf("cookie")? } else { sticky.required_leaf("cookie", report)? };
    let text = leaf.text();
    if !is_token(text) {
        leaf.refuse("is no name of a cookie", "write letters, digits, `-` and `_`, such as `ssedge`", report);
    } else if has_domain && text.to_ascii_lowercase().starts_with("__host-") {
        // RFC 6265bis section 4.1.3.2.
        leaf.refuse(
            "with a `domain`: browsers refuse `__Host-` cookies that have one",
            "remove `domain`, or rename the cookie",
            report,
        );
    }
    Some(text.to_owned())
}

fn secrets(sticky: &Section<'_>, report: &mut Report<'_>) -> Vec<Secret> {
    const HELP: &str = "make one with `openssl rand -hex 32`, and give it as `\"${SSEDGE_STICKY_SECRET}\"`";
    let mut seen = HashSet::new();
    for leaf in sticky.required_leaves("secrets", report) {
        if leaf.text().len() < defaults::SHORTEST_SECRET {
            let message = format!("`secrets`: this one is shorter than {} bytes", defaults::SHORTEST_SECRET);
            report.error(leaf.span(), message, HELP);
        } else if !seen.insert(leaf.text()) {
            report.error(leaf.span(), "`secrets`: this one is there twice", "keep one of them: the first seals, all open");
        }
    }
    sticky.any_leaves("secrets").iter().map(|leaf| Secret(leaf.text().to_owned())).collect()
}

/// Browsers take a cookie only for a domain that the host lies in (RFC 6265 section 5.3, step 6).
fn domain(sticky: &Section<'_>, matcher: &RouteMatch, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "write a name such as `example.com`";
    let leaf = sticky.leaf("domain")?;
    let domain = match address::requested_host(leaf.text().strip_prefix('.').unwrap_or(leaf.text())) {
        Ok(name) if address::is_name(&name) => name,
        Ok(_) => {
            leaf.refuse(
                "is an IP address, where a domain belongs",
                "remove `domain`: the cookie is then for this host alone",
                report,
            );
            return None;
        }
        Err(error) => {
            leaf.refuse_with_fix(&error, error.meant.as_ref().map(|meant| format!("write `{meant}`")), FORM, report);
            return None;
        }
    };
    let covers = |host: &HostPattern| {
        let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = host;
        name.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    if !matcher.hosts.iter().all(covers) {
        let help = "write the part that all hosts of the route end in, or remove `domain`";
        leaf.refuse("is not what every host of this route ends in: browsers would refuse the cookie", help, report);
    }
    Some(domain)
}

/// `caps`: how many streams, and whose.
pub(super) fn caps(route: &Section<'_>, report: &mut Report<'_>) -> (CapsPolicy, ClientPolicy) {
    let caps = route.section("caps");
    let policy = CapsPolicy {
        streams_per_client: leaf::cap(caps.leaf("streams_per_client"), defaults::MOST_CONNECTIONS, report),
        streams: leaf::cap(caps.leaf("streams"), defaults::MOST_CONNECTIONS, report),
        over_cap: leaf::choice(caps.leaf("over_cap"), OverCap::default(), &OVER_CAPS, LATER_OVER_CAPS, report),
    };
    if let (Some(client), Some(all)) = (policy.streams_per_client, policy.streams)
        && client > all
    {
        let message = format!("`streams_per_client` ({client}) is never reached: all clients together have {all}");
        report.warning(caps.key_span("streams_per_client"), message, "write less than `streams`, or remove it");
    }
    let source = match pick(caps.leaf("client"), &["ip"], report) {
        Some(Pick::Header(name)) => ClientSource::Header(name),
        Some(Pick::Cookie(name)) => ClientSource::Cookie(name),
        Some(Pick::Word(_)) | None => ClientSource::Ip,
    };
    let ipv6_prefix = leaf::number(caps.leaf("ipv6_prefix"), defaults::IPV6_PREFIX.into(), 1..=128, report);
    (policy, ClientPolicy { source, ipv6_prefix: u8::try_from(ipv6_prefix).unwrap_or(defaults::IPV6_PREFIX) })
}
