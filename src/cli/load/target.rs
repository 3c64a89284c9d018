//! The URL and the request, judged: where to connect, and what every stream asks there.
//!
//! The framing of the request is built here and cannot be given: a field that would contradict it is refused.

use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::args::LoadArgs;

/// What a reconnect sends back (WHATWG HTML section 9.2.4).
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What every stream asks, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// A name, or an address without brackets.
    pub(super) host: String,
    port: u16,
    /// By https.
    pub(super) is_tls: bool,
    pub(super) request: Request,
}

/// What every stream asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    method: Method,
    scheme: Scheme,
    path: PathAndQuery,
    /// Host too.
    fields: HeaderMap,
    pub(super) body: Bytes,
}

impl Target {
    /// Judges `args`; what is wrong with them, in a sentence.
    pub(super) fn new(args: &LoadArgs) -> Result<Self, String> {
        let given = &args.url;
        let uri: Uri = given.parse().map_err(|error| format!("`{given}` is no URL: {error}"))?;
        let scheme = uri.scheme().filter(|scheme| [Scheme::HTTP, Scheme::HTTPS].contains(scheme)).cloned();
        let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
            return Err(format!("`{given}` is no whole URL: write http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH"));
        };
        if authority.as_str().contains('@') {
            return Err("a URL with a user name is not supported: give the field, -H 'Authorization: Basic ...'".to_owned());
        }
        let is_tls = scheme == Scheme::HTTPS;
        if !is_tls && (args.ca.is_some() || args.insecure) {
            return Err(format!("--ca and --insecure are for https, and `{given}` is not"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") if is_tls => 443,
            Some("") => 80,
            // The parser lets ports beyond 65535 pass, as none.
            _ => authority.port_u16().filter(|port| *port != 0).ok_or_else(|| format!("`{given}` has no usable port"))?,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let fields = fields(args, authority.as_str())?;
        let body = args.data.clone().unwrap_or_default().into();
        Ok(Self { host, port, is_tls, request: Request { method: method(args)?, scheme, path, fields, body } })
    }

    /// Its addresses, looked up once for all streams.
    pub(super) async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        let failed = |why: String| format!("no address for `{}`: {why}", self.host);
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await.map_err(|error| failed(error.to_string()))?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() { Err(failed("the name exists, but has none".to_owned())) } else { Ok(addresses) }
    }
}

impl Request {
    /// The answer has no body (RFC 9110 section 9.3.2).
    pub(super) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// Its bytes on HTTP/1.1, head and body.
    pub(super) fn http1(&self, last_id: Option<&[u8]>) -> Vec<u8> {
        let mut request = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.fields(last_id) {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
        request
    }

    /// Its head on HTTP/2 (RFC 9113 section 8.3.1); nothing if no HTTP/2 request can say it.
    pub(super) fn http2(&self, last_id: Option<&[u8]>) -> Option<http::Request<()>> {
        let mut fields = self.fields(last_id);
        let host = fields.remove(header::HOST)?;
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(host.as_bytes()).path_and_query(self.path.clone());
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.build().ok()?;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = fields;
        Some(request)
    }

    fn fields(&self, last_id: Option<&[u8]>) -> HeaderMap {
        let mut fields = self.fields.clone();
        // An id that no field can carry is not sent, as in browsers.
        if let Some(id) = last_id.and_then(|id| HeaderValue::from_bytes(id).ok()) {
            fields.insert(LAST_EVENT_ID, id);
        }
        fields
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

#[cfg(test)]
mod tests {
    use super::super::args::tests::parse;
    use super::*;

    fn target(arguments: &[&str]) -> Result<Target, String> {
        Target::new(&parse(arguments).unwrap())
    }

    fn request(arguments: &[&str]) -> String {
        String::from_utf8(target(arguments).unwrap().request.http1(None)).unwrap()
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
        assert!(target(&["http://a/", "-X", "HEAD"]).unwrap().request.is_head());
    }

    #[test]
    fn on_http2_the_host_is_the_authority_and_the_scheme_that_of_the_url() {
        let target = target(&["https://a:81/e?x", "-d", "{}", "-H", "Host: b"]).unwrap();
        let request = target.request.http2(Some(b"7")).unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "https://b/e?x"));
        assert_eq!(request.headers().get("last-event-id").unwrap(), "7");
        assert!(!request.headers().contains_key("host") && request.headers()["content-length"] == "2");
        assert_eq!(target.request.body, "{}");
    }

    #[test]
    fn a_reconnect_sends_the_last_id_in_place_of_a_given_one() {
        let target = target(&["http://a/", "-H", "Last-Event-ID: 0"]).unwrap();
        let text = |id| String::from_utf8(target.request.http1(id)).unwrap();
        assert!(text(None).contains("last-event-id: 0\r\n"));
        assert!(text(Some("ü 5".as_bytes())).contains("last-event-id: ü 5\r\n"));
        assert!(text(Some(b"5\x01")).contains("last-event-id: 0\r\n"));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused_with_a_reason() {
        for (arguments, reason) in [
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
            (vec!["http://a/", "--insecure"], "for https"),
            (vec!["http://a/", "--ca", "x.pem"], "for https"),
        ] {
            let problem = target(&arguments).expect_err(arguments[0]);
            assert!(problem.contains(reason), "{arguments:?}: {problem}");
        }
    }

    #[test]
    fn an_ipv6_address_loses_its_brackets_but_not_in_the_host_field() {
        let target = target(&["http://[::1]:8080/"]).unwrap();
        assert_eq!((target.host.as_str(), target.port), ("::1", 8080));
        assert!(String::from_utf8(target.request.http1(None)).unwrap().contains("host: [::1]:8080\r\n"));
    }

    #[test]
    fn the_port_follows_the_scheme() {
        for (url, port) in [("http://a/", 80), ("https://a/", 443), ("https://a:80/", 80)] {
            assert_eq!(target(&[url]).unwrap().port, port, "{url}");
        }
    }
}
