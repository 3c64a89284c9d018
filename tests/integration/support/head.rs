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
    /// Takes a complete head from the front of `bytes`, if one is there; what is no head is an error.
    pub(crate) fn take(bytes: &mut Vec<u8>) -> Result<Option<Self>, String> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
        let raw: Vec<u8> = bytes.drain(..end + 4).collect();
        let no_head = || format!("no head: {}", shown(&raw));
        let text = std::str::from_utf8(&raw[..end]).map_err(|_| no_head())?;
        let mut lines = text.split("\r\n");
        let start = lines.next().filter(|line| line.split(' ').count() >= 3).ok_or_else(no_head)?.to_owned();
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line.split_once(':').ok_or_else(no_head)?;
            if name.is_empty() || name.contains([' ', '\t', '\r', '\n']) {
                return Err(no_head());
            }
            fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
        }
        Ok(Some(Self { raw, start, fields }))
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
