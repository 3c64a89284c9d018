//! `match`: which requests a route takes, and which routes no request reaches because an earlier one takes them all.
//!
//! Hosts and paths are kept in the form in which requests are compared, so that two spellings of one thing are one thing here too
//! (RFC 3986 section 6.2.2; RFC 4343 for the case of names).

use std::collections::HashSet;
use std::hash::Hash;

use http::Method;

use super::leaf::Leaf;
use super::section::Section;
use crate::config::address;
use crate::config::error::Report;
use crate::config::source::Span;
use crate::route::path::normalize;
use crate::route::{HostPattern, PathPattern, RouteMatch};

/// `match` of a route.
#[derive(Debug)]
pub(super) struct Match {
    pub(super) matcher: RouteMatch,
    /// Nothing of what was written is missing in `matcher`, so that it can be compared with others.
    is_whole: bool,
}

/// `match`; all requests when it was left out.
pub(super) fn resolve(route: &Section<'_>, report: &mut Report<'_>) -> Match {
    let errors = report.errors();
    let matcher = matcher(route, report);
    Match { matcher, is_whole: report.errors() == errors && route.is_taken("match") }
}

fn matcher(route: &Section<'_>, report: &mut Report<'_>) -> RouteMatch {
    let section = route.section("match");
    let hosts = distinct(&section.leaves("host", report), host, show_host, report);
    let methods = distinct(&section.leaves("methods", report), method, Method::to_string, report);
    RouteMatch { hosts, path: path(&section, report), methods }
}

/// Each leaf read; the same twice is refused.
pub(super) fn distinct<T, S: Eq + Hash>(
    leaves: &[Leaf<'_>],
    read: impl Fn(&Leaf<'_>, &mut Report<'_>) -> Option<T>,
    show: impl Fn(&T) -> S,
    report: &mut Report<'_>,
) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for leaf in leaves {
        let Some(value) = read(leaf, report) else { continue };
        if seen.insert(show(&value)) {
            values.push(value);
        } else {
            leaf.refuse("is there twice", "keep one of them", report);
        }
    }
    values
}

fn host(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<HostPattern> {
    const FORM: &str = "write a name such as `app.example.com`, or `*.example.com` for every name one label below";
    let refuse = |what: &str, meant: Option<String>, report: &mut Report<'_>| {
        leaf.refuse_with_fix(what, meant.map(|meant| format!("write `{meant}`")), FORM, report);
        None
    };
    let (star, name) = match leaf.text().strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None if leaf.text() == "*" => {
            leaf.refuse("is no host", "remove `host`: without it the route takes every host", report);
            return None;
        }
        None => ("", leaf.text()),
    };
    if name.contains('*') {
        return refuse("has a `*` that is not its whole first label", None, report);
    }
    match address::requested_host(name) {
        Ok(name) if star.is_empty() => Some(HostPattern::Exact(name)),
        Ok(name) if address::is_name(&name) => Some(HostPattern::Wildcard(name)),
        Ok(_) => refuse("has a `*` before an IP address", None, report),
        Err(error) => refuse(&error.to_string(), error.meant.map(|meant| format!("{star}{meant}")), report),
    }
}

