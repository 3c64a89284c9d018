//! The arguments, judged: where to connect and the bytes of the one request that every stream sends.
//!
//! The framing of the request is built here and cannot be given: a field that would contradict it is refused.

use std::net::SocketAddr;
use std::time::Duration;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use jiff::SignedDuration;

use super::LoadArgs;

/// Longest `--hold`.
const MAX_HOLD: Duration = Duration::from_secs(7 * 24 * 3600);

/// What every stream asks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// A name, or an address without brackets.
    host: String,
    port: u16,
    /// Where the host is, tried in order; none until [`Self::resolve`].
    pub(super) addresses: Vec<SocketAddr>,
    /// The request, head and body.
    pub(super) request: Vec<u8>,
    /// The answer has no body (RFC 9110 section 9.3.2).
    pub(super) is_head: bool,
}

impl Target {
    /// Judges `args`; what is wrong with them, in a sentence.
    pub(super) fn new(args: &LoadArgs) -> Result<Self, String> {
        let given = &args.url;
        let uri: Uri = given.parse().map_err(|error| format!("`{given}` is no URL: {error}"))?;
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err("https is not supported: load the plain listener, http://...".to_owned());
        }
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP));
        let authority = authority.ok_or_else(|| format!("`{given}` is no whole URL: write http://HOST[:PORT]/PATH"))?;
        if authority.as_str().contains('@') {
            return Err("a URL with a user name is not supported: give the field, -H 'Authorization: Basic ...'".to_owned());
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => 80,
            // The parser lets ports beyond 65535 pass, as none.
            _ => authority.port_u16().filter(|port| *port != 0).ok_or_else(|| format!("`{given}` has no usable port"))?,
        };
        let method = method(args)?;
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let fields = fields(args, authority.as_str())?;

        let mut request = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        for (name, value) in &fields {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(args.data.as_deref().unwrap_or_default().as_bytes());
        let is_head = method == Method::HEAD;
        Ok(Self { host, port, addresses: Vec::new(), request, is_head })
    }

    /// The same with its addresses looked up, once for all streams.
    pub(super) async fn resolve(mut self) -> Result<Self, String> {
        let failed = |why: String| format!("no address for `{}`: {why}", self.host);
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(failed("the name exists, but has none".to_owned()));
        }
        self.addresses = addresses;
        Ok(self)
    }
}

fn method(args: &LoadArgs) -> Result<Method, String> {
    match &args.method {
        Some(name) => Method::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no method")),
        None if args.data.is_some() => Ok(Method::POST),
        None => Ok(Method::GET),
    }
}

/// The given fields, and those that a client of a stream sends where they are not given.
fn fields(args: &LoadArgs, authority: &str) -> Result<HeaderMap, String> {
    let mut fields = HeaderMap::new();
    for given in &args.headers {
        let (name, value) = given.split_once(':').ok_or_else(|| format!("`{given}` is no header field: write \"Name: value\""))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no header name"))?;
        let value =
            HeaderValue::from_str(value.trim()).map_err(|_| format!("the value of `{name}` has bytes that no header may have"))?;
        if [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&name) {
            return Err(format!("`{name}` cannot be given: load frames its requests itself"));
        }
        fields.append(name, value);
    }
    let mut or_insert = |name: HeaderName, value: HeaderValue| {
        fields.entry(name).or_insert(value);
    };
    or_insert(header::HOST, HeaderValue::from_str(authority).map_err(|_| format!("`{authority}` is no host"))?);
    or_insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
    or_insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some(data) = &args.data {
        or_insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        or_insert(header::CONTENT_LENGTH, HeaderValue::from(data.len()));
    }
    Ok(fields)
}

/// `250ms`, `30s`, `1m 30s`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number with its unit, such as `250ms`, `30s` or `1m 30s`".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| wrong())?;
    let duration = Duration::try_from(duration).map_err(|_| wrong())?;
    if duration > MAX_HOLD { Err("longer than 7 days".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LoadArgs,
    }

    fn target(arguments: &[&str]) -> Result<Target, String> {
        Target::new(&Line::try_parse_from(["load"].iter().chain(arguments)).unwrap().args)
    }

    fn request(arguments: &[&str]) -> String {
        String::from_utf8(target(arguments).unwrap().request).unwrap()
    }

    #[test]
    fn the_request_is_what_an_event_source_sends() {
        assert_eq!(
            request(&["http://a:81/events?x=1"]),
            "GET /events?x=1 HTTP/1.1\r\nhost: a:81\r\naccept: text/event-stream\r\ncache-control: no-cache\r\n\r\n"
        );
        assert!(request(&["http://a"]).starts_with("GET / HTTP/1.1\r\n"));
    }

    #[test]
    fn given_fields_replace_ours_and_may_repeat() {
        let request = request(&["http://a/", "-H", "Accept: */*", "-H", "X-A: 1", "-H", "x-a:2", "-H", "Host: b"]);
        assert!(
            request.contains("accept: */*\r\n") && request.contains("x-a: 1\r\nx-a: 2\r\n") && request.contains("host: b\r\n"),
            "{request}"
        );
        assert!(!request.contains("text/event-stream") && !request.contains("host: a"), "{request}");
    }

    #[test]
    fn data_makes_it_a_post_with_its_length() {
        let request = request(&["http://a/", "-d", "{\"ü\":1}"]);
        assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("content-type: application/json\r\n"), "{request}");
        assert!(request.ends_with("content-length: 8\r\n\r\n{\"ü\":1}"), "{request}");
        assert!(target(&["http://a/", "-X", "HEAD"]).unwrap().is_head);
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused_with_a_reason() {
        for (arguments, reason) in [
            (vec!["https://a/"], "https is not supported"),
            (vec!["a/events"], "no URL"),
            (vec!["/events"], "no whole URL"),
            (vec!["ftp://a/"], "no whole URL"),
            (vec!["http://u:p@a/"], "user name"),
            (vec!["http://a:0/"], "no usable port"),
            (vec!["http://a:/"], "no usable port"),
            (vec!["http://a:99999/"], "no usable port"),
            (vec!["http://a/", "-H", "nonsense"], "no header field"),
            (vec!["http://a/", "-H", "a b: c"], "no header name"),
            (vec!["http://a/", "-H", "a: b\nc"], "no header may have"),
            (vec!["http://a/", "-H", "Content-Length: 5"], "cannot be given"),
            (vec!["http://a/", "-X", "GE T"], "no method"),
        ] {
            let problem = target(&arguments).expect_err(arguments[0]);
            assert!(problem.contains(reason), "{arguments:?}: {problem}");
        }
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_but_not_in_the_host_field() {
        let target = target(&["http://[::1]:8080/"]).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8080));
        assert!(str::from_utf8(&target.request).unwrap().contains("host: [::1]:8080\r\n"));
    }

    #[test]
    fn a_hold_has_its_unit_and_a_bound() {
        assert_eq!(parse_duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "30", "-5s", "soon"] {
            assert!(parse_duration(wrong).is_err_and(|why| why.contains("with its unit")), "{wrong:?}");
        }
        assert_eq!(parse_duration("400h"), Err("longer than 7 days".to_owned()));
    }
}
