//! The question whether a request may pass, as another server gets it, and what its answer changes.
//!
//! The question is a GET with the client's own fields and no body. What made the request conditional or partial, and what described its
//! body, stays behind: an answer of 304 or 206 would be no verdict (RFC 9110 sections 13 and 14). The answer's fields take the place of
//! whatever the client sent under their names, or names that applications read as the same: nobody writes his own `X-User`.

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora::Result;
use pingora::http::RequestHeader;

use super::edit::{Edit, rewrite};
use super::grammar::reads_as;
use super::request::{self, AcceptCoding, BuildOptions, Unbuildable};
use super::request_head::RequestFraming;

/// Never asked on: `X-Original-*` is ours to say.
const FAMILIES: [&[u8]; 3] = [b"x-original-", b"if-", b"content-"];

/// The head of the question for the request `down`, which goes to `path`; `host` stands in where the client named none.
///
/// # Errors
/// As [`request::build`].
pub fn build(down: &RequestHeader, path: &str, host: &str) -> std::result::Result<RequestHeader, Unbuildable> {
    let options = BuildOptions { default_host: host, accept: AcceptCoding::AsAsked };
    let mut head = request::build(down, RequestFraming::None, options)?;
    let (method, target) = (head.method.as_str().to_owned(), head.raw_path().to_owned());
    let stays_behind = |name: &[u8]| {
        let is_of = |family: &[u8]| name.get(..family.len()).is_some_and(|start| reads_as(start, family));
        FAMILIES.into_iter().any(is_of) || reads_as(name, b"range")
    };
    rewrite(&mut head, |name, _| if stays_behind(name) { Edit::Drop } else { Edit::Keep }).map_err(|_| Unbuildable("a field"))?;
    head.set_method(Method::GET);
    head.set_raw_path(path.as_bytes()).map_err(|_| Unbuildable("its target"))?;
    let fields = head.append_header("X-Original-URI", target).and_then(|_| head.append_header("X-Original-Method", method));
    fields.map_err(|_| Unbuildable("a field"))?;
    Ok(head)
}

/// The fields of an answer that are called one of `names`.
#[must_use]
pub fn fields(answer: &HeaderMap, names: &[HeaderName]) -> Vec<(HeaderName, HeaderValue)> {
    let values = |name| answer.get_all(name).iter().map(move |value| (HeaderName::clone(name), value.clone()));
    names.iter().flat_map(values).collect()
}

/// Puts what was granted into the request `up` in place of all fields called one of `names`.
///
/// # Errors
/// If a field cannot be written, which no judged field causes. Then `up` must not be sent.
pub fn replace(up: &mut RequestHeader, names: &[HeaderName], granted: &[(HeaderName, HeaderValue)]) -> Result<()> {
    let goes = |name: &[u8]| names.iter().any(|copied| reads_as(name, copied.as_str().as_bytes()));
    if up.headers.keys().any(|name| goes(name.as_str().as_bytes())) {
        rewrite(up, |name, _| if goes(name) { Edit::Drop } else { Edit::Keep })?;
    }
    granted.iter().try_for_each(|(name, value)| up.append_header(name, value).map(drop))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use pingora::http::RequestHeader;

    use super::{build, fields, replace};

    fn head(method: &str, target: &str, fields: &[(&'static str, &str)]) -> RequestHeader {
        let mut head = RequestHeader::build(method, target.as_bytes(), None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        head
    }

    fn all(head: &RequestHeader) -> Vec<(&str, &str)> {
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn the_question_is_a_get_with_the_clients_fields_and_no_body() {
        let down = head(
            "POST",
            "/a%2f/../b?c=%20",
            &[
                ("Host", "test"),
                ("Cookie", "a=b"),
                ("Authorization", "Bearer x"),
                ("Content-Length", "3"),
                ("Content-Type", "text/plain"),
                ("Transfer-Encoding", "chunked"),
                ("Connection", "close, x-gone"),
                ("X-Gone", "1"),
                ("Upgrade", "websocket"),
                ("Expect", "100-continue"),
                ("If-None-Match", "\"x\""),
                ("If-Modified-Since", "x"),
                ("Range", "bytes=0-1"),
                ("Accept", "text/event-stream"),
            ],
        );
        let question = build(&down, "/auth?x=1", "unused").unwrap();
        assert_eq!((question.method.as_str(), question.raw_path()), ("GET", b"/auth?x=1".as_slice()));
        assert_eq!(
            all(&question),
            [
                ("host", "test"),
                ("cookie", "a=b"),
                ("authorization", "Bearer x"),
                ("accept", "text/event-stream"),
                ("x-original-uri", "/a%2f/../b?c=%20"),
                ("x-original-method", "POST"),
            ]
        );
    }

    #[test]
    fn nobody_says_himself_what_was_asked() {
        let down = head(
            "GET",
            "http://test?q",
            &[
                ("Host", "test"),
                ("X-Original-URI", "/public"),
                ("X_Original_Uri", "/public"),
                ("x-original-method", "GET"),
                ("X-Original-Host", "public"),
            ],
        );
        let question = build(&down, "/auth", "unused").unwrap();
        assert_eq!(all(&question), [("host", "test"), ("x-original-uri", "/?q"), ("x-original-method", "GET")]);
        let old = build(&head("GET", "/", &[]), "/auth", "auth:1").unwrap();
        assert_eq!(all(&old)[0], ("host", "auth:1"));
    }

    #[test]
    fn what_is_granted_takes_the_place_of_what_the_client_says() {
        let names = ["x-user", "x-groups"].map(HeaderName::from_static);
        let mut answer = HeaderMap::new();
        for (name, value) in [("x-groups", "a"), ("x-other", "b"), ("x-groups", "c")] {
            answer.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let granted = fields(&answer, &names);
        let mut up = head("GET", "/", &[("X-User", "root"), ("X_User", "root"), ("x-groups", "wheel"), ("X-Kept", "1")]);
        replace(&mut up, &names, &granted).unwrap();
        assert_eq!(all(&up), [("x-kept", "1"), ("x-groups", "a"), ("x-groups", "c")]);
    }
}