fn method(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<Method> {
    let upper = leaf.text().to_ascii_uppercase();
    match Method::from_bytes(leaf.text().as_bytes()) {
        Ok(method) if leaf.text() == upper => return Some(method),
        Ok(_) => leaf.refuse_with_fix("is not in upper case", Some(format!("write `{upper}`")), "write it in upper case", report),
        Err(_) => leaf.refuse("is no method", "write a method such as `GET` or `POST`", report),
    }
    None
}

fn path(section: &Section<'_>, report: &mut Report<'_>) -> PathPattern {
    let mut read = |key| section.leaf(key).and_then(|leaf| normal_path(&leaf, report));
    match (read("path"), read("path_prefix")) {
        (Some(_), Some(_)) => {
            let message = "`path` and `path_prefix` exclude each other";
            let help = "keep `path` for exactly one path, or `path_prefix` for it and all below";
            report.error(section.key_span("path_prefix"), message, help);
            PathPattern::Any
        }
        (Some(path), None) => PathPattern::Exact(path),
        (None, Some(prefix)) => PathPattern::Prefix(prefix),
        (None, None) => PathPattern::Any,
    }
}

pub(super) fn normal_path(leaf: &Leaf<'_>, report: &mut Report<'_>) -> Option<String> {
    const FORM: &str = "write a path that starts with `/`, such as `/events`; blanks and letters beyond ASCII as `%20`";
    let text = leaf.text();
    let what = match text {
        _ if text.contains("://") => "is a URL, where a path alone belongs",
        _ if text.contains(['?', '#']) => "has a query or a fragment, which are not looked at",
        _ if text.ends_with("/*") || text.contains("**") => {
            "has a `*`, which is no wildcard here: `path_prefix` takes all paths below"
        }
        _ => match normalize(text) {
            Some(path) => return Some(path),
            None if !text.starts_with('/') => "does not start with `/`",
            None => "is no path",
        },
    };
    leaf.refuse(what, FORM, report);
    None
}

/// As the file says it, in lower case.
pub(in crate::config) fn show_host(host: &HostPattern) -> String {
    match host {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Wildcard(suffix) => format!("*.{suffix}"),
    }
}

/// The routes so far, to find those behind them that no request reaches.
#[derive(Debug, Default)]
pub(super) struct Earlier<'m>(Vec<Taker<'m>>);

#[derive(Debug)]
struct Taker<'m> {
    at: Span,
    matcher: &'m RouteMatch,
    hosts: HashSet<String>,
}

impl<'m> Earlier<'m> {
    /// The first route that takes all that this one takes; remembers this one when there is none.
    pub(super) fn find_or_add(&mut self, Match { matcher, is_whole }: &'m Match, at: Span) -> Option<(Span, &'m RouteMatch)> {
        if !is_whole {
            return None;
        }
        if let Some(taker) = self.0.iter().find(|taker| taker.takes_all_of(matcher)) {
            return Some((taker.at, taker.matcher));
        }
        self.0.push(Taker { at, matcher, hosts: matcher.hosts.iter().map(show_host).collect() });
        None
    }
}

impl Taker<'_> {
    fn takes_all_of(&self, other: &RouteMatch) -> bool {
        takes_all_paths(&self.matcher.path, &other.path)
            && takes_all(&self.matcher.methods, &other.methods, |method| self.matcher.methods.contains(method))
            && takes_all(&self.matcher.hosts, &other.hosts, |host| self.takes_host(host))
    }

    fn takes_host(&self, host: &HostPattern) -> bool {
        let parent = match host {
            HostPattern::Exact(name) => name.split_once('.').map(|(_, parent)| format!("*.{parent}")),
            HostPattern::Wildcard(_) => None,
        };
        self.hosts.contains(&show_host(host)) || parent.is_some_and(|parent| self.hosts.contains(&parent))
    }
}

/// No words take everything.
fn takes_all<T>(wide: &[T], narrow: &[T], takes: impl Fn(&T) -> bool) -> bool {
    wide.is_empty() || (!narrow.is_empty() && narrow.iter().all(takes))
}

fn takes_all_paths(wide: &PathPattern, narrow: &PathPattern) -> bool {
    match (wide, narrow) {
        (PathPattern::Any, _) => true,
        (PathPattern::Exact(wide), PathPattern::Exact(narrow)) => wide == narrow,
        (PathPattern::Prefix(wide), PathPattern::Exact(narrow) | PathPattern::Prefix(narrow)) => {
            let rest = narrow.strip_prefix(wide.as_str());
            rest.is_some_and(|rest| rest.is_empty() || wide.ends_with('/') || rest.starts_with('/'))
        }
        _ => false,
    }
}
