//! For tests: a second reading of heads that we write, by a parser that shares nothing with the judge; the bytes as the sessions
//! below us really write them; and what heads are put together from.
//!
//! It knows one way to write a head (RFC 9112 sections 2 to 5, as a careful sender has it) and takes no other.

use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::http::v1::client::HttpSession as UpstreamSession;
use pingora::protocols::http::v1::server::HttpSession as ClientSession;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A head as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The three parts of the first line; a reason phrase may have spaces.
    pub(super) start: [String; 3],
    /// Names in lower case.
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Message {
    /// The values of a field, in their order.
    pub(super) fn all(&self, name: &str) -> Vec<&[u8]> {
        self.fields.iter().filter(|(have, _)| have == name).map(|(_, value)| value.as_slice()).collect()
    }

    /// `Content-Length` and `Transfer-Encoding`, at most one of them and once.
    pub(super) fn framing(&self) -> Result<Option<String>, String> {
        match (self.all("content-length").as_slice(), self.all("transfer-encoding").as_slice()) {
            ([], []) => Ok(None),
            ([length], []) => {
                let text = String::from_utf8(length.to_vec()).map_err(|_| "a length that is no text")?;
                let number: u64 = text.parse().map_err(|_| format!("no length: {text}"))?;
                if number.to_string() == text { Ok(Some(text)) } else { Err(format!("an odd length: {text}")) }
            }
            ([], [b"chunked"]) => Ok(Some("chunked".to_owned())),
            other => Err(format!("more than one framing, or another: {other:?}")),
        }
    }
}

/// Reads `raw`, all of it.
pub(super) fn parse(raw: &[u8]) -> Result<Message, String> {
    let head = raw.strip_suffix(b"\r\n\r\n").ok_or("no end")?;
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    if lines.iter().any(|line| line.is_empty() || line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))) {
        return Err("an empty line, or a control byte".to_owned());
    }
    let mut parts = lines[0].splitn(3, |byte| *byte == b' ').map(|part| String::from_utf8_lossy(part).into_owned());
    let (Some(first), Some(second), Some(third)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("a first line of less than three parts".to_owned());
    };
    let fields = lines[1..].iter().map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').ok_or("no colon")?;
        let (name, value) = (&line[..colon], line[colon + 1..].strip_prefix(b" ").ok_or("no space behind a colon")?);
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(is_token) {
            return Err("a name that is none".to_owned());
        }
        if value.first().or(value.last()).is_some() && (b" \t".contains(&value[0]) || b" \t".contains(&value[value.len() - 1])) {
            return Err("a value with whitespace around it".to_owned());
        }
        Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
    });
    Ok(Message { start: [first, second, third], fields: fields.collect::<Result<_, String>>()? })
}

/// Runs `work` to its end.
fn run<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}

/// What an HTTP/1.1 server gets of `head`.
pub(super) fn to_server(head: &RequestHeader) -> Vec<u8> {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut session = UpstreamSession::new(Box::new(ours));
        session.write_request_header(Box::new(head.clone())).await.expect("it is written");
        drop(session);
        let mut raw = Vec::new();
        theirs.read_to_end(&mut raw).await.expect("it is read");
        raw
    })
}

/// What an HTTP/1.1 client that asked with `request` gets of `head`.
pub(super) fn to_client(request: &[u8], head: &ResponseHeader) -> Vec<u8> {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        theirs.write_all(request).await.expect("it is sent");
        let mut session = ClientSession::new(Box::new(ours));
        session.read_request().await.expect("a request").expect("a request");
        session.set_server_keepalive(Some(0));
        session.write_response_header(Box::new(head.clone())).await.expect("it is written");
        drop(session);
        let mut raw = Vec::new();
        theirs.read_to_end(&mut raw).await.expect("it is read");
        raw
    })
}

/// The head of a request as the session behind the door reads it.
pub(super) fn request(raw: &[u8]) -> RequestHeader {
    run(async {
        let mut session = ClientSession::new(Box::new(std::io::Cursor::new(raw.to_vec())));
        session.read_request().await.expect("what the judge passes is read").expect("a head");
        session.req_header().clone()
    })
}

/// The head of a response as the session towards a server reads it, to a request with `method`; `None` if it does not.
pub(super) fn response(raw: &[u8], method: &str) -> Option<ResponseHeader> {
    run(async {
        let (ours, mut theirs) = tokio::io::duplex(1 << 20);
        let mut session = UpstreamSession::new(Box::new(ours));
        let asked = RequestHeader::build(method, b"/", None).expect("a request");
        session.write_request_header(Box::new(asked)).await.expect("it is written");
        theirs.write_all(raw).await.expect("it is sent");
        drop(theirs);
        session.read_response().await.ok()?;
        assert_eq!(session.get_headers_raw_bytes(), raw, "what the judge sees is what came");
        session.resp_header().cloned()
    })
}

/// `name` in any mixture of cases.
pub(super) fn any_case(name: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::vec(any::<bool>(), name.len()).prop_map(move |upper| {
        let turned = |(letter, upper): (char, bool)| if upper { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
        name.chars().zip(upper).map(turned).collect()
    })
}

/// A field value as it may come.
pub(super) fn value() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![6 => 0x21..=0x7e_u8, 1 => Just(b' '), 1 => Just(b'\t'), 1 => 0x80..=0xff_u8];
    prop_oneof![
        4 => proptest::collection::vec(bytes, 0..20),
        1 => prop::sample::select(&["chunked", "5", "a: b", "GET / HTTP/1.1", "close", "100-continue", "host"][..])
            .prop_map(|word| word.as_bytes().to_vec()),
    ]
}

/// A field line.
pub(super) fn line(name: &str, space: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b":", space.as_bytes(), value, b"\r\n"].concat()
}

/// All fields of `raw`, names in lower case, as whoever wrote the strategies above reads them.
pub(super) fn fields_of(raw: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = raw[..raw.len() - 4].split(|byte| *byte == b'\n').skip(1);
    let split = |line: &[u8]| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let is_blank = |byte: &&u8| b" \t".contains(byte);
        let value = &line[colon + 1..];
        let start = value.iter().take_while(is_blank).count();
        let end = value[start..].iter().rev().take_while(is_blank).count();
        (String::from_utf8_lossy(&line[..colon]).to_ascii_lowercase(), value[start..value.len() - end].to_vec())
    };
    lines.map(split).collect()
}

/// Fields by their names; those of one name in their order.
pub(super) fn by_name(mut fields: Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

#[test]
fn it_takes_one_spelling_and_no_other() {
    let fine = parse(b"GET / HTTP/1.1\r\nHost: a\r\nX-Y: b\tc\r\nX-Y: \r\n\r\n").unwrap();
    assert_eq!((fine.start[1].as_str(), fine.all("x-y")), ("/", vec![&b"b\tc"[..], b""]));
    for wrong in [
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:  a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a \r\n\r\n",
        "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET / HTTP/1.1\r\n folded: a\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \0\r\n\r\n",
    ] {
        assert!(parse(wrong.as_bytes()).is_err(), "{wrong:?}");
    }
    let framing = |fields: &str| parse(format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n").as_bytes()).unwrap().framing();
    assert_eq!(framing("Content-Length: 5"), Ok(Some("5".to_owned())));
    assert_eq!(framing("Transfer-Encoding: chunked"), Ok(Some("chunked".to_owned())));
    for wrong in [
        "Content-Length: 05",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: Chunked",
    ] {
        assert!(framing(wrong).is_err(), "{wrong:?}");
    }
}
