//! A message head as it was on the wire, for assertions (RFC 9112 sections 2 to 5).

use super::shown;

/// Start line and fields, raw.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) raw: Vec<u8>,
    start: String,
    fields: Vec<(String, String)>,
}

impl Head {
    /// Takes a complete head from the front of `bytes`, if one is there. Panics on what is no head at all: neither side of the proxy
    /// may ever see that.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let raw: Vec<u8> = bytes.drain(..end).collect();
        let text = std::str::from_utf8(&raw[..end - 4]).unwrap_or_else(|_| panic!("a head that is not text: {}", shown(&raw)));
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .map(|line| match line.split_once(':') {
                Some((name, value)) if !name.is_empty() && !name.contains([' ', '\t', '\r', '\n']) => {
                    (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned())
                }
                _ => panic!("not a field line: {line:?} in {}", shown(&raw)),
            })
            .collect();
        Some(Self { raw, start, fields })
    }

    /// The start line.
    pub(crate) fn start(&self) -> &str {
        &self.start
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> u16 {
        let mut parts = self.start.split(' ');
        match (parts.next(), parts.next().and_then(|status| status.parse().ok())) {
            (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) => status,
            _ => panic!("not a status line: {:?}", self.start),
        }
    }

    /// The values of one field, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The value of a field that stands at most once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} stands {} times in {}", all.len(), shown(&self.raw));
        all.first().copied()
    }

    /// The members of a list field, lower case.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let lines = self.all(name);
        lines.iter().flat_map(|line| line.split(',')).map(|member| member.trim().to_ascii_lowercase()).collect()
    }
}
